#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# probes.sh WHAT SOURCE CC LIBRARY -- tests the probes and miniasync_probes(7)
#
#	notes     readelf finds the probes of the page with as many arguments, and
#	          no others: in the library, a shared one of it, and a program
#	gdb       each probe fires in tests/scripts/probes/traced.c, with the
#	          arguments that belong to what the program does
#	bpftrace  each command of the page counts what it says

set -u

what=$1
source=$2
cc=$3
library=$4
page=$source/doc/man/miniasync_probes.7.md
. "${0%/*}/checks.sh"

command -v readelf >/dev/null ||
	{ echo "probes.sh: skipped: readelf is missing (Debian package binutils)"; exit 77; }

# A shared library, and a program that contains the archive, if it is one.
shared=$library
case $library in
*.a)
	shared=$work/libminiasync.so
	"$cc" -shared -Wl,--whole-archive "$library" -Wl,--no-whole-archive \
		-pthread -o "$shared" || exit 1
	;;
esac
for kind in "$library" "$shared"; do
	"$cc" -std=c11 -D_GNU_SOURCE -I"$source/include" \
		"$source/tests/scripts/probes/traced.c" "$kind" \
		-Wl,-rpath,"$(dirname "$kind")" -pthread \
		-o "$work/traced" || exit 1
	[ "$kind" = "$shared" ] || cp "$work/traced" "$work/traced_static"
done

# Lines "name arguments", from the page and from the notes.
sed -n 's/^\*\*\([a-z_]*\)\*\*\(\( \*[a-z]*\*\)*\)$/\1\2/p' "$page" |
	awk '{ print $1, NF - 1 }' | sort >"$work/page"
[ "$(wc -l <"$work/page")" -ge 10 ] ||
	wrong "$page: fewer than 10 probes"

# each_probe COMMAND: calls it with the name and the count of each on the page
each_probe() {
	while read -r name n; do
		"$1" "$name" "$n"
	done <"$work/page"
}

notes() {
	for file in "$library" "$shared" "$work/traced_static"; do
		[ -e "$file" ] || continue
		readelf -n "$file" 2>/dev/null | awk '
			/Provider:/ { ours = $NF == "libminiasync" }
			/^ *Name:/ { name = $2 }
			/^ *Arguments:/ && ours { print name, NF - 1 }' |
			sort -u >"$work/notes"
		diff "$work/page" "$work/notes" >"$work/log" ||
			wrong "$file: the page (<) and the notes (>) differ:" \
				"$(cat "$work/log")"
	done
}

# Prints "probe THREAD NAME ARGUMENT..." where the program comes to it.
gdb_commands() {
	echo "break -probe-stap libminiasync:$1"
	echo "commands"
	echo "silent"
	printf 'printf "probe %%d %s' "$1"
	for i in $(seq "$2"); do printf ' %%lx'; done
	printf '\\n", $_thread'
	for i in $(seq "$2"); do printf ', (long)$_probe_arg%d' $((i - 1)); done
	printf '\ncontinue\nend\n'
}

by_gdb() {
	command -v gdb >/dev/null ||
		{ echo "probes.sh: skipped: gdb is missing (Debian package gdb)"; exit 77; }
	gdb -nx -batch -ex run --args true 2>&1 | grep -q "exited normally" ||
		{ echo "probes.sh: skipped: gdb cannot run a program here"; exit 77; }
	traced=$work/traced
	[ ! -e "$work/traced_static" ] || traced=$work/traced_static
	{
		echo "set pagination off"
		echo "set breakpoint pending on"
		# The libraries of a program are there from its main on.
		echo "break main"
		echo "run"
		each_probe gdb_commands
		echo "continue"
	} >"$work/commands"
	gdb -nx -batch -x "$work/commands" "$traced" >"$work/log" 2>&1
	grep -q "^traced: all done" "$work/log" ||
		wrong "gdb: traced.c did not end: $(tail -n 20 "$work/log")"
	awk '
	function wrong(s) { print s; failed = 1 }
	function hex(n) { return sprintf("%x", n) }
	function once(type, n, runner, result,    key) {
		key = type " " hex(n)
		if (!(key in op))
			wrong("no submit of type and size " key)
		else if (op[key] != runner " " result)
			wrong("type and size " key ": runner and result " \
				op[key] ", not " runner " " result)
	}
	function has(line) {
		if (!(line in seen))
			wrong("not seen: " line)
	}
	/^(runtime|queue) / { address[$1] = substr($2, 3) }
	$1 != "probe" { next }
	{
		fired[$3]++
		line = $3
		for (i = 4; i <= NF; i++)
			line = line " " $i
		seen[line] = 1
	}
	$3 == "submit" {
		if ($4 in pending)
			wrong("submitted twice: " $0)
		pending[$4] = $5 " " $6
		runner[$4] = ""
	}
	$3 == "run" {
		if (!($4 in pending))
			wrong("not submitted: " $0)
		else if (runner[$4] == "")
			runner[$4] = $5
	}
	$3 == "shared" && !($4 in pending) { wrong("not submitted: " $0) }
	$3 == "complete" {
		if (!($4 in pending))
			wrong("not submitted: " $0)
		op[pending[$4]] = runner[$4] " " $5
		delete pending[$4]
	}
	$3 == "sleep" {
		if ($2 in sleeps)
			wrong("sleeps already: " $0)
		sleeps[$2] = $4
		place[$4] = slept[$2] = 1
	}
	$3 == "awake" {
		if (sleeps[$2] != $4)
			wrong("did not sleep: " $0)
		delete sleeps[$2]
	}
	# May come before the sleep.
	$3 == "wake" { woken[$4] = 1 }
	END {
		# As traced.c says. Runners: 0 the poll, 1 who waits, 2 a worker.
		for (n = 1000; n <= 2000; n += 1000) {
			once(0, n, 0, 0)
			once(1, n + 1, 0, 0)
			once(2, n + 2, 0, 0)
			once(0, n + 3, 0, 2)
		}
		once(4, 3, 0, 0)
		once(0, 16777215, 2, 0)
		once(0, 16777214, 1, 0)
		has("wait_begin " address["runtime"] " 1 1")
		has("wait_end " address["runtime"] " 0")
		has("wait_begin " address["queue"] " 3 2")
		has("reap " address["queue"] " 2 1")
		has("reap " address["queue"] " 1 0")
		has("refused 0 c")
		while ((getline probe < page) > 0) {
			sub(/ .*/, "", probe)
			if (!fired[probe])
				wrong(probe " did not fire")
		}
		for (at in woken)
			if (!(at in place))
				wrong("no thread slept at the woken address " at)
		if (!slept[1])
			wrong("the waiting thread did not sleep")
		exit failed
	}' page="$work/page" "$work/log" >"$work/wrong" ||
		wrong "gdb: $(cat "$work/wrong")"
	echo "gdb: $(grep -c '^probe ' "$work/log") hits"
}

# stop PID: a signal that comes before all probes are attached is lost
stop() {
	for i in $(seq 60); do
		kill -INT "$1" 2>/dev/null || break
		sleep 0.5
	done
	kill -KILL "$1" 2>/dev/null
	wait "$1"
}

by_bpftrace() {
	command -v bpftrace >/dev/null || {
		echo "probes.sh: skipped: bpftrace is missing" \
			"(Debian package bpftrace)"
		exit 77
	}
	bpftrace -e "usdt:$shared:libminiasync:submit { } BEGIN { exit(); }" \
		>"$work/log" 2>&1 ||
		{ echo "probes.sh: skipped: bpftrace cannot trace here"; exit 77; }
	awk -v folder="$work" '
		/^```/ { inside = !inside; file = ""; next }
		inside && /^bpftrace -e/ { file = folder "/" ++n ".sh" }
		inside && file != "" { print >file }' "$page"
	for file in "$work"/*.sh; do
		# exec, so that the signal reaches it.
		sed 's/^bpftrace/exec bpftrace/' "$file" >"$file.exec"
		maps=$(grep -oE '@[a-z]+(\[[^=]*\])? = (hist|count)' "$file" |
			grep -oE '^@[a-z]+')
		for delay in 1 3 9; do
			LIB=$shared sh "$file.exec" >"$work/log" 2>&1 &
			tracer=$!
			for i in $(seq 300); do
				grep -q Attaching "$work/log" && break
				kill -0 $tracer 2>/dev/null || break
				sleep 0.1
			done
			sleep $delay
			"$work/traced" >/dev/null ||
				wrong "bpftrace: traced.c failed"
			stop $tracer
			missing=
			for map in $maps; do
				grep -q "^$map\(\[\|:\)" "$work/log" ||
					missing="$missing $map"
			done
			[ -n "$missing" ] || break
		done
		[ -n "$maps" ] ||
			wrong "bpftrace: this command counts nothing: $(cat "$file")"
		[ -z "$missing" ] ||
			wrong "bpftrace: no counts of$missing:" \
				"$(cat "$file" "$work/log")"
	done
	echo "bpftrace: $(ls "$work"/*.sh | wc -l) commands"
}

case $what in
notes) notes ;;
gdb) by_gdb ;;
bpftrace) by_bpftrace ;;
esac

echo "probes.sh: $(wc -l <"$work/page") on the page, $failed wrong"
[ $failed -eq 0 ]
