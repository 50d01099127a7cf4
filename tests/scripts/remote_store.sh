#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# remote_store.sh REMOTE_STORE SPOIL -- tests examples/remote_store: fills and
# checks a table of another process, finds damage, and sees how the server ends

set -u

store=$1
spoil=$2
. "${0%/*}/checks.sh"
server=
trap 'kill -KILL $server 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1

is_gone() {
	! kill -0 "$1"
}

# serve [OPTION...]: a server with a token in the file "token"
serve() {
	rm -f token
	"$store" serve "$@" token >served 2>&1 &
	server=$!
	until_true test -s token || until_true is_gone $server
	[ -s token ] || wrong "serve $*: wrote no token: $(cat served)"
}

# served STATUS TEXT: the server has ended so
served() {
	wait $server
	status=$?
	server=
	[ $status -eq "$1" ] ||
		wrong "server: exit status $status, not $1: $(cat served)"
	grep -q "$2" served || wrong "server: does not print '$2': $(cat served)"
	[ ! -e token ] || wrong "server: did not delete its token file"
}

# client STATUS TEXT ARGUMENT...
client() {
	wanted=$1
	text=$2
	shift 2
	timeout 60 "$store" "$@" >out 2>&1
	status=$?
	[ $status -eq "$wanted" ] ||
		wrong "$*: exit status $status, not $wanted: $(cat out)"
	grep -q "$text" out || wrong "$*: does not print '$text': $(cat out)"
}

# Where libfabric cannot be loaded nothing can be tested but that.
"$store" serve --seconds 1 token >out 2>&1
status=$?
if grep -q 'no libfabric.so.1' out; then
	[ $status -eq 1 ] || {
		wrong "without libfabric: exit status $status, not 1: $(cat out)"
		exit 1
	}
	echo "remote_store.sh: skipped: $(cat out)"
	exit 77
fi
[ $status -eq 0 ] ||
	wrong "serve --seconds 1: exit status $status, not 0: $(cat out)"
[ ! -e token ] || wrong "serve --seconds 1: did not delete its token file"

serve --records 1000 --record-bytes 4100 --listen 127.0.0.1:0
[ "$(stat -c %a token)" = 600 ] ||
	wrong "token: file mode $(stat -c %a token), not 600"
client 0 ' 0 valid, 1000 empty, 0 damaged' check token
client 0 '1000 records, .* MiB/s' fill token
client 0 ' 1000 valid, 0 empty, 0 damaged' check token
client 0 ' 1000 valid' check - <token
sed 's/\(.*\)./\1/' token >cut
client 1 'not a token' check cut
client 1 'not a token' check /dev/null
client 1 'No such file' check missing
cp token old
kill -TERM $server
served 0 ' 1000 valid, 0 empty, 0 damaged'
client 3 'other side: no server listens' check old

# The token on standard output is the first line there, and nothing follows.
"$store" serve --seconds 4 --records 64 - >token 2>served &
server=$!
until_true test -s token || wrong "serve -: no token on standard output"
grep -q 'secret' served ||
	wrong "serve -: does not say that the token is secret: $(cat served)"
client 0 '64 records' fill token
cp token printed
rm token
served 0 ' 64 valid, 0 empty, 0 damaged'
[ "$(wc -l <printed)" -eq 1 ] ||
	wrong "serve -: standard output is not one line: $(cat printed)"

# A client that writes what it likes: others find it, and none trusts it.
# spoilt OFFSET NUMBER STATUS TEXT: so check ends then
spoilt() {
	"$spoil" token "$1" "$2" || wrong "spoil token $1 $2: exit status $?, not 0"
	client "$3" "$4" check token
}
serve --records 300 --record-bytes 4096
client 0 '300 records' fill token
spoilt $((4096 * 8 + 16)) $((1 << 60)) 4 ' 299 valid, 0 empty, 1 damaged' # length
spoilt $((4096 * 9 + 8)) 7 4 ' 298 valid, 0 empty, 2 damaged' # index
spoilt $((4096 * 300 + 4088)) 1 4 ' 297 valid, 0 empty, 3 damaged' # data
client 0 '300 records' fill token
client 0 ' 300 valid, 0 empty, 0 damaged' check token
for number in 0 32 4095 8192 -8; do
	spoilt 16 $number 4 'holds no table' # bytes of a record
done
spoilt 16 4096 0 ' 300 valid'
for number in 0 301 -1; do
	spoilt 8 $number 4 'holds no table' # number of records
done
spoilt 8 299 0 ' 299 valid'
spoilt 0 1 4 'holds no table' # magic number
# The server believes no sizes but its own.
spoilt $((4096 * 8 + 16)) $((1 << 60)) 4 'holds no table'
kill -INT $server
served 4 ' 299 valid, 0 empty, 1 damaged'

# The server is killed, or stopped, or ends, while a client fills its table.
# under_way SIGNAL: one second later; afterwards status and err are the client's
under_way() {
	serve --records 4000000 --record-bytes 64
	rm -f err
	timeout 60 "$store" fill --timeout-ms 3000 token >err 2>&1 &
	client=$!
	until_true grep -q '%' err ||
		wrong "SIG$1: the client shows no progress: $(cat err)"
	kill "-$1" $server
	begin=$(date +%s)
	wait $client
	status=$?
	seconds=$(($(date +%s) - begin))
	[ $seconds -lt 10 ] ||
		wrong "SIG$1: the client ended after $seconds s, not below 10 s"
	[ $status -eq 3 ] ||
		wrong "SIG$1: exit status $status, not 3: $(cat err)"
	grep -q 'filled up to record [1-9][0-9]* of 4000000; ' err ||
		wrong "SIG$1: does not print the last record: $(cat err)"
}

under_way KILL
wait $server 2>/dev/null
grep -q 'other side: the server has ended.*(errno' err ||
	wrong "SIGKILL: wrong reason: $(cat err)"
client 3 'other side: no server listens' check token

under_way STOP
grep -q 'other side: the server does not answer (errno' err ||
	wrong "SIGSTOP: wrong reason: $(cat err)"
client 3 'other side: .*does not answer' check --timeout-ms 500 token
kill -KILL $server
wait $server 2>/dev/null

under_way TERM
grep -q 'other side: the server has ended.*(errno' err ||
	wrong "SIGTERM: wrong reason: $(cat err)"
served 0 ' [1-9][0-9]* valid, [1-9][0-9]* empty, 0 damaged'

# A terminal has a bar, of less than 80 columns.
if command -v script >/dev/null; then
	serve --records 500000 --record-bytes 64
	script -qec "$store fill token" tty </dev/null >/dev/null ||
		wrong "terminal: exit status $?, not 0"
	tr '\r' '\n' <tty | grep -q '^\[##*\.*\] [0-9]*%' ||
		wrong "terminal: no progress bar"
	tr '\r' '\n' <tty | grep '%' | grep -q '.\{83\}' &&
		wrong "terminal: the progress bar has 80 columns or more"
	kill -TERM $server
	served 0 ' 500000 valid, 0 empty, 0 damaged'
else
	echo "remote_store.sh: script(1) is missing:" \
		"the progress bar is not tested"
fi

[ $failed -eq 0 ] && echo "remote_store.sh: all right"
exit $((failed > 0))
