#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# headers.sh SOURCE -- tests the public headers, with gcc and clang
#
# Each header compiles alone, without a warning, in every supported language.
# Every macro compiles in use. The two umbrella headers bring the headers that
# programs rely on. Futures with displaced data or output do not compile. A
# future that is thrown away gets a warning.

set -u

include=$1/include
tests=$1/tests
use=$1/tests/scripts/headers/use.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-qual -Wcast-align -Werror'
more= # further options
count=0
failed=0

# compile COMPILER STANDARD FILE
compile() {
	"$1" -std="$2" $warnings "$4" $more -O2 -I"$include" -c "$3" -o "$work/o" \
		2>"$work/log"
	status=$?
	count=$((count + 1))
	return $status
}

# expect_ok COMPILER STANDARD FILE FLAG WHAT
expect_ok() {
	if ! compile "$@"; then
		echo "headers.sh: $5: does not compile with $1 -std=$2:"
		head -n 20 "$work/log"
		failed=$((failed + 1))
	fi
}

each_standard() {
	for compiler in gcc clang; do
		command -v "$compiler" >/dev/null || continue
		for std in c99 c11 c17; do
			expect_ok "$compiler" $std "$work/t.c" \
				-Wstrict-prototypes "$1"
		done
	done
	for compiler in g++ clang++; do
		command -v "$compiler" >/dev/null || continue
		for std in c++11 c++17 c++20; do
			expect_ok "$compiler" $std "$work/t.cpp" \
				-Wold-style-cast "$1"
		done
	done
}

for header in libminiasync.h libminiasync/future.h libminiasync/vdm.h \
	libminiasync/runtime.h libminiasync/completion_queue.h \
	libminiasync/data_mover_sync.h libminiasync/data_mover_threads.h \
	libminiasync/version.h libminiasync-vdm-dml.h \
	libminiasync-vdm-dml/data_mover_dml.h libminiasync-vdm-fabric.h \
	libminiasync-vdm-fabric/data_mover_fabric.h; do
	printf '#include <%s>\n#include <%s>\nextern int used;\nint used;\n' \
		"$header" "$header" >"$work/t.c"
	cp "$work/t.c" "$work/t.cpp"
	each_standard "$header"
done

printf '#include "%s"\n' "$use" >"$work/t.c"
cp "$work/t.c" "$work/t.cpp"
each_standard "the use of every macro"

# A program of future.h alone does not need the library.
cat >"$work/t.c" <<'END'
#include <libminiasync/future.h>
FUTURE(my_future, int, int);
static enum future_state
task(struct future_context *context, struct future_notifier *notifier)
{
	int *left = (int *)future_context_get_data(context);

	(void)notifier;
	return --*left > 0 ? FUTURE_STATE_RUNNING : FUTURE_STATE_COMPLETE;
}
int
main(void)
{
	struct my_future f;

	f.data = 2 * FUTURE_BUSY_POLL_NAP_;
	FUTURE_INIT(&f, task);
	FUTURE_BUSY_POLL(&f);
	return FUTURE_STATE(&f) == FUTURE_STATE_COMPLETE ? 0 : 1;
}
END
for compiler in gcc clang; do
	command -v "$compiler" >/dev/null || continue
	count=$((count + 1))
	$compiler -I"$include" "$work/t.c" -o "$work/t" && "$work/t" || {
		echo "headers.sh: a program of future.h alone:" \
			"does not compile or fails with $compiler"
		failed=$((failed + 1))
	}
done

# Old programs use these without including their headers.
printf '#include "%s"\n' "$tests/scripts/headers/brought.h" >"$work/t.c"
cp "$work/t.c" "$work/t.cpp"
each_standard "an old program"
printf '#define USE_DML 1\n#include "%s"\n' "$tests/scripts/headers/brought.h" \
	>"$work/t.c"
cp "$work/t.c" "$work/t.cpp"
more=-I$tests/movers/fake_dml
each_standard "an old program with DML"
more=

# expect_error DEFINITION PATTERN: use.h with this macro does not compile, and
# the compiler says why
expect_error() {
	for compiler in gcc clang g++ clang++; do
		command -v "$compiler" >/dev/null || continue
		case $compiler in
		*++) file=$work/t.cpp std=c++11 ;;
		*) file=$work/t.c std=c99 ;;
		esac
		printf '#define %s\n#include "%s"\n' "$1" "$use" >"$file"
		if compile $compiler $std "$file" -Wall; then
			echo "headers.sh: $1: compiles with $compiler, and must not"
			failed=$((failed + 1))
		fi
		grep -qi "$2" "$work/log" || {
			echo "headers.sh: $1: $compiler does not report '$2':"
			cat "$work/log"
			failed=$((failed + 1))
		}
	done
}

for bad in OVERALIGNED_INIT OVERALIGNED_INIT_EXT OVERALIGNED_INIT_COMPLETE \
	OVERALIGNED_ENTRY OVERALIGNED_CHAIN OVERALIGNED_CHAIN_DATA; do
	expect_error $bad 'negative\|width'
done
# A future that is thrown away: a warning, which is an error here.
for call in 'memcpy(vdm, a, b, 1, 0)' 'memmove(vdm, a, b, 1, 0)' \
	'memset(vdm, a, 1, 1, 0)' 'flush(vdm, a, 1, 0)' \
	'memcpyv(vdm, &segment, 1, 0)'; do
	expect_error "UNUSED vdm_$call" 'unused.result'
done

# 32 bits, where the compiler can.
printf '#include "%s"\n#include "%s"\n' "$use" "$tests/scripts/headers/brought.h" \
	>"$work/t.c"
for compiler in gcc clang; do
	if echo '#include <stdint.h>' | $compiler -m32 -fsyntax-only -x c - \
		2>/dev/null; then
		expect_ok $compiler c11 "$work/t.c" -m32 "32 bits"
	else
		echo "headers.sh: $compiler cannot compile for 32 bits:" \
			"not tested (Debian package gcc-multilib)"
	fi
done

echo "headers.sh: $count compilations, $failed wrong"
[ $failed -eq 0 ]
