#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# draw.sh [--check] -- draws the figures of the documents with Graphviz
#
# x.svg is made of x.dot, and includes.svg of what the sources include. Each
# says of which text it was made, by its checksum; --check compares that, and
# needs no Graphviz.

set -u

cd "$(dirname "$0")" || exit 1
top=../..
failed=0

# Colours for light and dark, whatever is around the figure.
style='<style>
svg { background: #ffffff }
.graph > polygon { fill: none }
text { fill: #1f2328 }
.node path, .node polygon { fill: #f3f5f8; stroke: #57606a }
.edge path, .edge polygon { stroke: #57606a }
.edge polygon { fill: #57606a }
.cluster polygon { stroke: #57606a }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117 }
text { fill: #e6edf3 }
.node path, .node polygon { fill: #161b22; stroke: #8b949e }
.edge path, .edge polygon { stroke: #8b949e }
.edge polygon { fill: #8b949e }
.cluster polygon { stroke: #8b949e }
}
</style>'

# figure NAME: of the text on standard input
figure() {
	text=$(cat)
	sum=$(printf '%s\n' "$text" | cksum | cut -d ' ' -f 1)
	mark="<!-- made by draw.sh of text with the checksum $sum -->"
	if [ "$check" = --check ]; then
		grep -qsF -e "$mark" "$1.svg" && return
		echo "doc/figures/$1.svg: is not up to date; run doc/figures/draw.sh"
		failed=1
		return
	fi
	font="Helvetica,Arial,sans-serif"
	printf '%s\n' "$text" |
		dot -Tsvg -Gfontname="$font" -Nfontname="$font" \
			-Efontname="$font" \
			-Nfontsize=12 -Efontsize=11 >"$1.tmp" || exit 1
	awk -v mark="$mark" -v style="$style" '
		/^<svg/ { print mark }
		/^<!--/ || /^ *-->/ { next } # the version of Graphviz
		{ print }
		/xmlns/ { print style }' "$1.tmp" >"$1.svg"
	rm "$1.tmp"
}

check=${1:-}
for text in *.dot; do
	figure "${text%.dot}" <"$text"
done
# Not behind a pipe: there a failure would be forgotten.
includes=$(awk -f includes.awk "$top"/include/libminiasync*/*.h \
	"$top"/src/*/*.h "$top"/src/*/*.c) || exit 1
figure includes <<END
$includes
END
exit $failed
