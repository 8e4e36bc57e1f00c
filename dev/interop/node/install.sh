#!/usr/bin/env bash
# Installs Node.js and npm where the machine lacks them. What the programs here are
# made of, their package-lock.json pins; the runs call npm for it themselves.
set -euo pipefail
. "$(dirname "$0")/../need.sh"

least=20 # the least that oidc-provider starts on

need node nodejs "oidc-provider"
need npm npm "oidc-provider"

found=$(node --version)
major=${found#v}
if ((${major%%.*} < least)); then
	echo "oidc-provider needs Node.js $least or later; node on the PATH is $found" >&2
	exit 1
fi
