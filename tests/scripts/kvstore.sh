#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# kvstore.sh KVSTORE -- compares answers of the store with the expected ones,
# and random commands with a model in awk

set -u

kvstore=$1
[ -x "$kvstore" ] || { echo "kvstore.sh: $kvstore: no such program"; exit 1; }
. "${0%/*}/checks.sh"
cd "$work" || exit 1
seed=${MIA_TEST_SEED:-$(date +%s)}
echo "kvstore.sh: MIA_TEST_SEED=$seed"

# checksum N CHAR: what is shown of that character N times
checksum() {
	code=$(printf %d "'$2")
	awk -v n="$1" -v code="$code" 'BEGIN {
		for (i = 0; i < n; i++)
			s = (s * 31 + code) % 4294967291
		# 32 bits are too many for the %x of some
		printf "%d bytes, checksum %04x%04x", n, s / 65536, s % 65536
	}'
}

# answers WHAT [OPTION...] <commands, with the answer to each after "= "
# Not behind a pipe: there it would be a subshell that fails.
answers() {
	what=$1
	shift
	tee both | grep -v '^= ' >in # an answer may be empty: "= "
	sed -n 's/^= //p' both >want
	"$kvstore" "$@" <in >got 2>err || wrong "$what: exit status $?, not 0"
	cmp -s want got ||
		wrong "$what: expected (<) and actual (>) answers differ:" \
			"$(diff want got | cut -c1-200 | head)"
	[ ! -s err ] || wrong "$what: prints on standard error: $(cat err)"
}

answers basics <<END
put k some value
= ok
get k
= some value
put k another
= ok
get k
= another
del k
= ok
get k
= not found
del k
= not found
# a remark

put k
= ok
get k
= 
put k a
= ok
put k b
= ok
del k
= ok
put k c
= ok
get k
= c
END
head -c 16777217 /dev/zero >huge
answers errors <<END
get
= error: a key is needed
foo
= error: unknown command; try help
get a b
= error: the command takes one key
fill k
= error: fill takes a key, a number and a character
fill k -1 x
= error: fill takes a key, a number and a character
fill k 1 xy
= error: fill takes a key, a number and a character
fill k 1 x y
= error: fill takes a key, a number and a character
fill k 1x x
= error: fill takes a key, a number and a character
fill k 16777217 x
= error: the value is over 16 MiB
fill k 99999999999999999999999 x
= error: the value is over 16 MiB
get $(printf '%0201d' 0)
= error: the key is over 200 bytes
put $(printf '%0200d' 0) v
= ok
get $(printf '%0200d' 0)
= v
load k
= error: load takes a key and a file
load k no/such
= error: the file cannot be opened
load k .
= error: the file cannot be read
load k huge
= error: the value is over 16 MiB
load k /dev/zero
= error: the value is over 16 MiB
get k
= not found
stats
= keys 1, bytes 1, buckets 16, commands 3, batches 3
END

answers sizes <<END
fill e 0 x
= ok
get e
= 
fill b 200 x
= ok
get b
= $(printf '%0200d' 0 | tr 0 x)
fill b 201 x
= ok
get b
= $(checksum 201 x)
fill m 16777216 y
= ok
get m
= $(checksum 16777216 y)
stats
= keys 3, bytes 16777417, buckets 16, commands 8, batches 6
END

answers "out of memory" --limit 1000 <<END
fill a 600 x
= ok
fill b 600 x
= error: out of memory
get b
= not found
del a
= ok
fill b 600 x
= ok
fill b 500 x
= error: out of memory
get b
= $(checksum 600 x)
END

# These pairs have one hash, so that only the key tells them apart.
answers "equal hashes" <<END
put 37f69192-2 a
= ok
put afdcba8a-3 b
= ok
get 37f69192-2
= a
get afdcba8a-3
= b
put 37f69192-2 c
= ok
get afdcba8a-3
= b
del 37f69192-2
= ok
get 37f69192-2
= not found
del 37f69192-2
= not found
get afdcba8a-3
= b
put 13d9e4f5-0 d
= ok
get d53d45d-0
= not found
del d53d45d-0
= not found
get 13d9e4f5-0
= d
END

# 64 commands run together, and no more; on one key, one at a time.
awk 'BEGIN {
	for (i = 0; i < 64; i++) print "put k" i " " i "\n= ok"
	print "stats\n= keys 64, bytes 118, buckets 64, commands 64, batches 1"
	for (i = 0; i < 65; i++) print "put k" i " x\n= ok"
	print "stats\n= keys 65, bytes 65, buckets 128, commands 129, batches 3"
	for (i = 0; i < 100; i++) print "put k7 v" i "\n= ok\nget k7\n= v" i
	print "stats\n= keys 65, bytes 67, buckets 128, commands 329, batches 203"
	for (i = 0; i < 64; i++) print "get k" i "\n= " (i == 7 ? "v99" : "x")
	print "stats\n= keys 65, bytes 67, buckets 128, commands 393, batches 204"
}' >given
answers batches <given
# At most 64 MiB together, those to be replaced or shown among them.
awk 'BEGIN {
	for (i = 0; i < 9; i++) print "fill k" i " 16777216 x\n= ok"
	print "stats\n= keys 9, bytes 150994944, buckets 16, commands 9, batches 3"
	for (i = 0; i < 4; i++) print "fill k" i " 16777216 y\n= ok"
	print "stats\n= keys 9, bytes 150994944, buckets 16, commands 13, batches 5"
	for (i = 0; i < 9; i++) print "del k" i "\n= ok"
	print "stats\n= keys 0, bytes 0, buckets 16, commands 22, batches 8"
}' >given
answers "big batches" <given
# An overwrite that has room alone, but not beside another of its batch, big
# enough that the copies take longer than it takes to see that.
answers "room after the others" --limit 20000000 <<END
fill a 12000000 x
= ok
fill b 6000000 x
= ok
fill a 2000000 y
= ok
fill c 12000000 x
= ok
stats
= keys 3, bytes 20000000, buckets 16, commands 4, batches 2
put a
= ok
put d x
= ok
get b
= $(checksum 6000000 x)
stats
= keys 4, bytes 18000001, buckets 16, commands 7, batches 3
END

# What a file holds, any bytes, arrives as it is.
awk -v seed="$seed" 'BEGIN {
	srand(seed)
	for (i = 0; i < 300000; i++)
		printf "%c", 1 + int(rand() * 126)
}' >text
: >empty
printf 'a\0b' >zero
head -c 16777216 huge >"a name"
sum=$(od -An -v -tu1 text | awk '{
	for (i = 1; i <= NF; i++) s = (s * 31 + $i) % 4294967291
	n += NF
} END { printf "%d bytes, checksum %04x%04x", n, s / 65536, s % 65536 }')
answers files <<END
load t text
= ok
get t
= $sum
load t empty
= ok
get t
= 
load m a name
= ok
get m
= 16777216 bytes, checksum 00000000
load e empty
= ok
get e
= 
load t text
= ok
get t
= $sum
END
printf 'load z zero\nget z\n' | "$kvstore" >got ||
	wrong "a file with a zero byte: exit status $?, not 0"
printf 'ok\na\0b\n' | cmp -s - got ||
	wrong "a file with a zero byte: wrong answers"

# Lines as long as can be, longer, and with a zero byte; the last has no end.
long=$(printf '%065529d' 0) # with "put k " 65535 bytes
{
	printf 'put k %s\nget k\nput k %s0\n' "$long" "$long"
	head -c 200000 huge | tr '\0' x
	printf '\nput k a\0b\nget k\nput k v\nget k'
} >in
toolong="error: the line has over 65535 bytes, or a zero byte; use load"
shown=$(checksum 65529 0)
"$kvstore" <in >got || wrong "long lines: exit status $?, not 0"
printf '%s\n' ok "$shown" "$toolong" "$toolong" "$toolong" "$shown" ok v |
	cmp -s - got || wrong "long lines: wrong answers: $(head -c 400 got)"
"$kvstore" </dev/null >got || wrong "no input: exit status $?, not 0"
[ ! -s got ] || wrong "no input: prints an answer: $(cat got)"
"$kvstore" <. >got 2>err &&
	wrong "input from a folder: exit status 0, not 1"
[ -s err ] || wrong "input from a folder: no error message"

# A client that waits for each answer before it goes on gets it.
mkfifo to from
(
	timeout 60 "$kvstore" <to >from &
	exec 3>to 4<from
	for i in 1 2 3; do
		echo "put k v$i" >&3
		read -r one <&4
		echo "get k" >&3
		read -r two <&4
		[ "$one $two" = "ok v$i" ] || exit 1
	done
	exec 3>&- 4<&-
	wait $! # with the status of the store
) || wrong "a client that waits for each answer: exit status $?"

# A terminal gets a prompt.
if command -v script >/dev/null; then
	(
		i=0
		until grep -q '^> ' screen 2>/dev/null || [ $i -eq 100 ]; do
			sleep 0.1
			i=$((i + 1))
		done
		printf 'put k v\nget k\nquit\n'
	) | timeout 60 script -qefc "$kvstore" screen >/dev/null ||
		wrong "terminal: exit status $?, not 0"
	tr -d '\r' <screen | grep -q '^> ' || wrong "terminal: no prompt"
	tr -d '\r' <screen | grep -q '^v$' || wrong "terminal: no answer"
else
	echo "kvstore.sh: script(1) is missing: the prompt is not tested"
fi

# The system's memory comes to an end: 100 MB more than the start takes.
# enough MEMORY: it starts with this many KiB
enough() {
	(ulimit -v "$1" && echo help | "$kvstore") >/dev/null 2>&1
}
if grep -q -e __asan_init -e __tsan_init -e MIA_TEST_EMULATED "$kvstore"; then
	echo "kvstore.sh: a sanitizer or valgrind is in use:" \
		"the end of memory is not tested"
else
	less=0
	memory=16384
	until enough $memory || [ $memory -gt 100000000 ]; do
		less=$memory
		memory=$((memory + memory / 4))
	done
	# To 10 MB, as a step may be more than all the values take.
	while [ $((memory - less)) -gt 10000 ]; do
		middle=$(((less + memory) / 2))
		if enough $middle; then memory=$middle; else less=$middle; fi
	done
	memory=$((memory + 100000))
	awk 'BEGIN {
		print "put small value\nfill a 300 a"
		for (i = 0; i < 20; i++) print "fill k" i " 16777216 x"
		print "fill a 16777216 y\nget a\nget small"
		for (i = 0; i < 20; i++) print "get k" i
		for (i = 0; i < 20; i++) print "del k" i
		print "fill a 16777216 y\nput small other\nget small\nstats"
	}' >in
	(ulimit -v $memory; "$kvstore" <in >got 2>err) ||
		wrong "end of memory: exit status $?, not 0"
	[ ! -s err ] ||
		wrong "end of memory: prints on standard error: $(cat err)"
	# Values that were kept are there or, for want of memory, not shown.
	paste -d '|' in got | awk -F '|' -v a="$(checksum 300 a)" \
		-v x="$(checksum 16777216 x)" '
	function bad() { print "WRONG: end of memory: command|answer: " $0; n++ }
	$1 ~ /^fill k/ {
		split($1, w, " ")
		if ($2 == "ok") have[w[2]] = ++kept
		else if ($2 == "error: out of memory") refused++
		else bad()
		next
	}
	$1 ~ /^(get|del) k/ {
		split($1, w, " ")
		want = !(w[2] in have) ? "not found" : w[1] == "get" ? x : "ok"
		if ($2 == x) shown++
		if ($2 != want &&
		    (want != x || $2 != "error: out of memory")) bad()
		next
	}
	$1 == "get a" { if ($2 != a) bad(); next }
	$1 == "fill a 16777216 y" {
		if ($2 != (refused && !again++ ? "error: out of memory" : "ok"))
			bad()
		next
	}
	$1 == "get small" { if ($2 != (++looks == 1 ? "value" : "other")) bad() }
	$1 == "stats" && $2 !~ /^keys 2, bytes 16777221, / { bad() }
	END {
		if (NR != 69 || !kept || !refused) {
			print "WRONG: end of memory: " kept+0 " kept, " refused+0 \
				" refused, " NR " answers"
			n++
		}
		exit n > 0
	}' || failed=1
fi

# Thousands of keys: the table grows, and collides, and all of it is found.
awk 'BEGIN {
	for (i = 0; i < 5000; i++) print "put key" i " value " i "\n= ok"
	for (i = 0; i < 5000; i += 2) print "del key" i "\n= ok"
	for (i = 0; i < 5000; i++)
		print "get key" i "\n= " (i % 2 ? "value " i : "not found")
	print "stats\n= keys 2500, bytes 24445, buckets 8192, commands 12500, batches 196"
}' >given
answers "many keys" <given

# Random commands on few keys, so that they meet in every order.
awk -v seed="$seed" 'BEGIN {
	srand(seed)
	for (i = 0; i < 20000; i++) {
		k = "k" int(rand() * (i % 2000 < 1000 ? 90 : 5))
		r = int(rand() * 5)
		if (r == 0) {
			have[k] = "v" i " and more"
			print "put " k " " have[k] "\n= ok"
			size[k] = length(have[k])
		} else if (r == 1) {
			n = int(rand() * (rand() < 0.1 ? 9000 : 200))
			c = 97 + int(rand() * 6)
			printf "fill %s %d %c\n= ok\n", k, n, c
			v = ""
			s = 0
			for (j = 0; j < n && n <= 200; j++) v = v sprintf("%c", c)
			for (j = 0; j < n && n > 200; j++)
				s = (s * 31 + c) % 4294967291
			have[k] = n <= 200 ? v : n " bytes, checksum " \
				sprintf("%04x%04x", s / 65536, s % 65536)
			size[k] = n
		} else if (r == 2) {
			print "del " k "\n= " (k in have ? "ok" : "not found")
			delete have[k]
			delete size[k]
		} else {
			print "get " k "\n= " (k in have ? have[k] : "not found")
		}
	}
	# What is counted is what is there: no more than that fits.
	for (k in have) {
		keys++
		bytes += size[k]
	}
	print keys + 0, bytes + 0 >"sums"
}' >random
answers "random commands" <random
{ grep -v '^= ' random; echo stats; } | "$kvstore" | tail -n 1 >got
read -r keys bytes <sums
grep -q "^keys $keys, bytes $bytes, " got ||
	wrong "stats: actual and expected numbers differ: $(cat got sums)"

"$kvstore" --help >out || wrong "--help: exit status $?, not 0"
grep -q '^usage' out || wrong "--help: no usage"
for option in --nothing --limit "--limit x" "--limit -1" "--limit 1 2"; do
	# shellcheck disable=SC2086 # two words are two words
	"$kvstore" $option >out 2>err </dev/null
	[ $? -eq 2 ] || wrong "$option: the exit status is not 2"
	sed -n 1p err | grep -q "^kvstore: '${option##* }': " ||
		wrong "$option: the message does not name the argument: $(cat err)"
	sed -n 2p err | grep -q '^usage' || wrong "$option: the second line is not the usage"
done
if [ -w /dev/full ]; then
	printf 'get k\n' | "$kvstore" >/dev/full 2>err &&
		wrong "get k >/dev/full: exit status 0, not 1"
	"$kvstore" --help >/dev/full 2>err &&
		wrong "--help >/dev/full: exit status 0, not 1"
fi
[ $failed -eq 0 ] && echo "kvstore.sh: all right"
exit $failed
