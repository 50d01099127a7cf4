#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# cfi.sh SOURCE LIBRARY -- programs with clang's control flow integrity use the
# library, which was compiled without
#
# In C and C++, with each kind that the installed compilers have. In each of
# these programs a call of a function of another type is still found.

set -u

source=$1
library=$2
tests=$source/tests/scripts/cfi
. "${0%/*}/checks.sh"
count=0

# check NAME COMMAND...: compiles the program and runs it
check() {
	name=$1
	shift
	count=$((count + 1))
	if ! "$@" -O2 -I"$source/include" "$tests/program.c" -x none \
		"$work/mover.o" "$library" -pthread \
		-Wl,-rpath,"$(dirname "$library")" -o "$work/program" \
		>"$work/log" 2>&1; then
		wrong "$name: program.c does not compile: $(cat "$work/log")"
		return
	fi
	timeout 60 "$work/program" >"$work/log" 2>&1
	status=$?
	[ $status -eq 0 ] ||
		wrong "$name: exit status $status, not 0: $(cat "$work/log")"
	# In a shell of its own, which reports the signal to the log.
	sh -c '"$1" bad; exit $?' sh "$work/program" >"$work/log" 2>&1
	status=$?
	[ $status -gt 128 ] ||
		wrong "$name: a call of a wrong type did not end the program:" \
			"exit status $status"
}

# has OPTION...: the compiler, the linker and the system have that
has() {
	echo 'int main(void) { return 0; }' >"$work/has.c"
	"$@" "$work/has.c" -o "$work/has" 2>/dev/null && "$work/has"
}

for version in '' -14 -15 -16 -17 -18 -19 -20 -21 -22; do
	cc=clang$version
	cxx=clang++$version
	command -v "$cc" >/dev/null || continue
	"$cc" -O2 -I"$source/include" -c "$tests/mover.c" -o "$work/mover.o" ||
		exit 1
	for options in '-fsanitize=cfi -flto' '-fsanitize=cfi -flto=thin' \
		'-fsanitize=cfi -fsanitize-cfi-cross-dso -flto' \
		-fsanitize=kcfi; do
		case $options in
		*=cfi*)
			options="$options -fvisibility=hidden
				-fuse-ld=lld$version" ;;
		esac
		has "$cc" $options || continue
		check "$cc $options" "$cc" -std=c99 $options
		command -v "$cxx" >/dev/null || continue
		check "$cxx $options" "$cxx" -std=c++11 $options -x c++
	done
done

[ $count -gt 0 ] || {
	echo "cfi.sh: skipped: clang with lld is missing" \
		"(Debian packages clang and lld)"
	exit 77
}
echo "cfi.sh: $count programs, $failed wrong"
[ $failed -eq 0 ]
