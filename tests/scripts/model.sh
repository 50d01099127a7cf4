#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# model.sh -- verifies the models in tests/model with Spin, and that each of
# their broken variants, listed in the comments that they begin with, is found
# wrong. Two at a time; the C compiler is $CC, or cc, gcc or clang.
#
#	model.sh                         all of them
#	model.sh EXPECTED MODEL FLAGS    one, in the folder $MIA_MODEL_WORK

set -u

top=$(cd "$(dirname "$0")/.." && pwd)

skip() {
	echo "model.sh: skipped: $*"
	exit 77
}

command -v spin >/dev/null || skip "spin is missing (Debian package spin)"
for cc in ${CC:-cc gcc clang} ''; do
	[ -z "$cc" ] || ! command -v "$cc" >/dev/null || break
done
[ -n "$cc" ] || skip "a C compiler is missing"

# check EXPECTED MODEL FLAGS: one line, and a file wrong if it is not EXPECTED,
# which is "verified", "ends" (no endless run) or "found wrong". -O0 for the
# broken ones, because the compiler takes longer than their searches.
check() {
	expected=$1
	model=$2
	flags=$3
	dir=$MIA_MODEL_WORK/$(echo "$expected $model $flags" | tr -c 'A-Za-z_\n' _)
	[ "$expected" != ends ] || flags="-DENDS${flags:+ $flags}"
	kind=-DSAFETY
	search=
	optimise=-O2
	[ "$expected" != "found wrong" ] || optimise=-O0
	case $flags in
	*-DENDS*)
		kind=-DNP
		search=-l ;;
	esac

	mkdir "$dir" && cd "$dir" || return
	# The flags may be several.
	if ! spin "-P$cc -E -x c" $flags -a "$top/model/$model.pml" >log 2>&1 ||
		! "$cc" $optimise -w $kind -o pan pan.c >>log 2>&1
	then
		echo "model.sh: WRONG: $model.pml $flags: does not build:"
		cat log
		: >wrong
		return
	fi
	./pan $search -m100000 -w20 >log 2>&1

	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' log)
	if grep -q 'errors: 0' log && ! grep -q '^pan:1:\|not completed' log; then
		found=${expected#found wrong}
		found=${found:-verified}
	elif grep -q '^pan:1: \(assertion\|invalid end\|non-prog\)' log; then
		found="found wrong"
	else
		found="not searched to the end"
	fi
	why=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' log)
	line="$model${flags:+ $flags}: $found${why:+ ($why)}, ${states:-no} states"
	if [ "$found" = "$expected" ]; then
		echo "$line"
	else
		echo "model.sh: WRONG: $line; expected: $expected"
		grep '^pan:\|^error' log
		: >wrong
	fi
	rm -f pan pan.*
}

if [ $# -eq 3 ]; then
	check "$@"
	exit
fi

# EXPECTED MODEL FLAGS, in lines
cases() {
	cat <<-END
		verified;sleep;
		ends;sleep;
		verified;backlog;
		ends;backlog;
		verified;backlog;-DWORKERS=1
		verified;sharing;
		ends;sharing;
		verified;sharing;-DLIVES=1 -DSTRIPES=2
		verified;waiting;
		ends;waiting;
		verified;completion;
		ends;completion;
		verified;parker;
		ends;parker;
		verified;ready;
		ends;ready;
		verified;queue;
		ends;queue;
		verified;parker;-DPORTABLE
		ends;parker;-DPORTABLE
		verified;request;
		ends;request;
	END
	for model in sleep backlog sharing waiting completion parker ready queue \
		request; do
		sed -n "s/^ \*	\(-D[^	]*\)	.*/found wrong;$model;\1/p" \
			"$top/model/$model.pml"
	done
}

MIA_MODEL_WORK=$(mktemp -d)
export MIA_MODEL_WORK CC=$cc
trap 'rm -rf "$MIA_MODEL_WORK"' EXIT
trap 'exit 1' HUP INT TERM

cases | tr ';\n' '\0\0' | xargs -0 -n 3 -P 2 sh "$0"

wrong=$(find "$MIA_MODEL_WORK" -name wrong | wc -l)
done=$(find "$MIA_MODEL_WORK" -name log | wc -l)
if [ "$done" -ne "$(cases | wc -l)" ] || [ "$done" -lt 60 ]; then
	echo "model.sh: WRONG: only $done models and variants were verified"
	exit 1
fi
[ "$wrong" -eq 0 ] &&
	echo "model.sh: $done models and variants, all as expected"
exit $((wrong > 0))
