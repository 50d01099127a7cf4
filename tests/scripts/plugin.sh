#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# plugin.sh SOURCE_FOLDER ARCHIVE C_COMPILER -- loads, uses and unloads plug-ins
# that contain the library 200 times; no memory leaks

set -eu

top=$1
archive=$2
cc=$3

case $archive in
*.a) ;;
*)
	echo "plugin: skipped: the library is not static"
	exit 77 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

echo '#include <malloc.h>
int main(void) { return (int)mallinfo2().uordblks; }' >"$work/has.c"
"$cc" -D_GNU_SOURCE "$work/has.c" -o "$work/has" 2>/dev/null || {
	echo "plugin: skipped: the C library has no mallinfo2()"
	exit 77
}

cd "$top/tests/scripts/plugin"
"$cc" -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra host.c -o "$work/host" \
	-pthread -ldl
"$cc" -std=c11 -O1 -Wall -Wextra -fPIC -shared -I"$top/include" plugin.c \
	"$archive" -pthread -o "$work/plugin.so"
"$work/host" "$work/plugin.so" 200 8

# C++ has destructors of static objects.
for cxx in ${CXX:-c++ g++ clang++} ''; do
	[ -z "$cxx" ] || ! command -v "$cxx" >/dev/null || break
done
if [ -z "$cxx" ]; then
	echo "no C++ compiler: its plug-in is left out"
	exit
fi
"$cxx" -std=c++11 -O1 -Wall -Wextra -fPIC -shared -I"$top/include" plugin.cpp \
	"$archive" -pthread -o "$work/cxx_plugin.so"
"$work/host" "$work/cxx_plugin.so" 200 0
