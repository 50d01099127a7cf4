#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# install.sh SOURCE BUILD CC -- installs, moves what was installed, and builds
# and runs C and C++ programs against it: by the CMake package under both of its
# names, by pkg-config, static and shared; and as a subproject

set -eu

source=$1
build=$2
cc=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
consumer=$source/tests/consumer

step() {
	if ! "$@" >"$work/log" 2>&1; then
		echo "failed: $*"
		cat "$work/log"
		exit 1
	fi
}

# Where the build found DML, if it did.
dml=
if [ -e "$build/libminiasync-vdm-dml.a" ]; then
	dml=$(sed -n 's/^DML_DIR:PATH=//p' "$build/CMakeCache.txt")
	[ -d "$dml" ] || dml=$(dirname "$(sed -n \
		's/^DML_INCLUDE_DIR:PATH=//p' "$build/CMakeCache.txt")")
fi

# consume_dml PREFIX: a C program with the mover over DML
consume_dml() {
	pc=$(dirname "$(find "$1" -name libminiasync.pc)")
	lib=$(dirname "$pc")
	dml_consumer=$consumer/dml

	rm -rf "$work/consumer_dml"
	step cmake -S "$dml_consumer" -B "$work/consumer_dml" \
		-DCMAKE_PREFIX_PATH="$1" -DDML_DIR="$dml" -DDML_ROOT="$dml"
	step cmake --build "$work/consumer_dml"
	step env LD_LIBRARY_PATH="$lib" "$work/consumer_dml/consumer_dml"
	flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs \
		libminiasync-vdm-dml)
	step $cc -std=c99 "$dml_consumer/consumer_dml.c" $flags -o "$work/dml"
	step env LD_LIBRARY_PATH="$lib" "$work/dml"

	# Without DML the rest of the package is there, and that is not.
	if cmake -S "$dml_consumer" -B "$work/without_dml" \
		-DCMAKE_PREFIX_PATH="$1" >"$work/log" 2>&1; then
		echo "no DML, and nothing said"
		cat "$work/log"
		exit 1
	fi
	echo "with DML: consumed"
}

# consume PREFIX: programs of others against what lies in PREFIX
consume() {
	pc=$(dirname "$(find "$1" -name libminiasync.pc)")
	lib=$(dirname "$pc")

	rm -rf "$work/consumer"
	step cmake -S "$consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$1"
	step cmake --build "$work/consumer"
	step env LD_LIBRARY_PATH="$lib" "$work/consumer/consumer_c"
	step env LD_LIBRARY_PATH="$lib" "$work/consumer/consumer_cpp"

	rm -rf "$work/consumer_old"
	step cmake -S "$consumer/old" -B "$work/consumer_old" \
		-Dlibminiasync_DIR="$(dirname "$pc")/cmake/libminiasync"
	step cmake --build "$work/consumer_old"
	step env LD_LIBRARY_PATH="$lib" "$work/consumer_old/consumer_old"

	flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs libminiasync)
	step $cc -std=c99 "$consumer/consumer.c" $flags -o "$work/c"
	step env LD_LIBRARY_PATH="$lib" "$work/c"
	step g++ -std=c++11 "$consumer/consumer.cpp" $flags -o "$work/cpp"
	step env LD_LIBRARY_PATH="$lib" "$work/cpp"
}

step cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$work/moved"
consume "$work/moved"
[ -z "$dml" ] || consume_dml "$work/moved"
if grep -rq "$work/first" "$work/moved"; then
	echo "the installed files name the folder they were installed to"
	exit 1
fi
echo "static: installed, moved, consumed"

# The documents: what they link to is there; the contract suite works.
cd "$work/moved/share/doc/"*
for page in README.md $(find . -name '*.md'); do
	for link in $(sed '/^```/,/^```/d' "$page" | grep -oE '\]\([^)]+' |
		sed 's/^](//; s/#.*//' | grep -v '^https:'); do
		[ -e "$(dirname "$page")/$link" ] ||
			{ echo "installed: $page: there is no $link"; exit 1; }
	done
done
if pkg-config --exists cmocka; then
	step env PKG_CONFIG_PATH="$(dirname "$(find "$work/moved" \
		-name libminiasync.pc)")" CC="$cc" tests/contract.sh \
		tests/contract_custom.c examples/custom_mover.c -Iexamples
fi
cd "$source"
echo "documents: $(find "$work/moved/share/doc" -type f | wc -l) files"

step cmake -S "$source" -B "$work/build" -DBUILD_SHARED_LIBS=ON \
	-DMINIASYNC_BUILD_TESTS=OFF -DCMAKE_INSTALL_LIBDIR=lib \
	-DDML_DIR="$dml" -DDML_ROOT="$dml"
step cmake --build "$work/build"
step cmake --install "$work/build" --prefix "$work/second"
mv "$work/second" "$work/shared"
step sh "$source/tests/symbols.sh" "$work/shared/lib/libminiasync.so.0"
consume "$work/shared"
[ -z "$dml" ] || consume_dml "$work/shared"
echo "shared: installed, moved, consumed"

step cmake -S "$consumer" -B "$work/sub" -DMINIASYNC_SOURCE="$source"
step cmake --build "$work/sub"
step "$work/sub/consumer_c"
[ ! -e "$work/sub/miniasync/tests/test_future" ] ||
	{ echo "a subproject builds our tests"; exit 1; }
echo "subproject: consumed"

if [ -z "$dml" ]; then
	if cmake -S "$source" -B "$work/nodml" -DMINIASYNC_DML=ON \
		>"$work/log" 2>&1; then
		echo "MINIASYNC_DML=ON, and its absence is no error"
		exit 1
	fi
	grep -q 'DML is not found' "$work/log" ||
		{ echo "no word of DML"; cat "$work/log"; exit 1; }
fi

# Without cmocka the build goes on, and says so.
step env PKG_CONFIG_LIBDIR=/nowhere PKG_CONFIG_PATH= \
	cmake -S "$source" -B "$work/nocmocka"
grep -q 'tests are left out' "$work/log" || { echo "no word of cmocka"; exit 1; }
grep -q 'CMAKE_BUILD_TYPE:STRING=RelWithDebInfo' "$work/nocmocka/CMakeCache.txt" ||
	{ echo "a plain build is not optimised"; exit 1; }
echo "without cmocka: configured"
