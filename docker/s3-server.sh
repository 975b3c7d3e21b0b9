#!/usr/bin/env bash
# An S3 server of Debian's Ceph on one machine: one monitor, one store on a sparse file, the RADOS gateway. It is durable,
# checks signatures, and gives exactly one winner to conditional writes, on which Delta commits rest.
# Makes its data on the first start, then runs in the foreground until it is told to stop or one of the three ends.
set -euo pipefail
: "${S3_ACCESS_KEY:?the key that clients use}" "${S3_SECRET_KEY:?the secret of that key}"
data=${S3_DATA:-/data} host=${S3_HOST:-127.0.0.1} port=${S3_PORT:-7480} mon_port=${S3_MON_PORT:-3300}
sockets=${S3_SOCKETS:-/tmp} # the paths of sockets may have 107 characters
conf=$data/ceph.conf keys=$data/keyring

make_cluster() { # everything that needs no running server
  mkdir -p "$data"/{crash,mon,osd,rgw}
  local fsid
  fsid=$(cat /proc/sys/kernel/random/uuid)
  # One copy on one machine. Authentication stays on: without it the gateway of Ceph 16 hangs.
  cat >"$conf" <<CONF
[global]
fsid = $fsid
mon_host = [v2:127.0.0.1:$mon_port]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = $keys
run_dir = $sockets
admin_socket = $sockets/\$name.asok
log_file =
log_to_stderr = true
err_to_stderr = true
crash_dir = $data/crash
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 3
mon_data_avail_crit = 1
rgw_relaxed_region_enforcement = true
[mon.a]
mon_data = $data/mon
[osd.0]
osd_data = $data/osd
osd_objectstore = bluestore
bluestore_block_size = ${S3_BYTES:-21474836480}
bluestore_cache_size = 67108864
osd_memory_target = 939524096
[client.rgw]
rgw_data = $data/rgw
CONF
  local all=(--cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *')
  ceph-authtool --create-keyring "$keys" --gen-key -n mon. "${all[@]}"
  for name in client.admin client.rgw osd.0; do ceph-authtool "$keys" --gen-key -n "$name" "${all[@]}"; done
  monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$data/monmap"
  ceph-mon --mkfs -i a --monmap "$data/monmap" -c "$conf" --keyring "$keys"
  cat /proc/sys/kernel/random/uuid >"$data/store"
  touch "$data/.cluster"
}

make_store() { # what the running monitor must know of
  local number
  number=$(cat "$data/store")
  rm -rf "${data:?}"/osd/*
  ceph -c "$conf" auth import -i "$keys"
  ceph -c "$conf" osd new "$number" 0 # again with the same number is no error
  ceph-osd -i 0 --mkfs --osd-uuid "$number" -c "$conf"
  touch "$data/.store"
}

make_user() {
  local admin=(radosgw-admin -n client.rgw -c "$conf" user)
  "${admin[@]}" list | grep -q '"croma"' && return
  "${admin[@]}" create --uid=croma --display-name=croma --access-key="$S3_ACCESS_KEY" --secret-key="$S3_SECRET_KEY" >/dev/null
}

until_true() {
  for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done
  echo "gave up waiting for: $*" >&2
  exit 1
}
store_is_up() { ceph -c "$conf" --connect-timeout 5 osd stat | grep -q '1 up'; }

stop() { # the gateway first, the monitor last
  trap - EXIT TERM INT
  for pid in "${rgw:-}" "${osd:-}" "${mon:-}"; do
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid"; } || true
  done
}
trap stop EXIT
trap 'exit 0' TERM INT

[ -e "$data/.cluster" ] || make_cluster
ceph-mon -f -i a -c "$conf" & mon=$!
until_true ceph -c "$conf" --connect-timeout 5 mon stat
[ -e "$data/.store" ] || make_store
ceph-osd -f -i 0 -c "$conf" & osd=$!
until_true store_is_up
make_user
radosgw -f -n client.rgw -c "$conf" --rgw_frontends="beast endpoint=$host:$port" & rgw=$!
wait -n # one of the three has ended, and the others follow
exit 1
