#!/usr/bin/env bash
# The servers that the slow tests run for real, from Debian: PostgreSQL with PostGIS (for pgstac). Needs root once;
# without root, tests that miss a server are skipped and say so.
set -euo pipefail
packages=(postgresql postgresql-15-postgis-3)
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
