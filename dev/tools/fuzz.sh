#!/usr/bin/env bash
# Fuzzes every target of both modules, one after the other. Targets are found by
# their signature, so a new one needs no list. A crasher is written to the
# package's testdata/fuzz, to be committed with the mend.
#   fuzz.sh 10m           ten minutes each, guided by coverage
#   fuzz.sh 10000x short  10000 inputs each; a target that links Caddy mutates
#                         blindly, since to instrument all of Caddy takes minutes
#                         and its seeds alone then take longer than the rest
# The short form counts inputs, not seconds: Go before 1.27 may report the end of
# the time as a failure of the target (go.dev/issue/75804), and a gate cannot
# tell that from a finding by looking away. The long form names it and goes on,
# if no input was written.
set -euo pipefail

each=${1:?fuzz.sh <time or count for each target> [short]}
form=${2:-long}
root=$(cd "$(dirname "$0")/../.." && pwd)
tally=$root/dev/tools/tally.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0

links_caddy() {
	go list -deps -test . | grep -x 'github.com/caddyserver/caddy/v2' >/dev/null
}

# fuzz NAME, in the target's package, keeps its output in $work/log as well.
fuzz() {
	if [[ $form == short ]] && links_caddy; then
		GOFLAGS="${GOFLAGS:-} -trimpath" go test -c -o "$work/fuzz.test" . &&
			"$work/fuzz.test" -test.run='^$' -test.fuzz="^$1\$" -test.fuzztime="$each" -test.fuzzcachedir="$work/corpus"
	else
		go test -run='^$' -fuzz="^$1\$" -fuzztime="$each" .
	fi 2>&1 | tee "$work/log"
}

# passed NAME: fuzzed, and past its seeds, or it has fuzzed nothing.
passed() {
	if ! fuzz "$1"; then
		[[ $form == long ]] || return 1
		grep -qx '    context deadline exceeded' "$work/log" || return 1
		if grep -q 'Failing input written' "$work/log"; then
			return 1
		fi
		echo "the time was over, no input failed: go.dev/issue/75804"
	fi
	grep -q 'now fuzzing' "$work/log"
}

found=0
while IFS=: read -r file _ line; do
	name=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/' <<<"$line")
	dir=$(dirname "$file")
	echo "-- $dir $name"
	found=$((found + 1))
	cd "$root/$dir"
	if ! passed "$name"; then
		echo "$dir $name failed, or did not get past its seeds" >&2
		"$tally" add 0 1
		exit 1
	fi
	"$tally" add 1 0
done < <(cd "$root" && grep -rnE --include='*_test.go' --exclude-dir=.cache --exclude-dir=.git '^func Fuzz[A-Za-z0-9_]*\([a-z]+ \*testing\.F\)' . | sort)

echo "$found fuzz targets, $each each"
