#!/usr/bin/env bash
# Installs what the tests need and this machine lacks. Debian's apt-get is
# called only for something missing; with sudo only where we are not root.
set -euo pipefail

if ! command -v go >/dev/null; then
	echo "Go is not on the PATH: install the release named in go.mod or a later one, see https://go.dev/dl" >&2
	exit 1
fi

missing=()
# A compiler without libc's headers is of no use to cgo.
if ! echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1; then
	missing+=(gcc libc6-dev)
fi
# The tests start their own; redis-tools has redis-cli.
if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
	missing+=(redis-server redis-tools)
fi
if [[ ${#missing[@]} -eq 0 ]]; then
	exit 0
fi

if ! command -v apt-get >/dev/null; then
	echo "The tests need gcc with libc's headers (for the race detector), redis-server and redis-cli, release 7 or later:" \
		"install them with this system's package manager" >&2
	exit 1
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
	as_root=(sudo)
fi
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq

# Debian starts a service with its package. The tests want the program alone, so a policy
# forbids it for this one call, unless the machine has a policy of its own.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod +x "$policy"
	trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
if [[ ${missing[*]} == *redis-server* ]] && command -v systemctl >/dev/null; then
	"${as_root[@]}" systemctl disable --quiet redis-server 2>/dev/null || true # not at the next start either
fi
