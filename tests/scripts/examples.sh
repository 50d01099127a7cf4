#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# examples.sh PROGRAM... -- what every example answers to --help, and to an
# option that it does not know

set -u

. "${0%/*}/checks.sh"

[ $# -gt 0 ] || wrong "no example was given: build them with MINIASYNC_BUILD_EXAMPLES"
for program in "$@"; do
	name=$(basename "$program")
	name=${name#run_}

	"$program" --help >"$work/out" 2>"$work/err" </dev/null ||
		wrong "$name --help: exit status $?, not 0"
	sed -n 1p "$work/out" | grep -q "^usage: $name" ||
		wrong "$name --help: the first line is not" \
			"'usage: $name': $(cat "$work/out")"
	[ ! -s "$work/err" ] ||
		wrong "$name --help: prints on standard error: $(cat "$work/err")"

	"$program" --no-such-option >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ $status -eq 2 ] ||
		wrong "$name --no-such-option: exit status $status, not 2"
	sed -n 1p "$work/err" | grep -q "^$name: .*--no-such-option" ||
		wrong "$name --no-such-option: the first line does not name" \
			"the option: $(cat "$work/err")"
	sed -n 2p "$work/err" | grep -q "^usage: $name" ||
		wrong "$name --no-such-option: the second line is not the" \
			"usage: $(cat "$work/err")"
	[ "$(wc -l <"$work/err")" -eq 2 ] ||
		wrong "$name --no-such-option: prints $(wc -l <"$work/err")" \
			"lines, not 2"
	[ ! -s "$work/out" ] ||
		wrong "$name --no-such-option: prints on standard output:" \
			"$(cat "$work/out")"
done
[ $failed -eq 0 ] && echo "examples.sh: $# examples, all right"
exit $((failed > 0))
