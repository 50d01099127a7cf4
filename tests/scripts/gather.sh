#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# gather.sh GATHER -- tests examples/gather: the message against one that the
# shell makes, and what it refuses

set -u

gather=$1
. "${0%/*}/checks.sh"
cd "$work" || exit 1

# expect STATUS ARGUMENT...
expect() {
	wanted=$1
	shift
	$gather "$@" >out 2>err
	status=$?
	[ $status -eq "$wanted" ] ||
		wrong "gather $*: exit status $status, not $wanted: $(cat err)"
}

# message BOUNDARY FILE...: what gather must write
message() {
	boundary=$1
	shift
	printf 'MIME-Version: 1.0\r\n'
	printf 'Content-Type: multipart/mixed; boundary="%s"\r\n' "$boundary"
	for file in "$@"; do
		printf '\r\n--%s\r\n' "$boundary"
		printf 'Content-Type: application/octet-stream\r\n'
		printf 'Content-Transfer-Encoding: binary\r\n'
		printf 'Content-Disposition: attachment; '
		printf 'filename="%s"\r\n\r\n' "$(basename "$file" | tr '"' _)"
		cat "$file"
	done
	printf '\r\n--%s--\r\n' "$boundary"
}

# check BOUNDARY FILE...
check() {
	message "$@" >wanted
	shift
	expect 0 "$@"
	cmp -s out wanted || wrong "gather $*: the message is not the expected one"
	grep -q "^gather: $((2 * $# + 2)) parts, " err ||
		wrong "gather $*: wrong summary: $(cat err)"
}

mkdir sub
: >empty
echo hello >'sub/with "quotes"'
head -c 5000000 /dev/urandom >large
printf 'x--gather-0--' >taken
i=0
while [ $i -lt 300 ]; do
	echo "part $i" >"sub/$i"
	i=$((i + 1))
done

check gather-0 empty
check gather-0 large
check gather-0 'sub/with "quotes"' empty large sub/7
check gather-0 sub/*
check gather-1 sub/1 taken

expect 0 --help
grep -q '^usage: gather FILE' out || wrong "gather --help: no usage: $(cat out)"
expect 2
grep -q "'gather': a file name must follow" err ||
	wrong "gather: wrong error without a file: $(cat err)"
expect 2 --unknown
expect 2 -x empty
expect 1 missing
expect 1 empty missing
[ ! -s out ] || wrong "gather empty missing: wrote a part of a message"
expect 1 sub
if [ -c /dev/full ]; then
	$gather large >/dev/full 2>err &&
		wrong "gather large >/dev/full: exit status 0, not 1"
fi

[ $failed -eq 0 ] && echo "gather.sh: all right"
exit $((failed > 0))
