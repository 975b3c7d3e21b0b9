output "bucket" {
  description = "For CROMA_STORAGE (s3://BUCKET/croma) and MLFLOW_ARTIFACTS (s3://BUCKET/mlflow)."
  value       = aws_s3_bucket.data.id
}

output "registry" {
  description = "Repositories to push images to."
  value       = { for name, repository in aws_ecr_repository.images : name => repository.repository_url }
}

output "roles" {
  description = "For the annotations of the service accounts."
  value       = { for name, role in aws_iam_role.accounts : name => role.arn }
}

output "database_host" {
  description = "Of the addresses in the secret croma-databases."
  value       = aws_db_instance.main.address
}

output "kubeconfig" {
  description = "Command that lets kubectl find the cluster."
  value       = "aws eks update-kubeconfig --region ${var.region} --name ${aws_eks_cluster.main.name}"
}
