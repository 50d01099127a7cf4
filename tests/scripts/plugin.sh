#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# plugin.sh SOURCE_FOLDER ARCHIVE C_COMPILER -- loads, uses and unloads plug-ins
# that contain the library 200 times; no memory leaks. With the package's
# option, a plug-in may be closed while its mover works.

set -eu

top=$1
archive=$2
cc=$3

case $archive in
*.a) ;;
*)
	echo "plugin.sh: skipped: the library is not a static archive"
	exit 77 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

echo '#include <malloc.h>
int main(void) { return (int)mallinfo2().uordblks; }' >"$work/has.c"
"$cc" -D_GNU_SOURCE "$work/has.c" -o "$work/has" 2>/dev/null || {
	echo "plugin.sh: skipped: the C library has no mallinfo2()"
	exit 77
}

cd "$top/tests/scripts/plugin"
"$cc" -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra host.c -o "$work/host" \
	-pthread -ldl
"$cc" -std=c11 -O1 -Wall -Wextra -fPIC -shared -I"$top/include" plugin.c \
	"$archive" -pthread -o "$work/plugin.so"
"$work/host" "$work/plugin.so" 200 8

# A mover works while its plug-in is closed. Without the option the process ends
# by a signal.
nodelete=$(sed -n 's/^nodelete=//p' "$(dirname "$archive")/libminiasync.pc")
[ -n "$nodelete" ] || {
	echo "plugin.sh: libminiasync.pc has no variable nodelete"
	exit 1
}
"$cc" -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra host_living.c \
	-o "$work/host_living" -ldl
for linker in bfd gold lld mold; do
	command -v ld.$linker >/dev/null || continue
	"$cc" -std=c11 -O1 -fPIC -shared -fuse-ld=$linker -I"$top/include" \
		living.c "$archive" -pthread -o "$work/living.so" || continue
	"$cc" -std=c11 -O1 -fPIC -shared -fuse-ld=$linker -I"$top/include" \
		living.c "$archive" -pthread $nodelete -o "$work/stays.so"
	"$work/host_living" "$work/stays.so"
	status=0
	sh -c '"$1" "$2"; exit $?' sh "$work/host_living" "$work/living.so" \
		2>/dev/null || status=$?
	[ $status -gt 128 ] || {
		echo "plugin.sh: without nodelete: exit status $status, not a signal"
		exit 1
	}
	# It changes nothing for a program that is no plug-in.
	"$cc" -std=c11 -D_GNU_SOURCE -O1 host_living.c -fuse-ld=$linker \
		$nodelete -o "$work/host_stays" -ldl
	"$work/host_stays" "$work/stays.so"
	echo "plugin.sh: ld.$linker: a mover works after its plug-in was closed"
done

# C++ has destructors of static objects.
for cxx in ${CXX:-c++ g++ clang++} ''; do
	[ -z "$cxx" ] || ! command -v "$cxx" >/dev/null || break
done
if [ -z "$cxx" ]; then
	echo "plugin.sh: a C++ compiler is missing: its plug-in is not tested"
	exit
fi
"$cxx" -std=c++11 -O1 -Wall -Wextra -fPIC -shared -I"$top/include" plugin.cpp \
	"$archive" -pthread -o "$work/cxx_plugin.so"
"$work/host" "$work/cxx_plugin.so" 200 0
