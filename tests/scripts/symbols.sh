#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# symbols.sh LIBRARY -- every global symbol is public, or has the prefix mia_ and
# is hidden

set -eu

case $1 in
*.so*) dynamic=-D ;;
*) dynamic= ;;
esac
# AddressSanitizer marks each global variable by a symbol of its own. The notes
# of probes refer to a weak and hidden one, of <sys/sdt.h>.
symbols=$(nm $dynamic --defined-only -g "$1" |
	awk 'NF == 3 && $2 != "A" && !/ DW\.ref\./ { sub(/^__odr_asan\./, "", $3); print $3 }' |
	grep -vFx _.stapsdt.base)
include=$(dirname "$0")/../../include
case $1 in
*vdm-dml*)
	headers=$include/libminiasync-vdm-dml/*.h
	public='^(data_mover_dml_[a-z_]+(@@LIBMINIASYNC_VDM_DML_1\.0)?|future_nap_impl)$'
	;;
*vdm-fabric*)
	headers=$include/libminiasync-vdm-fabric/*.h
	public='^(data_mover_(fabric|region)_[a-z_]+(@@LIBMINIASYNC_VDM_FABRIC_1\.0)?|future_nap_impl)$'
	;;
*)
	headers="$include/libminiasync/runtime.h $include/libminiasync/version.h
		$include/libminiasync/completion_queue.h
		$include/libminiasync/data_mover_*.h"
	public='^(data_mover_(sync|threads)|runtime|completion_queue|miniasync|future)_[a-z_]+(@@LIBMINIASYNC_1\.[01])?$'
	;;
esac

[ -n "$symbols" ] || { echo "symbols.sh: $1: no symbols"; exit 1; }
strange=$(echo "$symbols" | grep -Ev "$public" | grep -v '^mia_' || true)
if [ -n "$dynamic" ]; then
	strange=$(echo "$symbols" | grep -Ev "$public" || true)
fi
[ -z "$strange" ] || {
	echo "symbols.sh: $1: these symbols must be static, or begin with mia_:"
	echo "$strange"
	exit 1
}
# An ELF archive hides what is private, and nothing else. The visibility is the
# sixth column.
if [ -z "$dynamic" ] && readelf -h "$1" 2>/dev/null | grep -q "ELF[36]"; then
	wrong=$(readelf -sW "$1" | awk '
		$5 != "GLOBAL" || $7 == "UND" { next }
		$8 ~ /^__odr_asan\./ { next }
		$6 != ($8 ~ /^mia_/ ? "HIDDEN" : "DEFAULT") { print $8, $6 }')
	[ -z "$wrong" ] || {
		echo "symbols.sh: $1: these symbols have the wrong visibility:"
		echo "$wrong"
		exit 1
	}
fi
# Nothing is declared that is not there.
for symbol in $(grep -ohE '\<(runtime|completion_queue|miniasync|data_mover_[a-z]+)_[a-z_]+\(' \
	$headers | tr -d '(' | sort -u); do
	echo "$symbols" | grep -qE "^$symbol(@|$)" || {
		echo "symbols.sh: $1: $symbol is declared, but not defined"
		exit 1
	}
done
echo "symbols.sh: $(echo "$symbols" | wc -l), all public or private by name"
