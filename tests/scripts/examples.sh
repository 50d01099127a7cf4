#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# examples.sh PROGRAM... -- what every example answers to --help, and to an
# option that it does not know

set -u

. "${0%/*}/checks.sh"

[ $# -gt 0 ] || wrong "no examples"
for program in "$@"; do
	name=$(basename "$program")
	name=${name#run_}

	"$program" --help >"$work/out" 2>"$work/err" </dev/null ||
		wrong "$name --help: status $?"
	sed -n 1p "$work/out" | grep -q "^usage: $name" ||
		wrong "$name --help: $(cat "$work/out")"
	[ ! -s "$work/err" ] || wrong "$name --help: $(cat "$work/err")"

	"$program" --no-such-option >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ $status -eq 2 ] || wrong "$name --no-such-option: status $status"
	sed -n 1p "$work/err" | grep -q "^$name: .*--no-such-option" ||
		wrong "$name --no-such-option: $(cat "$work/err")"
	sed -n 2p "$work/err" | grep -q "^usage: $name" ||
		wrong "$name --no-such-option: no usage: $(cat "$work/err")"
	[ "$(wc -l <"$work/err")" -eq 2 ] ||
		wrong "$name --no-such-option: $(wc -l <"$work/err") lines"
	[ ! -s "$work/out" ] || wrong "$name --no-such-option: $(cat "$work/out")"
done
[ $failed -eq 0 ] && echo "examples: $# answer as they should"
exit $((failed > 0))
