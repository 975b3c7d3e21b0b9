"""The S3 server: Ceph of Debian, by the same script that the image runs."""

import shutil

import boto3

from infra.local.stack.process import Process, StackError, listens
from infra.local.stack.site import ARTIFACTS, HOST, IMAGERY, REPOSITORY, STORAGE, StackSite

_SCRIPT = REPOSITORY / "docker" / "s3-server.sh"
_PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")


def process(site: StackSite) -> Process:
    """Monitor, store and gateway under one script; its stop takes them down in order."""
    return Process(
        name="s3",
        command=("bash", str(_SCRIPT)),
        environment={
            "S3_ACCESS_KEY": site.secrets["s3-key"],
            "S3_SECRET_KEY": site.secrets["s3-secret"],
            "S3_DATA": str(site.home / "s3" / "data"),
            "S3_HOST": HOST,
            "S3_PORT": str(site.port("s3")),
            "S3_MON_PORT": str(site.port("s3-monitor")),
            "S3_SOCKETS": str(site.runtime),
        },
        folder=site.home / "s3",
        answers=lambda: listens(site.address("s3")),
        before=_require_programs,
        after=lambda: _make_buckets(site),
    )


def _require_programs() -> None:
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        raise StackError(f"Ceph is missing ({', '.join(missing)}); run tools/system-packages.sh as root")


def _make_buckets(site: StackSite) -> None:
    client = boto3.client("s3", **site.s3_arguments())
    for bucket in (STORAGE, ARTIFACTS, IMAGERY):
        client.create_bucket(Bucket=bucket)  # one's own bucket may be made again
