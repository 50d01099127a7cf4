#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# valgrind.sh SOURCE_FOLDER C_COMPILER -- helgrind and drd in a program alone
#
# The library is built with -DMINIASYNC_VALGRIND=ON. A program of twenty copies
# has no race, and the same with one race has some reports.

set -eu

top=$1
cc=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo '#include <valgrind/drd.h>' >"$work/has.c"
if ! command -v valgrind >/dev/null ||
	! $cc -E "$work/has.c" >/dev/null 2>&1; then
	echo "valgrind.sh: skipped: valgrind or its headers are missing" \
		"(Debian package valgrind)"
	exit 77
fi

if ! { cmake -S "$top" -B "$work/build" -DMINIASYNC_VALGRIND=ON \
	-DCMAKE_C_COMPILER="$cc" -DCMAKE_BUILD_TYPE=Release \
	-DMINIASYNC_DML=OFF \
	-DMINIASYNC_BUILD_EXAMPLES=OFF -DMINIASYNC_BUILD_DOC=OFF &&
	cmake --build "$work/build" -j 2; } >"$work/log" 2>&1; then
	cat "$work/log"
	echo "valgrind.sh: the library does not build"
	exit 1
fi
$cc -std=gnu11 -gdwarf-4 -I"$top/include" "$top/tests/scripts/valgrind/twenty.c" \
	"$work/build/libminiasync.a" -pthread -o "$work/twenty"

# run STATUS TOOL [ARGUMENT]
run() {
	wanted=$1
	tool=$2
	shift 2
	status=0
	timeout 250 valgrind --tool="$tool" -q --fair-sched=yes \
		--error-exitcode=9 "$work/twenty" "$@" >"$work/log" 2>&1 ||
		status=$?
	if [ $status -ne "$wanted" ]; then
		cat "$work/log"
		echo "valgrind.sh: $tool, twenty $*: exit status $status, not $wanted"
		exit 1
	fi
}

for tool in helgrind drd; do
	run 0 $tool
	run 9 $tool race
	echo "valgrind.sh: $tool: the one race is found, and no other"
done

# Where the headers are missing, the build says so.
if cmake -S "$top" -B "$work/none" -DMINIASYNC_VALGRIND=ON \
	-DCMAKE_C_COMPILER="$cc" -DCMAKE_FIND_ROOT_PATH="$work/none" \
	-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY >"$work/log" 2>&1 ||
	! grep -q "valgrind/helgrind.h" "$work/log"; then
	cat "$work/log"
	echo "valgrind.sh: without headers CMake does not name valgrind/helgrind.h"
	exit 1
fi
