"""An S3 server from Debian: Ceph with one monitor, one store on a sparse file, and the RADOS gateway.

It is durable, checks signatures, and gives exactly one winner to conditional writes, which smaller S3 servers do not.
"""

import json
import shutil
import uuid
from pathlib import Path

import boto3

from infra.local.stack.process import Process, StackError, listens, run
from infra.local.stack.site import ARTIFACTS, HOST, IMAGERY, STORAGE, StackSite

_PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")

# One copy of everything on one machine. Authentication stays on: the gateway of Ceph 16 hangs without it.
_CONFIG = """\
[global]
fsid = {fsid}
mon_host = [v2:{host}:{mon}]
public_addr = {host}
cluster_addr = {host}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {home}/keyring
run_dir = {runtime}
admin_socket = {runtime}/$name.asok
log_file =
log_to_stderr = true
err_to_stderr = true
crash_dir = {home}/crash
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 3
mon_data_avail_crit = 1
rgw_relaxed_region_enforcement = true
[mon.a]
mon_data = {home}/mon
[osd.0]
osd_data = {home}/osd
osd_objectstore = bluestore
bluestore_block_size = 21474836480
bluestore_cache_size = 67108864
osd_memory_target = 939524096
[client.rgw]
rgw_data = {home}/rgw
rgw_frontends = beast endpoint={host}:{s3}
"""


def processes(site: StackSite) -> list[Process]:
    """Monitor, store and gateway, in the order in which they start."""
    return [_monitor(site), _store(site), _gateway(site)]


def _monitor(site: StackSite) -> Process:
    return Process(
        name="ceph-mon",
        command=("ceph-mon", "-i", "a", *_foreground(site)),
        environment={},
        folder=site.home / "ceph" / "mon",
        answers=lambda: _monitor_answers(site),
        before=lambda: _make_monitor(site),
        after=lambda: _register_store(site),
    )


def _store(site: StackSite) -> Process:
    return Process(
        name="ceph-osd",
        command=("ceph-osd", "-i", "0", *_foreground(site)),
        environment={},
        folder=site.home / "ceph" / "osd",
        answers=lambda: _store_is_up(site),
    )


def _gateway(site: StackSite) -> Process:
    return Process(
        name="s3",
        command=("radosgw", "-n", "client.rgw", *_foreground(site)),
        environment={},
        folder=site.home / "ceph" / "rgw",
        answers=lambda: listens(site.address("s3")),
        patience=120.0,
        after=lambda: _make_buckets(site),
    )


def _foreground(site: StackSite) -> tuple[str, ...]:
    return ("-f", "-c", str(_folder(site) / "ceph.conf"))


def _folder(site: StackSite) -> Path:
    return site.home.resolve() / "ceph"


def _make_monitor(site: StackSite) -> None:
    """Configuration, keys and the monitor's store, once."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        raise StackError(f"Ceph is missing ({', '.join(missing)}); run tools/system-packages.sh as root")
    folder = _folder(site)
    if (folder / "mon" / "keyring").exists():
        return
    for name in ("mon", "osd", "rgw", "crash"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    identity, keys = str(uuid.uuid4()), str(folder / "keyring")
    places = {"home": folder, "runtime": site.runtime, "host": HOST}
    ports = {"mon": site.port("ceph-mon"), "s3": site.port("s3")}
    (folder / "ceph.conf").write_text(_CONFIG.format(fsid=identity, **places, **ports))
    everything = [word for kind in ("mon", "osd", "mgr") for word in ("--cap", kind, "allow *")]
    run(["ceph-authtool", "--create-keyring", keys, "--gen-key", "-n", "mon.", *everything])
    for name in ("client.admin", "client.rgw", "osd.0"):
        run(["ceph-authtool", keys, "--gen-key", "-n", name, *everything])
    members, place = str(folder / "monmap"), f"[v2:{HOST}:{site.port('ceph-mon')}]"
    run(["monmaptool", "--create", "--clobber", "--fsid", identity, "--addv", "a", place, members])
    configured = ["-c", str(folder / "ceph.conf"), "--keyring", keys]
    run(["ceph-mon", "--mkfs", "-i", "a", "--monmap", members, *configured])


def _register_store(site: StackSite) -> None:
    """Tell the monitor of the keys and of its one store, once."""
    folder = _folder(site)
    if (folder / "osd" / "block").exists():
        return
    number = str(uuid.uuid4())
    _ceph(site, "auth", "import", "-i", str(folder / "keyring"))
    _ceph(site, "osd", "new", number, "0")
    run(["ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", number, "-c", str(folder / "ceph.conf")])


def _make_buckets(site: StackSite) -> None:
    """The user whose keys the stack hands out, and its buckets."""
    keys = [f"--access-key={site.secrets['s3-key']}", f"--secret-key={site.secrets['s3-secret']}"]
    admin = ["radosgw-admin", "-n", "client.rgw", "-c", str(_folder(site) / "ceph.conf"), "user"]
    if "croma" not in json.loads(run([*admin, "list"])):
        run([*admin, "create", "--uid=croma", "--display-name=croma", *keys])
    client = boto3.client("s3", **site.s3_arguments())
    for bucket in (STORAGE, ARTIFACTS, IMAGERY):
        client.create_bucket(Bucket=bucket)  # one's own bucket may be made again


def _ceph(site: StackSite, *words: str) -> str:
    return run(["ceph", "-c", str(_folder(site) / "ceph.conf"), "--connect-timeout", "5", *words])


def _monitor_answers(site: StackSite) -> bool:
    try:
        _ceph(site, "mon", "stat")
    except StackError:
        return False
    return True


def _store_is_up(site: StackSite) -> bool:
    try:
        return bool(json.loads(_ceph(site, "osd", "stat", "-f", "json"))["num_up_osds"])
    except StackError:
        return False
