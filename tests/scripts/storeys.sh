#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# storeys.sh SOURCE -- no include of src leads up, or sideways to another storey,
# and only system/ calls the system; no file of src and tests is too long
#
# The storeys, and the includes of each, are in the table below. A mover may not
# include another mover, data_mover_*. No modules may include each other in a circle.

set -eu

cd "$1/src"

# storey: storeys below it | public headers
table='
system:    | future version
operation: system | future vdm
crew:      system |
wait:      system | future runtime completion_queue
movers:    crew operation system | future vdm data_mover_sync data_mover_threads data_mover_dml data_mover_fabric
'
# The CPU pause of future.h, and version.h, are all that system/ includes of the
# library.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Lines "file storey header", of every include with quotation marks.
grep -n '^ *# *include *"' */*.[ch] |
	sed 's/^\([^:]*\):[0-9]*:[^"]*"\([^"]*\)".*/\1 \2/' >"$work/includes"
[ "$(wc -l <"$work/includes")" -gt 50 ] ||
	{ echo "storeys.sh: src has no more than 50 includes"; exit 1; }
if grep -nE '^ *# *include *<(libminiasync|[a-z]+/)' */*.[ch] |
	grep -vE '<(sys|arpa|linux|net|netinet|dml|rdma|sanitizer|valgrind)/'; then
	echo "storeys.sh: include own headers with quotation marks"
	exit 1
fi

printf '%s' "$table" | awk '
	NR == FNR { # the table
		if (!/:/)
			next
		storey = $1
		sub(/:/, "", storey)
		line = $0
		sub(/^[^:]*:/, "", line)
		split(line, halves, "|")
		n = split(halves[1], below, " ")
		allowed[storey, storey] = 1
		for (i = 1; i <= n; i++)
			allowed[storey, below[i]] = 1
		n = split(halves[2], headers, " ")
		for (i = 1; i <= n; i++)
			public[storey, headers[i]] = 1
		known[storey] = 1
		next
	}
	{
		split($1, from, "/")
		n = split($2, to, "/")
		module = from[2]
		sub(/\.[ch]$/, "", module)
		header = to[n]
		sub(/\.h$/, "", header)

		if (!(from[1] in known))
			problem = from[1] " is not a storey; see the table"
		else if (n != 2)
			problem = "the include names no folder"
		else if (to[1] ~ /^libminiasync/)
			problem = ((from[1], header) in public) ? "" : \
				from[1] " may not include this public header"
		else if (!((from[1], to[1]) in allowed))
			problem = "this leads up or sideways; see the table"
		else if (from[1] == "movers" && to[1] == "movers" &&
			module != header && header ~ /^data_mover_/)
			problem = "a mover may not include another mover"
		else
			problem = ""
		if (problem != "") {
			printf "storeys.sh: src/%s includes %s: %s\n", $1, $2, problem
			failed = 1
		}
	}
	END { exit failed }
' - "$work/includes" || exit 1

# A circle. The Windows half of a module belongs to the module.
sed 's/_windows\.\([ch]\)/.\1/g; s/\.[ch] / /; s/\.[ch]$//' "$work/includes" |
	awk '$1 != $2' | tsort >/dev/null 2>"$work/circle" ||
	{ echo "storeys.sh: these modules include each other:"; cat "$work/circle"; exit 1; }
[ ! -s "$work/circle" ] ||
	{ echo "storeys.sh: these modules include each other:"; cat "$work/circle"; exit 1; }

# Threads, clocks and errno, under other names than those of platform.h.
system='(pthread_|sched_|sem_|sysconf|nanosleep|clock_gettime)[a-z_]* *\('
if grep -nE "[^a-z_]$system|errno = saved" $(ls */*.[ch] | grep -v '^system/'); then
	echo "storeys.sh: call the function of src/system/platform.h instead"
	exit 1
fi

# The limits of length.
for file in */*.c; do
	max=300
	case $file in
	movers/* | wait/watch.c | operation/operation_pool.c)
		max=600 ;;
	operation/completion.c) # one protocol
		max=400 ;;
	esac
	lines=$(wc -l <"$file")
	[ "$lines" -le $max ] || {
		echo "storeys.sh: src/$file has $lines lines, more than $max:" \
			"move a part of it to another file"
		: >"$work/long"
	}
done
cd ..
for file in $(find tests -name '*.c'); do
	lines=$(wc -l <"$file")
	[ "$lines" -le 500 ] || {
		echo "storeys.sh: $file has $lines lines, more than 500:" \
			"move a part of it to another file"
		: >"$work/long"
	}
done
[ ! -e "$work/long" ] || exit 1
echo "storeys.sh: $(wc -l <"$work/includes") includes, none up or sideways"
