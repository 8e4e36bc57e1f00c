#!/usr/bin/env bash
# Installs what the runs with several gateways need and this machine lacks.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v ip >/dev/null || missing+=(iproute2)
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
	echo "${missing[*]}: install with this system's package manager" >&2
	exit 1
fi
as_root=()
[[ $(id -u) -eq 0 ]] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
