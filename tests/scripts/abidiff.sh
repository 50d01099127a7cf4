#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# abidiff.sh [--update] [CC] -- compares the interface of the shared library
# with abi/libminiasync.abi: symbols, their versions, functions, types
#
# --update writes the description anew, after a deliberate change. An addition
# is a difference too, because an exported symbol must stay for ever. Types that
# only the headers have (chains, operation futures) are in abi/layout-0.2.1.csv.

set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
described=$source/tests/scripts/abi/libminiasync.abi
update=
if [ "${1:-}" = --update ]; then
	update=yes
	shift
fi
cc=${1:-cc}

for tool in abidiff abidw; do
	command -v $tool >/dev/null || {
		echo "abidiff.sh: skipped: $tool is missing" \
			"(Debian package abigail-tools)"
		exit 77
	}
done
case $($cc -dumpmachine) in
x86_64-*linux*) ;;
*)
	echo "abidiff.sh: skipped: the description is for Linux on x86-64"
	exit 77 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Paths do not depend on the place. DWARF 4, because abidw 2.2 does not find in
# clang's DWARF 5 that a struct is private.
cmake -S "$source" -B "$work" -DCMAKE_C_COMPILER="$cc" -DBUILD_SHARED_LIBS=ON \
	-DCMAKE_BUILD_TYPE=None -DMINIASYNC_DML=OFF -DMINIASYNC_FABRIC=OFF \
	-DMINIASYNC_BUILD_DOC=OFF \
	-DMINIASYNC_BUILD_TESTS=OFF -DMINIASYNC_BUILD_EXAMPLES=OFF \
	-DCMAKE_C_FLAGS="-gdwarf-4 -ffile-prefix-map=$source/=" \
	>"$work/log" 2>&1 && cmake --build "$work" >>"$work/log" 2>&1 ||
	{ cat "$work/log"; echo "abidiff.sh: the library does not build"; exit 1; }

# What users cannot see, where it is written, and parameters' names are left
# out.
abidw --drop-private-types --headers-dir "$source/include" \
	--exported-interfaces-only --drop-undefined-syms --no-elf-needed \
	--no-corpus-path --no-comp-dir-path --no-show-locs \
	--no-parameter-names --type-id-style hash \
	--out-file "$work/abi" "$work/libminiasync.so"
if [ -n "$update" ]; then
	cp "$work/abi" "$described"
	exit
fi

status=0
abidiff --harmless --no-show-locs "$described" "$work/abi" || status=$?
if [ $status -ne 0 ]; then
	echo "abidiff.sh: the interface differs from $described." \
		"If this is intended, run: sh tests/scripts/abidiff.sh --update"
	exit 1
fi
echo "$(grep -c '<elf-symbol ' "$work/abi") symbols, all as described"
