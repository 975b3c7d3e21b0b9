# Who may do what in the bucket. Pods take these roles through their service accounts; nobody holds a key.
data "tls_certificate" "cluster" {
  url = aws_eks_cluster.main.identity[0].oidc[0].issuer
}

resource "aws_iam_openid_connect_provider" "cluster" {
  url             = aws_eks_cluster.main.identity[0].oidc[0].issuer
  client_id_list  = ["sts.amazonaws.com"]
  thumbprint_list = [data.tls_certificate.cluster.certificates[0].sha1_fingerprint]
}

locals {
  issuer = trimprefix(aws_eks_cluster.main.identity[0].oidc[0].issuer, "https://")
  # Folders of the bucket that each account reads, and those that it writes.
  accounts = {
    croma-build  = { reads = ["croma"], writes = ["croma/datasets"] }
    croma-learn  = { reads = ["croma"], writes = ["croma/runs", "croma/embeddings", "croma/evaluations"] }
    croma-mlflow = { reads = ["mlflow"], writes = ["mlflow"] }
  }
}

data "aws_iam_policy_document" "service_account" {
  for_each = local.accounts
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.cluster.arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = ["system:serviceaccount:croma:${each.key}"]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "bucket" {
  for_each = local.accounts
  statement {
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [for folder in each.value.reads : "${folder}/*"]
    }
  }
  statement {
    actions   = ["s3:GetObject"]
    resources = [for folder in each.value.reads : "${aws_s3_bucket.data.arn}/${folder}/*"]
  }
  # Versions stay: nobody but an operator may delete one for good.
  statement {
    actions   = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = [for folder in each.value.writes : "${aws_s3_bucket.data.arn}/${folder}/*"]
  }
}

resource "aws_iam_role" "accounts" {
  for_each           = local.accounts
  name               = each.key
  assume_role_policy = data.aws_iam_policy_document.service_account[each.key].json
}

resource "aws_iam_role_policy" "bucket" {
  for_each = local.accounts
  name     = "bucket"
  role     = aws_iam_role.accounts[each.key].id
  policy   = data.aws_iam_policy_document.bucket[each.key].json
}
