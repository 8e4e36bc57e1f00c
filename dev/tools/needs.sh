#!/usr/bin/env bash
# Installs what the tests need and this machine lacks. Debian's apt-get is
# called only for something missing; with sudo only where we are not root.
set -euo pipefail

if ! command -v go >/dev/null; then
	echo "Go is not on the PATH: install the release named in go.mod or a later one, see https://go.dev/dl" >&2
	exit 1
fi

# A compiler without libc's headers is of no use to cgo.
if echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1; then
	exit 0
fi

if ! command -v apt-get >/dev/null; then
	echo "The race detector needs gcc and libc's headers: install them with this system's package manager" >&2
	exit 1
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
	as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing gcc and libc6-dev for the race detector"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends gcc libc6-dev
