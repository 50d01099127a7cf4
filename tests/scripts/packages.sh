#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# packages.sh SOURCE CC -- tests the Debian packages
#
# Builds them by the preset packages. lintian has no complaint; each installed
# file is in one package; the symbols are those of the libraries; programs that
# use the unpacked packages compile and run, shared and static. A second build
# in another folder and file system, with another time, umask, locale and time
# zone, makes the same packages bit by bit.

set -eu

source=$(cd "$1" && pwd)
cc=$2

missing=
for tool in cpack dpkg-deb dpkg-shlibdeps dpkg-gensymbols lintian pandoc \
	pkg-config; do
	command -v $tool >/dev/null || missing="$missing $tool"
done
case $(cmake --version) in
*" version 3.1"[0-9].* | *" version 3.20."*) missing="$missing cmake-3.21" ;;
esac
[ -e /usr/include/rdma/fi_rma.h ] || missing="$missing libfabric-dev"
if [ -n "$missing" ]; then
	echo "packages.sh: skipped: these are missing:$missing"
	exit 77
fi

work=$(mktemp -d)
other=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'wait; rm -rf "$work" "$other"' EXIT

step() {
	if ! "$@" >"$work/log" 2>&1; then
		echo "packages.sh: this command failed: $*"
		cat "$work/log"
		exit 1
	fi
}

fail() {
	echo "packages.sh: $*"
	exit 1
}

# build SOURCE FOLDER: its packages are in FOLDER/packages then
build() {
	cd "$1"
	step cmake --preset packages -B "$2" -DCMAKE_C_COMPILER="$cc"
	step cmake --build "$2" -j "$(nproc)" --target package
	! grep -i warning "$work/log" || fail "cpack prints the warnings above"
}

# The time is that of the last commit here, and given in the second build.
unset SOURCE_DATE_EPOCH
epoch=$(git -C "$source" log -1 --format=%ct 2>/dev/null ||
	stat -c %Y "$source/doc/CHANGELOG.md")
build "$source" "$work/build"
packages=$work/build/packages
cd "$packages"
echo "built: $(echo *.deb)"

# Once more meanwhile, and as different as can be.
locale=$(locale -a | grep -vxE 'C|C\.(UTF-8|utf8)|POSIX' | head -1)
(
	trap - EXIT
	work=$other
	umask 027
	mkdir "$other/another source"
	cd "$source"
	cp -R CMakeLists.txt CMakePresets.json LICENSE README.md cmake doc \
		examples include src tests tools "$other/another source"
	find "$other/another source" -exec touch -d '2001-01-01 UTC' {} +
	export SOURCE_DATE_EPOCH="$epoch" TZ=Asia/Tokyo \
		LC_ALL="${locale:-C.UTF-8}"
	build "$other/another source" "$other/a build"
) &
second=$!

lintian --allow-root --fail-on error,warning *.deb >"$work/log" 2>&1 ||
	fail "lintian reports: $(cat "$work/log")"
echo "lintian: no error, no warning"

# package NAME: its file
package() {
	echo "$packages/$1"_*.deb
}

# depends NAME DEPENDENCIES
version=$(dpkg-deb -f "$(package libminiasync0)" Version)
depends() {
	is=$(dpkg-deb -f "$(package $1)" Depends)
	[ "$(echo "$is" | sed 's/libc6[^,]*/libc/')" = "$2" ] ||
		fail "$1: depends on '$is', not on '$2'"
}
depends libminiasync0 "libc"
depends libminiasync-dev "libminiasync0 (= $version)"
depends libminiasync-doc ""
depends libminiasync-vdm-fabric0 "libfabric1, libc"
depends libminiasync-vdm-fabric-dev \
	"libminiasync-vdm-fabric0 (= $version), libminiasync-dev (= $version)"
depends miniasync-tools "libc"
for file in *.deb; do
	case $file:$(dpkg-deb -f "$file" Multi-Arch) in
	*-tools_*:foreign | *-doc_*_all.deb:foreign) ;;
	*-tools_*:* | *-doc_*:* | *_all.deb:*)
		fail "$file: must be Multi-Arch: foreign; doc for all" ;;
	*:same) ;;
	*) fail "$file: must be Multi-Arch: same" ;;
	esac
done

# What is installed is in one package; Debian's own files are added to that.
step env DESTDIR="$work/all" cmake --install "$work/build"
(cd "$work/all" && find . ! -type d) | sort >"$work/installed"
for file in *.deb; do
	dpkg-deb --fsys-tarfile "$file" | tar -t | grep -v '/$'
done | sed '/\/man\//s/\.gz$//' | sort >"$work/packed"
double=$(uniq -d "$work/packed")
[ -z "$double" ] || fail "these files are in two packages: $double"
lost=$(comm -23 "$work/installed" "$work/packed")
[ -z "$lost" ] || fail "these files are in no package: $lost"
more=$(comm -13 "$work/installed" "$work/packed" |
	grep -vE '/doc/[^/]*/(copyright|changelog(\.Debian)?\.gz)$' |
	grep -v '/doc-base/' || true)
[ -z "$more" ] || fail "these files are in a package, but not installed: $more"
echo "files: $(wc -l <"$work/packed"), each in one package"

# unpack NAME...: into the root
root=$work/root
unpack() {
	for name; do
		dpkg-deb -x "$(package $name)" "$root"
		dpkg-deb -e "$(package $name)" "$work/control/$name"
	done
}
mkdir -p "$root" "$work/control" "$work/debian"

# symbols NAME: the symbols file lists all of the library, and nothing else
printf 'Source: libminiasync\n\nPackage: %s\nArchitecture: any\n' \
	libminiasync0 >"$work/debian/control"
symbols() {
	cd "$work"
	step dpkg-gensymbols -c4 -p"$1" -v"$version" -e"$2" \
		-I"$work/control/$1/symbols" -O"$work/symbols"
	step diff "$work/control/$1/symbols" "$work/symbols"
	cd "$packages"
}

unpack libminiasync0 libminiasync-dev
pc=$(dirname "$root"/usr/lib/*/pkgconfig/libminiasync.pc)
lib=$(dirname "$pc")
[ "$lib" != "$root/usr/lib" ] || fail "the libraries are not in a folder of the architecture: $lib"
export PKG_CONFIG_LIBDIR="$pc"
consumer=$source/tests/scripts/consumer
symbols libminiasync0 "$lib/libminiasync.so.0"

# The probes are still in the stripped library, if the build has them.
if grep -q 'MINIASYNC_HAVE_SDT:INTERNAL=1' "$work/build/CMakeCache.txt"; then
	readelf -n "$lib/libminiasync.so.0" | grep -q stapsdt ||
		fail "the library has no probes"
fi

step $cc -std=c99 "$consumer/consumer.c" \
	$(pkg-config --cflags --libs libminiasync) -o "$work/shared"
readelf -d "$work/shared" | grep -q 'NEEDED.*libminiasync.so.0' ||
	fail "the program does not use the shared library"
step env LD_LIBRARY_PATH="$lib" "$work/shared"
step $cc -std=c99 "$consumer/consumer.c" -static \
	$(pkg-config --static --cflags --libs libminiasync) -o "$work/static"
step "$work/static"
# The archive is one that a plug-in may contain, as that of a static build.
plugin=$source/tests/scripts/plugin
step $cc -std=c11 -O1 -fPIC -shared "$plugin/plugin.c" -l:libminiasync.a \
	$(pkg-config --cflags --libs-only-L libminiasync) -o "$work/plugin.so"
step $cc -std=c11 -D_GNU_SOURCE -O1 "$plugin/host.c" -o "$work/host"
step "$work/host" "$work/plugin.so" 200 8
step cmake -S "$consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$root/usr"
step cmake --build "$work/consumer"
step env LD_LIBRARY_PATH="$lib" "$work/consumer/consumer_c"
echo "libminiasync-dev: consumed, shared and static"

unpack libminiasync-vdm-fabric0 libminiasync-vdm-fabric-dev
sed -i 's/libminiasync0/libminiasync-vdm-fabric0/' "$work/debian/control"
symbols libminiasync-vdm-fabric0 "$lib/libminiasync-vdm-fabric.so.0"
flags=$(pkg-config --static --cflags --libs libminiasync-vdm-fabric)
step $cc -std=c99 "$consumer/fabric/consumer_fabric.c" $flags -o "$work/shared"
step env LD_LIBRARY_PATH="$lib" "$work/shared"
step $cc -std=c99 "$consumer/fabric/consumer_fabric.c" \
	$(echo "$flags" | sed 's/-l\(miniasync[a-z-]*\)/-l:lib\1.a/g') \
	-o "$work/static"
! readelf -d "$work/static" | grep 'NEEDED.*miniasync' ||
	fail "the static program uses a shared library"
step "$work/static"
echo "libminiasync-vdm-fabric-dev: consumed, shared and static"

unpack miniasync-tools libminiasync-doc
step "$root/usr/bin/miniasync-info"
dangling=$(find "$root" -xtype l)
[ -z "$dangling" ] || fail "these links have no target: $dangling"

wait $second || fail "the second build failed"
for file in *.deb; do
	cmp "$file" "$other/a build/packages/$file" || {
		for build in "$packages" "$other/a build/packages"; do
			dpkg-deb -c "$build/$file"
			dpkg-deb -I "$build/$file"
			dpkg-deb --ctrl-tarfile "$build/$file" |
				tar -xO ./md5sums
		done | sort | uniq -u
		fail "$file: the second build differs in the lines above"
	}
done
echo "second build: identical bit by bit"
