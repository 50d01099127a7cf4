#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# shared_memory_ends.sh SHARED_MEMORY -- kills the writer or the reader of
# examples/shared_memory: the other one says so, and ends

set -u

program=$1
. "${0%/*}/checks.sh"
cd "$work" || exit 1

# It has ended, whether or not anybody has waited for it.
is_gone() {
	! grep -q '^State:[[:space:]]*[DIKPRSTWt]' "/proc/$1/status"
}

# ends WHO PROCESS: it does, in time
ends() {
	until_true is_gone "$2" && return
	wrong "the $1 does not end"
	kill -KILL "$2"
}

# start: in writer and reader their processes, which have much to do
start() {
	rm -f out err
	"$program" 1024 >out 2>err &
	writer=$!
	until_true grep -q '^writer: process' out ||
		wrong "does not print its processes: $(cat err)"
	reader=$(sed -n 's/^writer: process [0-9]*, reader: process //p' out)
}

start
kill -KILL "$reader"
ends writer $writer
wait $writer
status=$?
[ $status -eq 1 ] ||
	wrong "reader killed: exit status $status, not 1"
grep -q '^shared_memory: writer: the other process has ended' err ||
	wrong "reader killed: the writer does not report it: $(cat err)"
grep -q '^shared_memory: writer: the reader has failed: killed by signal 9' err ||
	wrong "reader killed: the writer gives no signal: $(cat err)"

start
kill -KILL $writer
wait $writer 2>/dev/null
ends reader "$reader"
grep -q '^shared_memory: reader: the other process has ended' err ||
	wrong "writer killed: the reader does not report it: $(cat err)"
grep -q 'checksums equal' out &&
	wrong "writer killed: the reader reports success: $(cat out)"

[ $failed -eq 0 ] && echo "shared_memory_ends.sh: all right"
exit $((failed > 0))
