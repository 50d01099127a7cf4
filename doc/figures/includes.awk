# SPDX-License-Identifier: BSD-3-Clause
#
# includes.awk FILE... -- which part of the library includes which, for dot
#
# x.c, x.h and their _windows are one part; public ones are bold. What a part
# gets through another that it includes is left out.

function part(name) {
	sub(/.*\//, "", name)
	sub(/(_windows)?\.[ch]$/, "", name)
	return name
}

FNR == 1 {
	this = part(FILENAME)
	if (!(this in is_public)) {
		parts[++n] = this
		is_public[this] = 0
	}
	if (FILENAME ~ /include\//)
		is_public[this] = 1
	if (FILENAME ~ /\.c$/)
		has_source[this] = 1
}

/^#include [<"]/ {
	name = $2
	gsub(/[<">]/, "", name)
	if (part(name) != this)
		includes[this, part(name)] = 1
}

# Whether a includes b by way of others, from part i on.
function reaches(a, b, depth,    i) {
	if (depth > 0 && (a, b) in includes)
		return 1
	for (i = 1; i <= n; i++)
		if (parts[i] != b && (a, parts[i]) in includes &&
			reaches(parts[i], b, depth + 1))
			return 1
	return 0
}

END {
	print "digraph includes {"
	print "\tgraph [rankdir=TB, nodesep=0.5, ranksep=0.5]"
	print "\tnode [shape=box, style=rounded]"
	for (i = 1; i <= n; i++)
		printf "\t%s [label=\"%s%s\"%s]\n", parts[i], parts[i],
			parts[i] in has_source ? "" : ".h",
			is_public[parts[i]] ? ", style=\"rounded,bold\"" : ""
	for (i = 1; i <= n; i++)
		for (j = 1; j <= n; j++)
			if ((parts[i], parts[j]) in includes &&
				!reaches(parts[i], parts[j], 0))
				printf "\t%s -> %s\n", parts[i], parts[j]
	print "}"
}
