#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# info.sh PROGRAM -- tests miniasync-info with made-up folders of devices
#
# One tree is as it should be. Each defect is one change of it, which adds one
# reason and makes the queue unusable.

set -u

program=$1
. "${0%/*}/checks.sh"
defects=0

# run ARGUMENT...: the section of devices, in $work/out
run() {
	"$program" "$@" >"$work/all" 2>"$work/err" || wrong "$*: exit status $?, not 0"
	[ ! -s "$work/err" ] ||
		wrong "$*: prints on standard error: $(cat "$work/err")"
	sed -n '/^devices in/,$p' "$work/all" >"$work/out"
}

# put FILE TEXT: an attribute of a device or a queue
put() {
	mkdir -p "$(dirname "$work/root/sys/bus/dsa/devices/$1")"
	printf '%s\n' "$2" >"$work/root/sys/bus/dsa/devices/$1"
}

queue() {
	put "$1/state" enabled
	put "$1/mode" shared
	put "$1/type" user
	put "$1/size" 16
	put "$1/threshold" 15
	put "$1/group_id" 0
	put "$1/name" app
	put "$1/max_transfer_size" 2097152
	put "$1/block_on_fault" 1
	mkdir -p "$work/root/dev/dsa"
	echo portal >"$work/root/dev/dsa/$1"
}

device() {
	put "$1/state" enabled
	put "$1/version" 0x100
	put "$1/pasid_enabled" 1
	put "$1/numa_node" -1
	put "$1/max_transfer_size" 2147483648
}

tree() {
	chmod -R u+rwX "$work/root" 2>/dev/null
	rm -rf "$work/root"
	device dsa0
	queue wq0.0
	mkdir -p "$work/root/proc"
	printf 'processor\t: 0\nflags\t\t: fpu enqcmd sse\n' \
		>"$work/root/proc/cpuinfo"
}

# All of it, where nothing is wrong.
tree
cat >"$work/expected" <<END
devices in $work/root/sys/bus/dsa/devices:
  dsa0: state enabled, version 0x100, pasid_enabled 1, numa_node -1, max_transfer_size 2147483648
    wq0.0: state enabled, mode shared, type user, size 16, threshold 15, group 0
      name app, max_transfer_size 2097152, block_on_fault 1
      can be used
queues that DML can use: 1
END
run --root "$work/root"
diff "$work/expected" "$work/out" >"$work/log" ||
	wrong "a usable queue: expected (<) and actual (>) output differ:" \
		"$(cat "$work/log")"

# defect REASON COMMAND...: the one reason against the changed tree
defect() {
	expected=$1
	shift
	defects=$((defects + 1))
	tree
	(cd "$work/root/sys/bus/dsa/devices" && "$@")
	run --root "$work/root"
	grep -F 'not used: ' "$work/out" | sed 's/^ *//' >"$work/reasons"
	[ "$(cat "$work/reasons")" = "not used: $expected" ] ||
		wrong "$*: does not give the one reason '$expected':" \
			"$(cat "$work/out")"
	grep -qx 'queues that DML can use: 0' "$work/out" ||
		wrong "$*: does not count 0 queues: $(tail -n 1 "$work/out")"
}

set_to() { echo "$2" >"$1"; }

no_folder='there is no such folder: the driver idxd is not loaded, or this kernel has none'
defect "$no_folder" rm -rf "$work/root/sys"
defect 'there is no dsa device' rm -rf dsa0 wq0.0
defect 'cannot read the folder: Not a directory' \
	sh -c 'rm -rf ../devices; : >../devices'
defect 'the CPU has no instruction ENQCMD, which shared queues need' \
	set_to "$work/root/proc/cpuinfo" 'flags : fpu sse enqcm'
defect 'its state is not enabled (accel-config enable-device)' \
	set_to dsa0/state disabled
defect 'DML knows versions up to 2' set_to dsa0/version 0x300
defect 'PASID is off, and shared queues need it; boot with intel_iommu=on,sm_on' \
	set_to dsa0/pasid_enabled 0
defect 'it has no work queues' rm -rf wq0.0
defect 'its state is not enabled (accel-config enable-wq)' \
	set_to wq0.0/state disabled
defect 'its mode is not shared, and DML uses no dedicated queues' \
	set_to wq0.0/mode dedicated
defect 'its type is not user' set_to wq0.0/type kernel
defect 'its size is 0' set_to wq0.0/size 0
defect 'its threshold is 0, so it takes no work' set_to wq0.0/threshold 0
defect 'it is in no group, so no engine serves it' set_to wq0.0/group_id -1
defect 'cannot open /dev/dsa/wq0.0: No such file or directory' \
	rm "$work/root/dev/dsa/wq0.0"
defect 'cannot open /dev/dsa/wq0.0: Is a directory' \
	sh -c "rm '$work/root/dev/dsa/wq0.0' && mkdir '$work/root/dev/dsa/wq0.0'"
defect 'cannot map /dev/dsa/wq0.0: No such device' \
	sh -c "rm '$work/root/dev/dsa/wq0.0' && mkfifo '$work/root/dev/dsa/wq0.0'"

# Permissions, as a user who has none.
refused='not used: cannot open /dev/dsa/wq0.0: Permission denied; this user needs the right to read and to write it'
tree
chmod 444 "$work/root/dev/dsa/wq0.0"
if [ "$(id -u)" -ne 0 ]; then
	run --root "$work/root"
	grep -qF "$refused" "$work/out" ||
		wrong "mode 444: does not give the reason: $(cat "$work/out")"
elif command -v setpriv >/dev/null; then
	chmod 755 "$work"
	cp "$program" "$work/copy"
	setpriv --reuid 65534 --clear-groups "$work/copy" \
		--root "$work/root" >"$work/out" 2>&1
	grep -qF "$refused" "$work/out" ||
		wrong "mode 444: does not give the reason: $(cat "$work/out")"
else
	echo "info.sh: setpriv(1) is missing for root:" \
		"permissions are not tested"
fi

# Several reasons, and devices side by side; other accelerators are no devices.
tree
device dsa2
device dsa10
queue wq10.0
queue wq2.11
queue wq2.3
queue wq1.0
put iax1/state enabled
put dsa2/numa_node 99
put wq2.3/mode dedicated
put wq2.3/threshold 0
put wq2.3/state disabled
put wq2.11/block_on_fault 0
run --root "$work/root"
[ "$(grep -o '^ *\(dsa\|wq\)[0-9.]*' "$work/out" | tr -d '\n')" = \
	'  dsa0    wq0.0  dsa2    wq2.3    wq2.11  dsa10    wq10.0' ] ||
	wrong "several devices: wrong order: $(cat "$work/out")"
[ "$(grep -c '^      not used' "$work/out")" -eq 2 ] ||
	wrong "wq2.3: not two reasons: $(cat "$work/out")"
grep -q '^    perhaps not used: this thread is on NUMA node ' "$work/out" ||
	wrong "dsa2: no line about the NUMA node: $(cat "$work/out")"
grep -q '^      slow: block_on_fault is 0' "$work/out" ||
	wrong "wq2.11: no line about block_on_fault: $(cat "$work/out")"
grep -qx 'queues that DML can use: 3' "$work/out" ||
	wrong "several devices: not 3 queues: $(cat "$work/out")"

# Junk: nothing of it is printed as it is, and no file holds the program up.
tree
cd "$work/root/sys/bus/dsa/devices" || exit 1
printf 'a\033[31m\001\377b\n' >wq0.0/name
head -c 3000000 /dev/zero | tr '\0' x >wq0.0/max_transfer_size
rm wq0.0/size dsa0/version dsa0/max_transfer_size
: >wq0.0/threshold
mkdir dsa0/version
mkfifo dsa0/max_transfer_size
ln -s loop dsa0/loop
rm dsa0/numa_node && ln -s loop dsa0/numa_node
mkdir dsa dsax dsa-1 dsa0x dsa9223372036854775809 wq wq0 wq0. wq.0 wq0.0.0 \
	wq0.-1 'wq0.1 ' wq99999999999999999999.0
cd / || exit 1
cat >"$work/expected" <<END
devices in $work/root/sys/bus/dsa/devices:
  dsa0: state enabled, version unknown (Is a directory), pasid_enabled 1, numa_node unknown (Too many levels of symbolic links), max_transfer_size unknown (empty)
    wq0.0: state enabled, mode shared, type user, size unknown (No such file or directory), threshold unknown (empty), group 0
      name a?[31m??b, max_transfer_size xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, block_on_fault 1
      can be used
queues that DML can use: 1
END
rm "$work/root/sys/bus/dsa/devices/dsa0/loop"
ln -s loop "$work/root/sys/bus/dsa/devices/dsa0/loop"
run --root "$work/root"
diff "$work/expected" "$work/out" >"$work/log" ||
	wrong "invalid files: expected (<) and actual (>) output differ:" \
		"$(cat "$work/log")"

# The rest of the output, and this machine itself.
run
grep -qxE 'libminiasync [0-9.]+' "$work/all" ||
	wrong "no line with the version"
for line in 'instruction to write back a line +[a-z]+' \
	'stores past the caches +(yes|no)' \
	'CPUs that this process may use +[1-9][0-9]*' \
	'done in the poll, up to +16384 bytes \(fixed\)' \
	'shared copies past the caches, from +[1-9][0-9]+ bytes' \
	'speed of one thread +[1-9][0-9]+ MB/s \(measured\)' \
	'piece of a thread that waits +[1-9][0-9]+ bytes' \
	'wakes a worker for each, from +[1-9][0-9]+ bytes' \
	'a worker gets help, from +[1-9][0-9]+ bytes' 'mover over DML: ' \
	'devices in /sys/bus/dsa/devices:' 'queues that DML can use: [0-9]+'; do
	grep -qE "^( *)$line" "$work/all" || wrong "no such line: $line"
done
if command -v taskset >/dev/null; then
	taskset -c "$(taskset -pc $$ | sed 's/.*[ ,-]//')" "$program" |
		grep -qE 'CPUs that this process may use +1$' ||
		wrong "on one CPU: does not count 1 CPU"
fi

# A quota of one and a half CPUs.
mkdir -p "$work/root/proc/self" "$work/root/sys/fs/cgroup/app"
echo '30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw' \
	>"$work/root/proc/self/mountinfo"
echo '0::/app' >"$work/root/proc/self/cgroup"
echo '150000 100000' >"$work/root/sys/fs/cgroup/app/cpu.max"
run --root "$work/root"
grep -qx '  CPU quota of its control groups  *2 CPUs, rounded up' "$work/all" ||
	wrong "quota of 1.5 CPUs: not shown as 2: $(grep quota "$work/all")"
echo max 100000 >"$work/root/sys/fs/cgroup/app/cpu.max"
run --root "$work/root"
grep -qx '  CPU quota of its control groups  *none' "$work/all" ||
	wrong "no quota: not shown as none: $(grep quota "$work/all")"

# Arguments.
"$program" --version | grep -qxE 'miniasync-info [0-9.]+' ||
	wrong "--version: no line with the version"
for arguments in --rot extra --root "--root $(head -c 5000 /dev/zero | tr '\0' x)"; do
	"$program" $arguments >"$work/out" 2>"$work/err"
	[ $? -eq 2 ] || wrong "$arguments: the exit status is not 2"
	grep -q '^usage: miniasync-info' "$work/err" ||
		wrong "$arguments: no usage: $(cat "$work/err")"
	[ ! -s "$work/out" ] ||
		wrong "$arguments: prints on standard output: $(cat "$work/out")"
done
if [ -e /dev/full ]; then
	"$program" >/dev/full 2>/dev/null
	[ $? -eq 1 ] || wrong ">/dev/full: the exit status is not 1"
fi

echo "info.sh: $defects defects, $failed wrong"
[ $failed -eq 0 ]
