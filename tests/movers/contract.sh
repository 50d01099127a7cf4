#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# contract.sh FILE... -- runs the contract suite on any mover
#
# The files are the sources of the mover, and one that defines
#	const struct contract_mover contract_mover
# (see contract.h). They may include compiler options. CC and CFLAGS apply.
# libminiasync comes from MINIASYNC_BUILD, a build folder of this project, or
# from pkg-config. The script needs cmocka.

set -eu

movers=$(cd "$(dirname "$0")" && pwd)
top=$movers/../..
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ $# -gt 0 ] || { echo "usage: contract.sh FILE..." >&2; exit 2; }
if [ -n "${MINIASYNC_BUILD:-}" ]; then
	flags="-I$top/include $MINIASYNC_BUILD/libminiasync.a -pthread"
else
	flags=$(pkg-config --cflags --libs libminiasync)
fi
${CC:-cc} ${CFLAGS:--O1 -g} -std=gnu11 -I"$movers" -I"$movers/../support" \
	-I"$top/include" "$movers/contract_main.c" "$movers/contract.c" \
	"$movers/contract_case.c" "$movers/contract_many.c" "$@" \
	$flags $(pkg-config --cflags --libs cmocka) -o "$work/contract"
"$work/contract"
