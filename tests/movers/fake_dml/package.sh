#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# package.sh PREFIX CC [OPTION...] -- compiles the fake DML with these options
# and installs it in PREFIX, as a header and a static archive

set -eu

here=$(dirname "$0")
prefix=$1
cc=$2
shift 2

mkdir -p "$prefix/include/dml" "$prefix/lib"
cp "$here/dml/dml.h" "$prefix/include/dml"
$cc -std=c11 -O2 -D_GNU_SOURCE -I"$here" "$@" -c "$here/fake_dml.c" \
	-o "$prefix/lib/fake_dml.o"
ar rcs "$prefix/lib/libdml.a" "$prefix/lib/fake_dml.o"
rm "$prefix/lib/fake_dml.o"
