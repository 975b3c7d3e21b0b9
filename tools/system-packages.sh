#!/usr/bin/env bash
# Programs of Debian that slow tests and `make stack` run for real: PostgreSQL with PostGIS (for pgstac), Ceph as the S3
# server, Chromium for pictures of the pages, kubectl to render manifests, promtool to check rules. Needs root once;
# without root, what misses a program is skipped and says so.
set -euo pipefail
packages=(ceph-mon ceph-osd chromium postgresql postgresql-15-postgis-3 prometheus radosgw)
command -v kubectl >/dev/null || packages+=(kubernetes-client)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "Not root: the tests that need ${missing[*]} will be skipped."
  exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
