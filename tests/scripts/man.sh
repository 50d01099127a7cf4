#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# man.sh SOURCE BUILD CC LIBRARY -- tests the man pages
#
# They agree with the headers and with each other, and mandoc accepts them.
# Their examples compile. Examples without DML also run.

set -u

source=$1
pages=$2/doc/man
cc=$3
library=$4
. "${0%/*}/checks.sh"
cd "$source/doc/man" || exit 1
headers=$(find ../../include -name '*.h')
sections_1='NAME SYNOPSIS DESCRIPTION OPTIONS EXIT_STATUS NOTES EXAMPLE SEE_ALSO'
sections='NAME SYNOPSIS DESCRIPTION RETURN_VALUE ERRORS NOTES EXAMPLE SEE_ALSO'
others=' fork(2) pkg-config(1) bpftrace(8) gdb(1) readelf(1) ' # pages of the system that may be named

[ -d "$pages/man3" ] || {
	echo "man.sh: skipped: $pages/man3 is missing" \
		"(Debian package go-md2man or pandoc)"
	exit 77
}
command -v mandoc >/dev/null ||
	{ echo "man.sh: skipped: mandoc is missing (Debian package mandoc)"; exit 77; }

# code SECTION PAGE: the lines of C in a section
code() {
	awk -v section="# $1" '
		/^```/ { code = code ? "" : $0; next }
		/^# / && code == "" { inside = $0 == section }
		inside && code == "```c"' "$2"
}

# A page or link page for each public name, and for nothing else. Some file
# systems ignore the case of names, so no two pages may differ only in that.
sed -n 's/^#define \([A-Za-z0-9_]*\).*/\1/p' $headers |
	grep -v -e '_$' -e '^LIBMINIASYNC.*_H$' >"$work/names"
awk '/^[a-z].*\(/ && !/^typedef/ {
	sub(/\(.*/, "")
	sub(/.*[ *]/, "")
	print
}' $headers | grep -v '_impl$' >>"$work/names"
# These two are of the interface, in spite of their names.
printf 'async_chain_impl\nvdm_operation_impl\n' >>"$work/names"
tr A-Z a-z <"$work/names" | sort -u >"$work/lower"
ls "$pages/man3" | sed 's/\.3$//' | tr A-Z a-z | sort >"$work/found"
diff "$work/lower" "$work/found" >"$work/log" ||
	wrong "names in the headers (<) and pages (>) differ: $(cat "$work/log")"

# All sections, in order; concepts have no return value.
for page in *.md; do
	expected=$sections
	found=$(sed -n '/^```/,/^```/d; s/^# //p' "$page" | tr ' \n' '_ ')
	case $page in
	*.1.md) expected=$sections_1 ;;
	*.7.md)
		expected=$(echo $expected | sed 's/RETURN_VALUE //')
		found=$(echo $found | sed 's/RETURN_VALUE //')
		;;
	esac
	[ "$(echo $found)" = "$expected" ] ||
		wrong "$page: sections are not $expected: $found"
done

# Every declaration in a SYNOPSIS is the header's, white space aside; macros
# without the underscores of their parameters.
for page in *.md; do
	code SYNOPSIS "$page" >"$work/synopsis"
	awk '
	function plain(s,    i, c) {
		gsub(/[ \t]+/, " ", s)
		for (i = 1; i <= length("(){}[],;*=|"); i++) {
			c = substr("(){}[],;*=|", i, 1)
			gsub(" *[" c "] *", c, s)
		}
		return s
	}
	function check(s,    at, before) {
		sub(/^ /, "", s)
		if (s ~ /^#include </) {
			gsub(/^#include <|>.*$/, "", s)
			if ((getline at < ("../../include/" s)) > 0)
				return
		} else if (s ~ /^#/) {
			if (s in defines)
				return
		} else if (s in macros ||
			index(text, "static inline " s "{") > 0) {
			return
		} else if ((at = index(text, s ";")) > 0) {
			before = at == 1 ? ";" : substr(text, at - 1, 1)
			if (before ~ /[;{}]/)
				return
		}
		print s
	}
	# Comments away, continued lines together.
	{
		line = last $0
		last = ""
		if (line ~ /\/\*/ && line !~ /\*\//) { last = line " "; next }
		gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", line)
		if (line ~ /\\$/) { last = substr(line, 1, length(line) - 1); next }
		line = plain(line)
	}
	FILENAME != synopsis && line ~ /^#define / {
		defines[line] = 1
		sub(/^#define /, "", line)
		if (match(line, /^[A-Z_]+\([a-z_,]*\)/)) {
			line = substr(line, 1, RLENGTH)
			gsub(/\(_/, "(", line)
			gsub(/,_/, ",", line)
			macros[line] = 1
		}
		next
	}
	FILENAME != synopsis && line !~ /^#/ { text = text " " line }
	FILENAME == synopsis && FNR == 1 { text = plain(text) }
	FILENAME == synopsis && line ~ /^#/ { check(line); next }
	FILENAME == synopsis {
		for (i = 1; i <= length(line); i++) {
			c = substr(line, i, 1)
			depth += (c == "{") - (c == "}")
			if (c == ";" && depth == 0) {
				check(plain(declaration))
				declaration = ""
			} else {
				declaration = declaration c
			}
		}
		declaration = declaration " "
	}
	END { if (declaration !~ /^ *$/) print "not ended: " declaration }
	' synopsis="$work/synopsis" $headers "$work/synopsis" >"$work/log"
	[ ! -s "$work/log" ] ||
		wrong "$page: SYNOPSIS: not in the headers: $(cat "$work/log")"
	case $page in *.1.md) continue ;; esac
	grep -q '#include <libminiasync' "$work/synopsis" ||
		wrong "$page: SYNOPSIS: no #include"
done

# Examples compile, and succeed.
for page in *.md; do
	case $page in *.1.md) continue ;; esac
	code EXAMPLE "$page" >"$work/example.c"
	libraries="$library -Wl,-rpath,$(dirname "$library") -pthread"
	if grep -q 'libminiasync-vdm-' "$work/example.c"; then
		libraries=-c
	fi
	if ! "$cc" -std=c11 -Wall -Wextra -Werror -I../../include \
		"$work/example.c" $libraries -o "$work/example" \
		>"$work/log" 2>&1; then
		wrong "$page: the example does not compile: $(cat "$work/log")"
	elif [ "$libraries" != -c ]; then
		"$work/example" >"$work/log" 2>&1 ||
			wrong "$page: the example fails: exit status $?:" \
				"$(cat "$work/log")"
	fi
done

# Every page that is named exists.
for page in *.md; do
	for name in $(sed '/^```/,/^```/d' "$page" | tr -d '*' |
		grep -oE '[A-Za-z0-9_-]+\([1-9]\)' | sort -u); do
		section=$(echo "$name" | tr -dc '()0-9' | sed 's/.*(\(.\))/\1/')
		[ -e "$pages/man$section/${name%(*}.$section" ] && continue
		case $others in
		*" $name "*) ;;
		*) wrong "$page: names a missing page: $name" ;;
		esac
	done
done

# What is made of them: clean, narrow, and with every line of code in it.
for page in *.md; do
	name=${page%.md}
	made=$pages/man${name##*.}/$name
	# Where the name is too long for a date beside it: see man.cmake.
	mandoc -T lint -W warning "$made" 2>&1 |
		grep -v 'missing date, using "": TH$' >"$work/log" &&
		wrong "$page: mandoc warns: $(cat "$work/log")"
	mandoc -T ascii -O width=80 "$made" |
		sed "s/.$(printf '\b')//g" >"$work/rendered"
	title="${name%.*}(${name##*.})"
	head -n 1 "$work/rendered" | grep -qi "^$title .* $title\$" ||
		wrong "$page: wrong first line: $(head -n 1 "$work/rendered")"
	tail -n 1 "$work/rendered" | grep -qE \
		'^libminiasync [0-9.]+,? +[0-9]{4}-[0-9]{2}-[0-9]{2}( |$)' ||
		wrong "$page: wrong last line: $(tail -n 1 "$work/rendered")"
	awk -v page="$page" '
		function bare(s) {
			gsub(/\t/, "    ", s)
			sub(/^ +/, "", s)
			return s
		}
		FNR == NR {
			rendered[bare($0)] = 1
			if (length > 80)
				print "wider than 80 columns: " $0
			next
		}
		/^```/ { code = !code; next }
		code && !(bare($0) in rendered) { print "not rendered: " $0 }
	' "$work/rendered" "$page" >"$work/log"
	[ ! -s "$work/log" ] ||
		wrong "$page: wrong output of mandoc: $(cat "$work/log")"
done

echo "man.sh: $(ls ./*.md | wc -l) pages," \
	"$(wc -l <"$work/lower") names, $failed wrong"
[ $failed -eq 0 ]
