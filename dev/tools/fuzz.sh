#!/usr/bin/env bash
# Fuzzes every target of both modules. Targets are found by their signature, so a new
# one needs no list. A crasher is written to the package's testdata/fuzz, to be
# committed with the mend.
#   fuzz.sh 10m           ten minutes each, one after the other, on all cores, guided by
#                         coverage, from what earlier runs found
#   fuzz.sh 5000x short   5000 inputs each, from the seeds alone, as many packages at
#                         once as there are cores. A target that links Caddy mutates
#                         blindly, since to instrument all of Caddy takes minutes and
#                         its seeds alone then take longer than the rest
# The short form counts inputs, not seconds: Go before 1.27 may report the end of
# the time as a failure of the target (go.dev/issue/75804), and a gate cannot
# tell that from a finding by looking away. The long form names it and goes on,
# if no input was written.
set -euo pipefail

each=${1:?fuzz.sh <time or count for each target> [short]}
form=${2:-long}
root=$(cd "$(dirname "$0")/../.." && pwd)
tally=$root/dev/tools/tally.sh
export CGO_ENABLED=0

# The short form calls itself for each package.
if [[ $form == package ]]; then
	work=$(mktemp -d "$GATEHOUSE_FUZZ/XXXXXX")
else
	work=$(mktemp -d)
fi
trap 'rm -rf "$work"' EXIT

# targets lists them: the package's folder, a space, the name.
targets() {
	cd "$root"
	grep -rnE --include='*_test.go' --exclude-dir=.cache --exclude-dir=.git '^func Fuzz[A-Za-z0-9_]*\([a-z]+ \*testing\.F\)' . |
		sort | sed -E 's|^(.*)/[^/]*:[0-9]+:func (Fuzz[A-Za-z0-9_]*)\(.*|\1 \2|'
}

# caddys lists the folders of both modules whose tests link Caddy.
caddys() {
	local module
	for module in "$root" "$root/dev"; do
		cd "$module"
		go list -test -f '{{range .Deps}}{{if eq . "github.com/caddyserver/caddy/v2"}}{{$.Dir}}{{println}}{{end}}{{end}}' ./...
	done | sed "s|^$root/|./|; s|^$root\$|.|" | sort -u
}

# count DIR NAME passed|failed
count() {
	if [[ $3 == passed ]]; then
		"$tally" add 1 0
		return 0
	fi
	echo "$1 $2 failed, or did not get past its seeds" >&2
	"$tally" add 0 1
	return 1
}

# long DIR NAME. A target that did not get past its seeds has fuzzed nothing.
long() {
	cd "$root/$1"
	if ! go test -run='^$' -fuzz="^$2\$" -fuzztime="$each" . 2>&1 | tee "$work/log"; then
		grep -qx '    context deadline exceeded' "$work/log" || return 1
		if grep -q 'Failing input written' "$work/log"; then
			return 1
		fi
		echo "the time was over, no input failed: go.dev/issue/75804"
	fi
	grep -q 'now fuzzing' "$work/log"
}

# build DIR makes one binary of all targets of a package: to link takes longer than
# many of them run.
build() {
	if grep -qxF "$1" "$GATEHOUSE_FUZZ/caddys"; then
		GOFLAGS="${GOFLAGS:-} -trimpath" go test -c -vet=off -ldflags='-s -w' -o "$work/fuzz.test" .
	else
		go test -c -vet=off -ldflags='-s -w' -fuzz=. -o "$work/fuzz.test" .
	fi
}

# short NAME. The other cores fuzz other packages. What widens the coverage is used as
# it is: to look for a smaller form of it takes the time that others need.
short() {
	"$work/fuzz.test" -test.run='^$' -test.fuzz="^$1\$" -test.fuzztime="$each" -test.fuzzminimizetime=10x \
		-test.parallel=1 -test.fuzzcachedir="$work/corpus" >"$work/log" 2>&1 &&
		grep -q 'now fuzzing' "$work/log"
}

# package DIR NAME…: what a target says comes at its end, as others run beside it.
package() {
	local dir=$1 name result status=0
	shift
	cd "$root/$dir"
	build "$dir"
	for name; do
		result=passed
		short "$name" || result=failed
		printf -- '-- %s %s\n%s\n' "$dir" "$name" "$(<"$work/log")"
		count "$dir" "$name" "$result" || status=1
	done
	return $status
}

if [[ $form == package ]]; then
	package "${@:3}"
	exit
fi

targets >"$work/targets"
if [[ $form == short ]]; then
	caddys >"$work/caddys"
	# One line for each package. Those that link Caddy take longest, and begin.
	awk 'FNR == NR {n[$1] = 100; next} {names[$1] = names[$1] " " $2; n[$1]++} END {for (dir in names) print n[dir], dir names[dir]}' \
		"$work/caddys" "$work/targets" | sort -rn | cut -d' ' -f2- >"$work/packages"
	GATEHOUSE_FUZZ=$work xargs -P "$(nproc)" -L 1 "$0" "$each" package <"$work/packages"
else
	while read -r dir name; do
		echo "-- $dir $name"
		result=passed
		(long "$dir" "$name") || result=failed
		count "$dir" "$name" "$result"
	done <"$work/targets"
fi
echo "$(wc -l <"$work/targets") fuzz targets, $each each"
