# SPDX-License-Identifier: BSD-3-Clause
#
# includes.awk FILE... -- which part of the library includes which, for dot
#
# x.c, x.h and their _windows are one part; so are memory_cpu.h and the files of
# the CPUs. A part is in the box of its storey. Public parts are bold. What a
# part gets through another that it includes is left out.

function part(name) {
	sub(/.*\//, "", name)
	sub(/(_windows)?\.[ch]$/, "", name)
	sub(/^memory_.*/, "memory_cpu", name)
	return name
}

FNR == 1 {
	this = part(FILENAME)
	if (!(this in is_public)) {
		parts[++n] = this
		is_public[this] = 0
	}
	n_path = split(FILENAME, path, "/")
	if (FILENAME ~ /include\//)
		is_public[this] = 1
	else if (!(this in storey))
		storey[this] = path[n_path - 1]
	if (FILENAME ~ /\.c$/)
		has_source[this] = 1
}

/^#include [<"]/ {
	name = $2
	gsub(/[<">]/, "", name)
	if (part(name) != this)
		includes[this, part(name)] = 1
}

# Whether a includes b by way of others. A part may include its own header by
# way of others too, so each is looked at once.
function search(a, b, depth,    i) {
	if (depth > 0 && (a, b) in includes)
		return 1
	if (a in seen)
		return 0
	seen[a] = 1
	for (i = 1; i <= n; i++)
		if (parts[i] != b && (a, parts[i]) in includes &&
			search(parts[i], b, depth + 1))
			return 1
	return 0
}

function reaches(a, b) {
	split("", seen)
	return search(a, b, 0)
}

function node(name) {
	printf "\t%s [label=\"%s%s\"%s]\n", name, name,
		name in has_source ? "" : ".h",
		is_public[name] ? ", style=\"rounded,bold\"" : ""
}

END {
	print "digraph includes {"
	print "\tgraph [rankdir=TB, nodesep=0.3, ranksep=0.45, newrank=true]"
	print "\tnode [shape=box, style=rounded]"
	storeys = split("movers crew operation wait system", order, " ")
	for (k = 1; k <= storeys; k++) {
		printf "\tsubgraph cluster_%s {\n", order[k]
		printf "\tlabel=\"%s/\"\n\tlabeljust=l\n", order[k]
		for (i = 1; i <= n; i++)
			if ((parts[i] in storey) &&
				storey[parts[i]] == order[k])
				node(parts[i])
		print "\t}"
	}
	for (i = 1; i <= n; i++)
		if (!(parts[i] in storey))
			node(parts[i])
	for (i = 1; i <= n; i++)
		for (j = 1; j <= n; j++)
			if ((parts[i], parts[j]) in includes &&
				!reaches(parts[i], parts[j]))
				printf "\t%s -> %s\n", parts[i], parts[j]
	print "}"
}
