region       = "eu-central-1"
operators    = ["arn:aws:iam::123456789012:role/operators"]
api_networks = ["203.0.113.0/24"]
