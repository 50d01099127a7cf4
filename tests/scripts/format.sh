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
		echo "format.sh: $file: line 3 or 4 is not: NAME -- PURPOSE"
		exit 1
	}
done

for tool in clang-format-$version clang-format ''; do
	[ -z "$tool" ] && break
	command -v "$tool" >/dev/null || continue
	"$tool" --version | grep -q "version $version\." && break
done
[ -n "$tool" ] || {
	echo "format.sh: skipped: clang-format $version is missing" \
		"(Debian 12: package clang-format)"
	exit 77
}

"$tool" --dry-run --Werror $files || {
	echo "format.sh: to format these files, run: $tool -i FILE..."
	exit 1
}

# clang-format leaves comments as they are.
wide=$(for file in $files; do
	expand "$file" | awk -v file="$file" 'length($0) > 80 &&
		/\/\*|^ *\* |\*\/|\/\// { print file ":" NR ": " $0 }'
done)
[ -z "$wide" ] || {
	echo "format.sh: these comments are wider than 80 columns:"
	echo "$wide"
	exit 1
}
echo "format.sh: $(echo "$files" | wc -l) files, all in the format of" \
	"clang-format $version"
