#!/usr/bin/env bash
# Counts tests over the steps of `make test`.
#   tally.sh                    one step's numbers, called by gotestsum (TESTS_*)
#   tally.sh add PASSED FAILED  one step's numbers, by hand
#   tally.sh sum                the closing line; fails if a test failed or was
#                               skipped, or if none ran
# Without GATEHOUSE_TALLY (a step run alone) nothing is kept.
set -euo pipefail

dir=${GATEHOUSE_TALLY:-}
[[ -n $dir ]] || exit 0
mkdir -p "$dir"

add() { # passed failed skipped
	echo "$1 $2 $3" >>"$dir/steps"
}

case ${1:-step} in
step)
	failed=$((TESTS_FAILED + TESTS_ERRORS))
	add $((TESTS_TOTAL - TESTS_FAILED - TESTS_SKIPPED)) "$failed" "$TESTS_SKIPPED"
	;;
add)
	add "$2" "$3" 0
	;;
sum)
	passed=0 failed=0 skipped=0
	if [[ -f $dir/steps ]]; then
		while read -r p f s; do
			passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
		done <"$dir/steps"
	fi
	if ((skipped > 0)); then
		echo "$skipped skipped: a test that may be skipped is not a test" >&2
	fi
	echo "$passed passed, $failed failed"
	((passed > 0 && failed == 0 && skipped == 0))
	;;
*)
	echo "tally.sh: unknown word $1" >&2
	exit 2
	;;
esac
