#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# tsan.sh SOURCE_FOLDER LIBRARY FAKE_DML C_COMPILER -- ThreadSanitizer in a
# program alone
#
# The library was built without the tool. A program of which all data is handed
# over between threads has no race, and a program with one race has one. By gcc
# and clang, with the archive and with a shared library of the same objects.

set -eu

top=$1
library=$2
fake_dml=$3
link=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

folder=$top/tests/scripts/tsan
flags="-std=gnu11 -O1 -g -fsanitize=thread -I$top/include"
dml="-DTEST_FAKE_DML -I$top/tests/movers/fake_dml"
export TSAN_OPTIONS="halt_on_error=1 exitcode=66"

# compile COMPILER NAME ARGUMENT...
compile() {
	cc=$1
	name=$2
	shift 2
	$cc $flags "$folder"/*.c "$@" -Wl,-rpath,"$work" -pthread -o "$work/$name"
}

# check COMPILER NAME
check() {
	status=0
	timeout 100 "$work/$2" 10 >"$work/log" 2>&1 || status=$?
	if [ $status -ne 0 ] || ! grep -qx "done" "$work/log"; then
		cat "$work/log"
		echo "tsan.sh: $1, $2: program without a race:" \
			"exit status $status, not 0"
		exit 1
	fi
	status=0
	timeout 100 "$work/$2" >"$work/log" 2>&1 || status=$?
	if [ $status -ne 66 ] || ! grep -q "data race" "$work/log"; then
		cat "$work/log"
		echo "tsan.sh: $1, $2: program with a race:" \
			"exit status $status, not 66"
		exit 1
	fi
	echo "tsan.sh: $1, $2: the one race is found, and no other"
}

shared=$work/libminiasync.so.0
case $library in
*.a)
	$link -shared -o "$shared" -Wl,-soname,libminiasync.so.0 \
		-Wl,--version-script="$top/src/libminiasync.map" \
		-Wl,--whole-archive "$library" -Wl,--no-whole-archive -pthread
	;;
*)
	cp "$library" "$shared" ;;
esac

ran=
echo 'int main(void) { return 0; }' >"$work/has.c"
for cc in gcc clang; do
	if ! $cc -fsanitize=thread "$work/has.c" -o "$work/has" 2>/dev/null ||
		! "$work/has" >/dev/null 2>&1; then
		echo "tsan.sh: $cc: left out: ThreadSanitizer does not run here"
		continue
	fi
	ran=yes
	case $library in
	*.a)
		compile $cc static $dml "$fake_dml" "$library"
		check $cc static ;;
	esac
	compile $cc shared "$shared"
	check $cc shared
done
[ -n "$ran" ] || exit 77
