#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# kvstore.sh KVSTORE -- the store against what it must answer, and random
# commands against a model in awk

set -u

kvstore=$1
[ -x "$kvstore" ] || { echo "$kvstore is not there"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
seed=${MIA_TEST_SEED:-$(date +%s)}
echo "kvstore: MIA_TEST_SEED=$seed"

# answers WHAT [OPTION...] <commands, with the answer to each after "= "
answers() {
	what=$1
	shift
	tee both | grep -v '^= ' >in # an answer may be empty: "= "
	sed -n 's/^= //p' both >want
	"$kvstore" "$@" <in >got 2>err || { echo "WRONG: $what: status"; failed=1; }
	cmp -s want got || { echo "WRONG: $what"; diff want got | head; failed=1; }
	[ ! -s err ] || { echo "WRONG: $what:"; cat err; failed=1; }
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
answers errors <<END
get
= error: a key is needed
foo
= error: unknown command; try help
get a b
= error: one key is enough
fill k
= error: fill takes a key, a number and a character
fill k -1 x
= error: fill takes a key, a number and a character
fill k 1x x
= error: fill takes a key, a number and a character
fill k 16777217 x
= error: the value is over 16 MiB
fill k 99999999999999999999999 x
= error: the value is over 16 MiB
get $(printf '%0201d' 0)
= error: the key is too long
put $(printf '%0200d' 0) v
= ok
get $(printf '%0200d' 0)
= v
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
= 201 bytes, checksum $(awk 'BEGIN { for (i = 0; i < 201; i++) s = (s * 31 + 120) % 4294967291; printf "%08x", s }')
fill m 16777216 y
= ok
get m
= 16777216 bytes, checksum $(awk 'BEGIN { for (i = 0; i < 16777216; i++) s = (s * 31 + 121) % 4294967291; printf "%08x", s }')
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
= 600 bytes, checksum $(awk 'BEGIN { for (i = 0; i < 600; i++) s = (s * 31 + 120) % 4294967291; printf "%08x", s }')
END

# Thousands of keys: the table grows, and collides, and all of it is found.
awk 'BEGIN {
	for (i = 0; i < 5000; i++) print "put key" i " value " i "\n= ok"
	for (i = 0; i < 5000; i += 2) print "del key" i "\n= ok"
	for (i = 0; i < 5000; i++)
		print "get key" i "\n= " (i % 2 ? "value " i : "not found")
	print "stats\n= keys 2500, bytes 24445, buckets 8192, commands 12500, batches 196"
}' | answers "many keys"

# Random commands on few keys, so that they meet in every order.
awk -v seed="$seed" 'BEGIN {
	srand(seed)
	for (i = 0; i < 20000; i++) {
		k = "k" int(rand() * 90)
		r = int(rand() * 4)
		if (r == 0) {
			v = "v" i
			print "put " k " " v "\n= ok"
			have[k] = v
		} else if (r == 1) {
			n = int(rand() * 150)
			c = substr("abcdef", 1 + int(rand() * 6), 1)
			print "fill " k " " n " " c "\n= ok"
			v = ""
			for (j = 0; j < n; j++) v = v c
			have[k] = v
		} else if (r == 2) {
			print "get " k "\n= " (k in have ? have[k] : "not found")
		} else {
			print "del " k "\n= " (k in have ? "ok" : "not found")
			delete have[k]
		}
	}
}' | answers "random commands"

"$kvstore" --help | grep -q '^usage' || { echo "WRONG: --help"; failed=1; }
"$kvstore" --nothing >out 2>&1
[ $? -eq 2 ] || { echo "WRONG: unknown option"; failed=1; }
printf 'get k\n' | "$kvstore" >/dev/full 2>err && { echo "WRONG: /dev/full"; failed=1; }
exit $failed
