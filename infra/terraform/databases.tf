resource "random_password" "databases" {
  length  = 40
  special = false
}

resource "aws_db_subnet_group" "main" {
  name       = var.name
  subnet_ids = aws_subnet.databases[*].id
}

# Prefect, MLflow and MLflow's users, a database each: created once with infra/local/databases.sql.
resource "aws_db_instance" "main" {
  identifier                 = var.name
  engine                     = "postgres"
  engine_version             = "16"
  instance_class             = var.database_class
  allocated_storage          = 20
  max_allocated_storage      = 200
  storage_encrypted          = true
  multi_az                   = true
  username                   = "postgres"
  password                   = random_password.databases.result
  db_subnet_group_name       = aws_db_subnet_group.main.name
  vpc_security_group_ids     = [aws_security_group.databases.id]
  publicly_accessible        = false
  backup_retention_period    = 14
  deletion_protection        = true
  final_snapshot_identifier  = "${var.name}-last"
  auto_minor_version_upgrade = true
}

resource "aws_secretsmanager_secret" "databases" {
  name = "${var.name}/databases"
}

resource "aws_secretsmanager_secret_version" "databases" {
  secret_id     = aws_secretsmanager_secret.databases.id
  secret_string = random_password.databases.result
}
