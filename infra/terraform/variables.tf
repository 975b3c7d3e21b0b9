variable "name" {
  description = "Prefix of everything that is made."
  type        = string
  default     = "croma"
}

variable "region" {
  description = "Near the imagery and with GPUs; Frankfurt is 10 ms from West Europe, where Planetary Computer's data lie."
  type        = string
  default     = "eu-central-1"
}

variable "operators" {
  description = "ARNs of the roles that may administer the Kubernetes cluster."
  type        = set(string)
}

variable "api_networks" {
  description = "Networks (CIDR) from which the Kubernetes API may be reached."
  type        = set(string)
}

variable "kubernetes_version" {
  description = "Of the control plane and the nodes."
  type        = string
  default     = "1.34"
}

variable "database_class" {
  description = "Size of the PostgreSQL server of Prefect and MLflow."
  type        = string
  default     = "db.t4g.small"
}

variable "pools" {
  description = "Groups of nodes: machine types, how many at most, whether spot, and the disk for images and caches."
  type = map(object({
    types = list(string)
    most  = number
    least = number
    spot  = bool
    gpu   = bool
    disk  = number
  }))
  default = {
    system = { types = ["m7i.large"], most = 4, least = 2, spot = false, gpu = false, disk = 50 }
    cpu    = { types = ["m7i.4xlarge", "m6i.4xlarge", "m7a.4xlarge"], most = 16, least = 0, spot = true, gpu = false, disk = 200 }
    gpu    = { types = ["g6e.2xlarge", "g6e.4xlarge"], most = 8, least = 0, spot = true, gpu = true, disk = 500 }
    gpu-x8 = { types = ["p5en.48xlarge"], most = 8, least = 0, spot = true, gpu = true, disk = 3000 }
  }
}
