#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# format.sh SOURCE -- every C and C++ file is as clang-format leaves it, and
# begins with a comment that names it
#
# Each version of clang-format has its own opinion. The files follow version 14,
# that of Debian 12.

set -eu

version=14
cd "$1"
files=$(find src include tools examples tests -name '*.[ch]' -o -name '*.cpp')

# Line 3 is "/* NAME -- ...", or line 4 is " * NAME -- ...".
for file in $files; do
	sed -n '3,4p' "$file" | grep -q "^\(/\*\| \*\) .*${file##*/} .*-- " || {
		echo "$file: the first comment does not name the file"
		exit 1
	}
done

for tool in clang-format-$version clang-format ''; do
	[ -z "$tool" ] && break
	command -v "$tool" >/dev/null || continue
	"$tool" --version | grep -q "version $version\." && break
done
[ -n "$tool" ] || {
	echo "format: skipped: no clang-format $version (Debian clang-format)"
	exit 77
}

"$tool" --dry-run --Werror $files

# clang-format leaves comments as they are.
wide=$(for file in $files; do
	expand "$file" | awk -v file="$file" 'length($0) > 80 &&
		/\/\*|^ *\* |\*\/|\/\// { print file ":" NR ": " $0 }'
done)
[ -z "$wide" ] || { echo "comments of more than 80 columns:"; echo "$wide"; exit 1; }
echo "format: $(echo "$files" | wc -l) files as clang-format $version leaves them"
