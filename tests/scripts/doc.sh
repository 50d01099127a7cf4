#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# doc.sh SOURCE CC LIBRARY -- tests the README and the documents of doc
#
# Programs in them compile and run. Other code is part of an example. Links have
# targets. Figures and tables are up to date. Bold numbers of the README are in
# doc/performance.md. The site is tested too, if pandoc
# is installed. man.sh tests the man pages.

set -u

cc=$2
library=$3
. "${0%/*}/checks.sh"
cd "$1" || exit 1
documents="README.md examples/README.md $(echo doc/*.md)"
code=0

# bare FILE: the lines without what they are indented by
bare() {
	sed 's/^[ 	]*//' "$1"
}

for example in examples/*.c*; do
	bare "$example" >"$work/$(basename "$example").bare"
done

# A block of C with a main is a program; any other stands in an example.
for document in $documents; do
	rm -f "$work"/*.block
	awk -v folder="$work" '
		/^```/ && file == "" { file = "text"; n++ }
		/^```c$/ { file = sprintf("%s/%d.block", folder, n); next }
		/^```$/ && file != "" { file = ""; next }
		file ~ /block$/ { print >file }' "$document"
	for block in "$work"/*.block; do
		[ -e "$block" ] || continue
		code=$((code + 1))
		if ! grep -q '^main(' "$block"; then
			bare "$block" >"$work/fragment"
			awk 'BEGIN { RS = "\001" }
				FNR == NR { fragment = $0; next }
				index("\n" $0, "\n" fragment) { found = 1 }
				END { exit !found }' \
				"$work/fragment" "$work"/*.bare ||
				wrong "$document: this code is in no example:" \
					"$(cat "$block")"
			continue
		fi
		cp "$block" "$work/program.c"
		if ! "$cc" -std=c11 -Wall -Wextra -Werror -Iinclude \
			"$work/program.c" "$library" \
			-Wl,-rpath,"$(dirname "$library")" -pthread \
			-o "$work/program" >"$work/log" 2>&1; then
			wrong "$document: its program does not compile:" \
				"$(cat "$work/log")"
		elif ! "$work/program" >"$work/log" 2>&1; then
			wrong "$document: its program failed: $(cat "$work/log")"
		fi
	done
done
[ $code -ge 8 ] || wrong "found $code blocks of C code, not 8 or more"

# Links within the repository; to a heading by its words, as GitHub does it.
for document in $documents; do
	sed 's/`[^`]*`//g; /^```/,/^```/d' "$document" | tr '\n' ' ' |
		grep -oE '\]\([^)]*\)' | sed 's/^](//; s/)$//' |
		while read -r link _; do
			path=${link%%#*}
			case $link in
			*://*) continue ;;
			*\#*) anchor=${link#*#} ;;
			*) anchor= ;;
			esac
			file=$document
			[ -z "$path" ] || file=$(dirname "$document")/$path
			if [ ! -e "$file" ]; then
				echo "$document: the link $link has no file"
			elif [ -n "$anchor" ] && ! grep '^#' "$file" |
				sed 's/^#* //' | tr 'A-Z ' 'a-z-' |
				tr -dc 'a-z0-9_\n-' | grep -qx "$anchor"; then
				echo "$document: the link $link has no heading"
			fi
		done
done >"$work/log"
[ ! -s "$work/log" ] || wrong "$(cat "$work/log")"

doc/figures/draw.sh --check >"$work/log" || wrong "$(cat "$work/log")"
if command -v python3 >/dev/null; then
	python3 doc/performance/report.py --check 2>"$work/log" ||
		wrong "$(cat "$work/log")"
else
	echo "doc.sh: python3 is missing:" \
		"the tables of doc/performance.md are not compared"
fi

# Each bold number of the README, with its unit.
numbers=$(grep -oE '\*\*[0-9][^*]*\*\*' README.md | tr -d '*' | tr ' ' _)
[ "$(echo "$numbers" | wc -l)" -ge 5 ] ||
	wrong "README.md: fewer than 5 bold numbers: $numbers"
for number in $numbers; do
	number=$(echo "$number" | tr _ ' ')
	grep -qE "(^|[^0-9.,])$(echo "$number" | sed 's/\./\\./g')([^0-9]|$)" \
		doc/performance.md ||
		wrong "README.md: $number is not in doc/performance.md"
done

# The site: all that is linked to or loaded is there; nothing is from elsewhere.
pages=no
if command -v pandoc >/dev/null; then
	cmake -DSOURCE="$PWD" -DOUTPUT="$work/html" -DPANDOC=pandoc \
		-DVERSION=0 -P doc/html.cmake >"$work/log" 2>&1 ||
		wrong "doc/html.cmake: makes no site: $(cat "$work/log")"
	cd "$work/html" || exit 1
	pages=$(ls ./*.html | wc -l)
	[ "$pages" -ge 50 ] || wrong "the site has $pages pages, not 50 or more"
	tr '\n' ' ' <pages.html | grep -q '>miniasync</a>: move memory async' ||
		wrong "pages.html: the list of man pages has no descriptions"
	grep -lE '<(img|script|iframe)[^>]*https?:|<link[^>]*https?:|url\([^#]|@import' \
		./*.html ./*.css ./*.svg &&
		wrong "these files load from another site"
	for page in *.html; do
		tr '\n' ' ' <"$page" |
			grep -oE '(href|src)="[^"]*"' | sed 's/^[^"]*"//; s/"$//' |
			sort -u >"$work/links"
		while read -r link; do
			file=${link%%#*}
			case $link in
			https://*) continue ;;
			*:*) echo "$page: $link is on another site"; continue ;;
			*\#*) anchor=${link#*#} ;;
			*) anchor= ;;
			esac
			[ -n "$file" ] || file=$page
			if [ ! -e "$file" ]; then
				echo "$page: the link $link has no file"
			elif [ -n "$anchor" ]; then
				grep -qF "id=\"$anchor\"" "$file" ||
					echo "$page: the link $link has no anchor"
			fi
		done <"$work/links"
		# A page that a man page names is a link, but for the system's.
		grep -oE '<strong>[A-Za-z_-]+</strong>\([0-9]\)' "$page" |
			grep -v -e fork -e pkg-config -e tmpfs -e bpftrace -e gdb -e readelf |
			sed "s/^/$page: this name is not a link: /"
	done >"$work/log"
	[ ! -s "$work/log" ] || wrong "$(cat "$work/log")"
else
	echo "doc.sh: pandoc is missing: the site is not tested"
fi

echo "doc.sh: $(echo $documents | wc -w) documents, $code blocks of code," \
	"$pages pages, $failed wrong"
[ $failed -eq 0 ]
