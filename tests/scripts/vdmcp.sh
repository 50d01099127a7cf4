#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# vdmcp.sh VDMCP [dml] -- tests the program by its options; dml: built with DML

set -u

vdmcp=$1
dml=${2:-}
[ -x "$vdmcp" ] || { echo "vdmcp.sh: $vdmcp: no such program"; exit 1; }
. "${0%/*}/checks.sh"
cd "$work" || exit 1

# Nothing but the named files may be left.
only() {
	left=$(ls -A | tr '\n' ' ')
	[ "$left" = "$1 " ] ||
		wrong "the folder has '$left', not '$1 '"
}

# copies WHAT FLAGS...: src arrives as dst
copies() {
	what=$1
	shift
	"$vdmcp" "$@" src dst >out 2>err ||
		wrong "$what: exit status $?, not 0: $(cat err)"
	cmp -s src dst || wrong "$what: dst differs from src"
	[ -s err ] &&
		wrong "$what: prints on standard error: $(cat err)"
	rm -f out err dst
}

# refuses STATUS WHAT TEXT ARGUMENTS...: with this status and an error with this
# text, and with one more line of usage if the status is 2
refuses() {
	status=$1
	what=$2
	text=$3
	shift 3
	"$vdmcp" "$@" >out 2>err
	[ $? -eq "$status" ] ||
		wrong "$what: the exit status is not $status: $(cat err)"
	sed -n 1p err | grep -q "^vdmcp: .*$text" ||
		wrong "$what: the message has no '$text': $(cat err)"
	sed 1d err | grep -c '^usage: ' | grep -qx $((status - 1)) ||
		wrong "$what: usage is missing, or not wanted: $(cat err)"
	[ "$(wc -l <err)" -eq "$status" ] ||
		wrong "$what: the message is not $status lines: $(cat err)"
	[ ! -s out ] ||
		wrong "$what: prints on standard output: $(cat out)"
	rm -f out err
}

# A sanitizer or valgrind copies so much more slowly.
slow=1
if grep -q -e __asan_init -e __tsan_init -e MIA_TEST_EMULATED "$vdmcp"; then
	slow=10
fi

head -c $((50000001 / slow)) /dev/urandom >src
copies plain
copies verified --verify
copies durable --durable --no-cache --verify
copies sync --mover sync --verify
copies "one thread" --mover threads --threads 1
copies "nine threads" --threads 9 --verify
if [ -n "$dml" ]; then
	copies dml --mover dml --verify
	copies "dml, durable" --mover dml --durable --no-cache --verify
	"$vdmcp" --mover dml --verbose src dst >out 2>err ||
		wrong "dml --verbose: exit status $?, not 0"
	[ "$(grep -c 'DSA' err)" -eq 1 ] ||
		wrong "dml --verbose: not one line about DSA: $(cat err)"
	rm -f out err dst
fi
: >src
copies empty --verify
printf x >src
copies "one byte" --verify --durable

chmod 640 src
"$vdmcp" src dst >out || wrong "mode: exit status $?, not 0"
[ "$(stat -c %a dst)" = 640 ] || wrong "mode: $(stat -c %a dst), not 640"
[ "$(wc -l <out)" -eq 1 ] || wrong "summary: not one line: $(cat out)"
[ -z "$("$vdmcp" --quiet src dst)" ] || wrong "--quiet: prints a summary"
rm dst out

chmod 4755 src
"$vdmcp" --quiet src dst
[ "$(stat -c %a dst)" = 755 ] ||
	wrong "set-user-id: mode $(stat -c %a dst), not 755"
chmod 640 src
rm dst
"$vdmcp" --help >out 2>err || wrong "--help: exit status $?, not 0"
grep -q '^usage' out || wrong "--help: no usage"
[ ! -s err ] || wrong "--help: prints on standard error: $(cat err)"
"$vdmcp" --help >/dev/full 2>err &&
	wrong "--help >/dev/full: exit status 0, not 1"
rm -f out err
"$vdmcp" src dst >/dev/full 2>err &&
	wrong "vdmcp src dst >/dev/full: exit status 0, not 1"
rm -f err dst
long=$(printf '%0250d' 0)
"$vdmcp" --quiet src "$long" ||
	wrong "a long name: exit status $?, not 0"
rm -f "$long"

refuses 2 "no arguments" "'vdmcp': a file name must follow"
refuses 2 "no destination" "'src': a file name must follow" --verify src
refuses 2 "no value" "'--threads'" src dst --threads
refuses 2 "a value" "'--quiet=1'" --quiet=1 src dst
refuses 2 "no threads" "'0'" --threads 0 src dst
refuses 2 "negative threads" "'-1'" --threads -1 src dst
refuses 2 "threads, not a number" "'2x'" --threads 2x src dst
refuses 2 "threads of the synchronous mover" '--threads' \
	--mover sync --threads 2 src dst
refuses 1 "too many threads" 'mover' --threads 99999999999 src dst
refuses 2 "threads of DML" '--threads' --mover dml --threads 2 src dst
[ -n "$dml" ] || refuses 2 "dml, without it" '--mover dml' --mover dml src dst
refuses 2 "unknown mover" "'sledge'" --mover sledge src dst
refuses 2 "unknown option" "'--fast': unknown option" src --fast dst
refuses 2 "unknown letter" "'-q': unknown option" --quiet src dst -qx
refuses 1 "same file" 'src: .*same' src src
ln src link
refuses 1 "same file by link" 'link: .*same' src link
rm link
ln -s src link
refuses 1 "same file by symbolic link" 'src: .*same' link src
rm link
mkdir dir
refuses 1 "directory" 'dir: is a directory' dir dst
refuses 1 "directory with a slash" 'dir/: is a directory' dir/ dst
refuses 1 "this directory" '\.: is a directory' . dst
refuses 1 "parent into a directory" '\.\.: is a directory' .. dir
refuses 1 "same file in a directory" '\./src: .*same' src .
refuses 1 "same file in its directory" 'dir/\.\./src: .*same' src dir/..
rmdir dir
mkfifo fifo
refuses 1 "pipe" 'fifo: is not a regular file' fifo dst
refuses 1 "onto a pipe" 'fifo: .*not a regular file' src fifo
rm fifo
refuses 1 "no such source" 'nothing: No such file' nothing dst
refuses 1 "a source without a name" ': No such file' '' dst
refuses 1 "a destination without a name" ': No such file' src ''
refuses 1 "a file is no directory" 'src/: Not a directory' src/ dst
echo old >dst
refuses 1 "onto a file with a slash" 'dst/: Not a directory' src dst/
refuses 1 "below a file" 'dst/x: Not a directory' src dst/x
refuses 1 "two files onto a file" 'dst: is not a directory' src src dst
refuses 1 "two files, no directory" 'new: is not a directory' src dst new
[ "$(cat dst)" = old ] ||
	wrong "a refused copy has changed the destination"
rm dst
[ ! -r /proc/cpuinfo ] ||
	refuses 1 "no size" '/proc/cpuinfo: .*size' /proc/cpuinfo dst
refuses 1 "no such folder" 'no/such/dst: .*No such file' src no/such/dst
refuses 1 "no such folder with a slash" 'new/: .*No such file' src new/
refuses 1 "too long a name" '000: File name too long' src "$long$long"
only src

# Into a directory, under the name of each source.
mkdir dir dir/b
printf another >a
echo other >-b
"$vdmcp" --verify a dir >out 2>err || wrong "into dir: $(cat err)"
"$vdmcp" dir/../a dir/ >>out ||
	wrong "into dir/: exit status $?, not 0"
cmp -s a dir/a || wrong "into dir: dir/a differs from a"
[ "$(cut -d : -f 1 out)" = "$(printf 'a -> dir/a\ndir/../a -> dir/a')" ] ||
	wrong "into dir: wrong summary: $(cat out)"
ln -s dir link
"$vdmcp" --quiet --durable -- src -b link ||
	wrong "into link: exit status $?, not 0"
cmp -s src dir/src || wrong "into link: dir/src differs from src"
cmp -s ./-b dir/-b || wrong "into link: dir/-b differs from -b"
(cd dir/b && "$vdmcp" --quiet ../a .. 2>err &&
	wrong "onto itself: exit status 0, not 1"
	"$vdmcp" --quiet ../src . && cmp -s ../src src ||
		wrong "into .: ../src and src differ"
	rm -f src err
	exit $((failed > 0))) || failed=1
cmp -s a dir/a || wrong "onto itself: dir/a has changed"
rm link out err
rm dir/src dir/-b
mkdir more
echo more >more/a
echo more >more/b
refuses 1 "onto a directory" 'dir/b: exists' more/b dir
# What fails keeps the others from nothing. No copy is lost by another.
"$vdmcp" a more/b nothing more/a src dir >out 2>err
[ $? -eq 1 ] || wrong "some fail: the exit status is not 1"
[ "$(cut -d : -f 1 out)" = "$(printf 'a -> dir/a\nsrc -> dir/src')" ] ||
	wrong "some fail: wrong summaries: $(cat out)"
[ "$(cut -d : -f 1,2 err)" = \
	"$(printf 'vdmcp: %s\n' dir/b nothing more/a)" ] ||
	wrong "some fail: wrong errors: $(cat err)"
cmp -s a dir/a || wrong "some fail: dir/a differs from a"
cmp -s src dir/src || wrong "some fail: dir/src differs from src"
[ "$(ls -A dir | tr '\n' ' ')" = 'a b src ' ] ||
	wrong "some fail: wrong files in dir: $(ls -A dir)"
rm -r a ./-b dir more out err
only src

# No room: the limit on a file's size stands for a full disk.
head -c 5000000 /dev/zero >src
echo old >dst
(ulimit -f 100; refuses 1 "no room" dst src dst; exit $((failed > 0))) || failed=1
[ "$(cat dst)" = old ] || wrong "no room: the old destination has changed"
only "dst src"
rm dst

# The limit comes when the space is reserved: it refuses write(), but no store.
if command -v prlimit >/dev/null; then
	head -c $((200000001 / slow)) /dev/urandom >src
	"$vdmcp" src dst >out 2>err &
	pid=$!
	while kill -0 $pid 2>/dev/null && [ -z "$(find . -name '.vdmcp*' -size +0)" ]
	do :; done
	prlimit --pid $pid --fsize=1000000 2>/dev/null
	wait $pid || wrong "a late limit: exit status $?, not 0: $(cat err)"
	cmp -s src dst || wrong "a late limit: dst differs from src"
	rm -f out err dst
else
	echo "vdmcp.sh: prlimit(1) is missing: refused writes are not tested"
fi

# A sparse source of which more is claimed than is there.
truncate -s $((200 / slow))M src
copies sparse --verify

# Truncated while it is copied: an error, no signal, nothing left. The next file
# arrives.
head -c $((400000000 / slow)) /dev/zero >src
echo next >next
mkdir dir
for i in 1 2 3 4 5 6 7 8; do
	"$vdmcp" src next dir >out 2>err &
	pid=$!
	while kill -0 $pid 2>/dev/null && ! ls -A dir | grep -q vdmcp; do :; done
	truncate -s 1000 src
	wait $pid
	status=$?
	[ $status -lt 128 ] ||
		wrong "truncated: ended by a signal: exit status $status"
	[ $status -ne 1 ] ||
		{ truncated=1; [ ! -e dir/src ] || wrong "truncated: dir/src exists"; }
	cmp -s next dir/next ||
		wrong "truncated: dir/next differs from next: $(cat err)"
	rm -f dir/src dir/next out err
	truncate -s $((400000000 / slow)) src
	[ -z "${truncated:-}" ] || break
done
[ -n "${truncated:-}" ] ||
	wrong "truncated: 8 copies succeeded, so none was truncated"
rmdir dir || wrong "truncated: dir is not empty: $(ls -A dir)"
rm next
only src

# Interrupted: nothing left, and dead by the signal.
for i in 1 2 3 4 5 6 7 8; do
	"$vdmcp" src dst >out 2>err &
	pid=$!
	while kill -0 $pid 2>/dev/null && ! ls -A | grep -q vdmcp; do :; done
	kill -TERM $pid
	wait $pid
	status=$?
	[ $status -eq 143 ] && { interrupted=1; [ ! -e dst ] || wrong "killed: dst exists"; }
	[ $status -eq 143 ] || [ $status -eq 0 ] ||
		wrong "killed: exit status $status, not 143 or 0"
	rm -f dst out err
	[ -z "${interrupted:-}" ] || break
done
[ -n "${interrupted:-}" ] ||
	wrong "killed: 8 copies ended before the signal"
only src

# Changed while it is copied, at the same size: an error, nothing left.
for i in 1 2 3 4 5 6 7 8; do
	"$vdmcp" src dst >out 2>err &
	pid=$!
	while kill -0 $pid 2>/dev/null && ! ls -A | grep -q vdmcp; do :; done
	printf y | dd of=src conv=notrunc status=none
	wait $pid
	status=$?
	[ $status -ne 1 ] || { changed=1; [ ! -e dst ] || wrong "changed: dst exists"; }
	rm -f dst out err
	[ -z "${changed:-}" ] || break
done
[ -n "${changed:-}" ] ||
	wrong "changed: 8 copies succeeded, so none was changed"

# Signals that whoever started it turned off stay off.
(trap '' HUP; exec "$vdmcp" --quiet src dst) &
pid=$!
while kill -0 $pid 2>/dev/null && ! ls -A | grep -q vdmcp; do :; done
kill -HUP $pid 2>/dev/null
wait $pid || wrong "nohup: exit status $?, not 0"
cmp -s src dst || wrong "nohup: dst differs from src"
rm -f dst

# A terminal shows the bar, in less than 80 columns.
if command -v script >/dev/null; then
	script -qec "$vdmcp --verify src dst" tty </dev/null >/dev/null ||
		wrong "terminal: exit status $?, not 0"
	grep -q '100%.*left' tty || wrong "terminal: no progress bar"
	tr '\r' '\n' <tty | grep left | grep -q '.\{83\}' &&
		wrong "terminal: the progress bar has 80 columns or more"
	grep -q 'verified' tty || wrong "terminal: no summary"
else
	echo "vdmcp.sh: script(1) is missing: the progress bar is not tested"
fi

[ $failed -eq 0 ] && echo "vdmcp.sh: all right"
exit $((failed > 0))
