#!/usr/bin/env bash
# Fuzzes every target of both modules, one after the other, for the time given
# each (`fuzz.sh 5s`). Targets are found by their signature, so a new one needs
# no list. A crasher is written to the package's testdata/fuzz, to be committed
# with the mend.
set -euo pipefail

each=${1:?fuzz.sh <time for each target>}
root=$(cd "$(dirname "$0")/../.." && pwd)
tally=$root/dev/tools/tally.sh

found=0
while IFS=: read -r file _ line; do
	name=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/' <<<"$line")
	dir=$(dirname "$file")
	echo "-- $dir $name"
	found=$((found + 1))
	if ! (cd "$root/$dir" && CGO_ENABLED=0 go test -run='^$' -fuzz="^$name\$" -fuzztime="$each" .); then
		"$tally" add 0 1
		exit 1
	fi
	"$tally" add 1 0
done < <(cd "$root" && grep -rnE --include='*_test.go' --exclude-dir=.cache --exclude-dir=.git '^func Fuzz[A-Za-z0-9_]*\([a-z]+ \*testing\.F\)' . | sort)

echo "$found fuzz targets, $each each"
