#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# versions.sh SOURCE ARCHIVE CC -- two versions of the library in one process
#
# A program links another version of the static archive and exports its symbols
# to plug-ins. It loads a plug-in that links ARCHIVE. The plug-in must call the
# functions of its own version, because the other one lays out its structs
# differently.

set -eu

source=$1
archive=$2
cc=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The other version: a longer pool, and all symbols visible.
cp -R "$source/src" "$source/include" "$work"
header=$work/src/operation/operation_pool.h
sed 's/^struct mia_operation_pool {$/&\n\tchar other_version[512];/' \
	"$source/src/operation/operation_pool.h" >"$header"
if cmp -s "$source/src/operation/operation_pool.h" "$header"; then
	echo "versions.sh: operation_pool.h: no struct mia_operation_pool"
	exit 1
fi
for file in "$work"/src/*/*.c; do
	case $file in
	*/memory_portable.c) ;;
	*_dml.c | */dml_*.c | *_windows.c | */memory_*.c) continue ;;
	*_fabric.c | */fabric_*.c | */data_mover_region.c) continue ;;
	esac
	$cc -std=c11 -O2 -D_GNU_SOURCE -I"$work/include" -I"$work/src" -c "$file" \
		-o "${file%.c}.o"
done
ar rcs "$work/other.a" "$work"/src/*/*.o

versions=$source/tests/scripts/versions
$cc -std=c99 -O2 -rdynamic -I"$work/include" "$versions/host.c" \
	"$work/other.a" -pthread -ldl -o "$work/host"
$cc -std=c99 -O2 -shared -fPIC -I"$source/include" "$versions/plugin.c" \
	"$archive" -pthread -o "$work/plugin.so"
nm -D --defined-only "$work/host" | grep -q ' mia_operation_pool_' ||
	{ echo "versions.sh: the host exports no internal functions"; exit 1; }
timeout 60 "$work/host" "$work/plugin.so"
