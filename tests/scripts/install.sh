#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# install.sh SOURCE BUILD CC -- tests the installed package, and the subproject
#
# Installs the package, moves it, then builds and runs C and C++ programs with
# it: by both names of the CMake package, by pkg-config, static and shared, and
# with several orders of the archives. A build without DML packages the fake
# DML. The mover over libfabric is tested if the build has it. The commands of
# README, and its project, work as they stand there.

set -eu

source=$1
build=$2
cc=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
consumer=$source/tests/scripts/consumer

step() {
	if ! "$@" >"$work/log" 2>&1; then
		echo "install.sh: this command failed: $*"
		cat "$work/log"
		exit 1
	fi
}

# Where DML is: where the build found it, or else a packaged fake.
has_dml=
for library in "$build"/libminiasync-vdm-dml.*; do
	[ ! -e "$library" ] || has_dml=yes
done
if [ -n "$has_dml" ]; then
	dml=$(sed -n 's/^DML_DIR:PATH=//p' "$build/CMakeCache.txt")
	[ -d "$dml" ] || dml=$(dirname "$(sed -n \
		's/^DML_INCLUDE_DIR:PATH=//p' "$build/CMakeCache.txt")")
else
	dml=$work/dml
	step sh "$source/tests/movers/fake_dml/package.sh" "$dml" "$cc" -fPIC
fi

has_fabric=
for library in "$build"/libminiasync-vdm-fabric.*; do
	[ ! -e "$library" ] || has_fabric=yes
done

# build FOLDER CMAKE_ARGUMENT...: the libraries alone, the quickest way
build() {
	folder=$1
	shift
	step cmake -S "$source" -B "$folder" -DCMAKE_C_COMPILER="$cc" \
		-DCMAKE_BUILD_TYPE=Debug \
		-DMINIASYNC_BUILD_TESTS=OFF -DMINIASYNC_BUILD_EXAMPLES=OFF \
		-DMINIASYNC_BUILD_DOC=OFF -DCMAKE_INSTALL_LIBDIR=lib "$@"
	cp "$work/log" "$folder/configured"
	step cmake --build "$folder"
}

# run_dml PREFIX OPTION...: compiles and runs the program with the mover
run_dml() {
	lib=$1/lib
	shift
	step $cc -std=c99 "$consumer/dml/consumer_dml.c" "$@" -o "$work/dml_c"
	step env LD_LIBRARY_PATH="$lib" "$work/dml_c"
}

# build_dml PREFIX CMAKE_ARGUMENT...: the same by the CMake package
build_dml() {
	prefix=$1
	shift
	rm -rf "$work/consumer_dml"
	step cmake -S "$consumer/dml" -B "$work/consumer_dml" \
		-DCMAKE_PREFIX_PATH="$prefix" "$@"
	step cmake --build "$work/consumer_dml"
	step env LD_LIBRARY_PATH="$prefix/lib" "$work/consumer_dml/consumer_dml"
}

# consume_dml PREFIX: a C program with the mover over DML; PREFIX has a lib
consume_dml() {
	for package in miniasync libminiasync; do
		build_dml "$1" -DPACKAGE=$package -DWITH_DML_TYPES=ON \
			-DDML_DIR="$dml" -DDML_ROOT="$dml"
	done
	export PKG_CONFIG_PATH="$1/lib/pkgconfig"
	cflags=$(pkg-config --cflags libminiasync-vdm-dml)
	libs=$(pkg-config --libs libminiasync-vdm-dml)
	run_dml "$1" -DWITH_DML_TYPES $cflags $libs

	# Each order of the two libraries, for each mover and both.
	rest=$(echo "$libs" | sed 's/-lminiasync[a-z-]*//g')
	for use in -DWITHOUT_DML\ -DWITH_THREADS -UWITH_THREADS -DWITH_THREADS; do
		run_dml "$1" $use $cflags -L"$1/lib" \
			-lminiasync -lminiasync-vdm-dml $rest
		run_dml "$1" $use $cflags -L"$1/lib" \
			-lminiasync-vdm-dml -lminiasync $rest
		run_dml "$1" $use $cflags -L"$1/lib" \
			-lminiasync-vdm-dml $rest -lminiasync -pthread
	done
	unset PKG_CONFIG_PATH

	# Without DML the shared library is there, and the archive is not.
	if [ -e "$1/lib/libminiasync-vdm-dml.so" ]; then
		build_dml "$1"
		case "$libs " in
		*" -ldml "*)
			echo "install.sh: pkg-config: -ldml is in $libs"
			exit 1 ;;
		esac
	else
		for package in miniasync libminiasync; do
			rm -rf "$work/without_dml"
			if cmake -S "$consumer/dml" -B "$work/without_dml" \
				-DCMAKE_PREFIX_PATH="$1" -DPACKAGE=$package \
				>"$work/log" 2>&1 ||
				! grep -q " ${package}_FOUND to FALSE" \
				"$work/log"; then
				echo "install.sh: $package without DML:" \
					"find_package() does not fail"
				cat "$work/log"
				exit 1
			fi
		done
	fi
	echo "with DML: consumed"
}

# run_fabric PREFIX OPTION...: compiles and runs the program with the mover
run_fabric() {
	lib=$1/lib
	shift
	step $cc -std=c99 "$consumer/fabric/consumer_fabric.c" "$@" \
		-o "$work/fabric_c"
	step env LD_LIBRARY_PATH="$lib" "$work/fabric_c"
}

# consume_fabric PREFIX: a C program with the mover over libfabric, which is not
# linked; PREFIX has a lib
consume_fabric() {
	for package in miniasync libminiasync; do
		rm -rf "$work/consumer_fabric"
		step cmake -S "$consumer/fabric" -B "$work/consumer_fabric" \
			-DCMAKE_PREFIX_PATH="$1" -DPACKAGE=$package
		step cmake --build "$work/consumer_fabric"
		step env LD_LIBRARY_PATH="$1/lib" \
			"$work/consumer_fabric/consumer_fabric"
	done
	export PKG_CONFIG_PATH="$1/lib/pkgconfig"
	cflags=$(pkg-config --cflags libminiasync-vdm-fabric)
	libs=$(pkg-config --libs libminiasync-vdm-fabric)
	unset PKG_CONFIG_PATH
	run_fabric "$1" $cflags $libs
	run_fabric "$1" -DWITH_THREADS $cflags $libs
	readelf -d "$work/fabric_c" | grep 'NEEDED.*libfabric' &&
		{ echo "install.sh: libfabric is linked"; exit 1; }

	# Each order of the two libraries.
	rest=$(echo "$libs" | sed 's/-lminiasync[a-z-]*//g')
	for use in -DWITH_THREADS -UWITH_THREADS; do
		run_fabric "$1" $use $cflags -L"$1/lib" \
			-lminiasync -lminiasync-vdm-fabric $rest
		run_fabric "$1" $use $cflags -L"$1/lib" \
			-lminiasync-vdm-fabric -lminiasync $rest
	done
	echo "with libfabric: consumed"
}

# readme_code LANGUAGE: the first block of README in this language
readme_code() {
	awk -v first="\`\`\`$1" '
		$0 == first { inside = 1; next }
		inside && /^```/ { exit }
		inside' "$source/README.md"
}

# readme_commands START: README's lines of commands that begin with START
readme_commands() {
	awk -v start="    $1" '
		index($0, start) == 1 { inside = 1 }
		inside && !/^    / { exit }
		inside { print substr($0, 5) }' "$source/README.md"
}

# The project of README.
project=$work/project
mkdir "$project"
readme_code cmake >"$project/CMakeLists.txt"
readme_code c >"$project/snapshot.c"
grep -q 'find_package(miniasync' "$project/CMakeLists.txt" &&
	grep -q '^main(' "$project/snapshot.c" ||
	{ echo "install.sh: README.md has no project"; exit 1; }

# consume PREFIX: programs of others against what lies in PREFIX
consume() {
	pc=$(dirname "$(find "$1" -name libminiasync.pc)")
	lib=$(dirname "$pc")

	rm -rf "$work/consumer"
	step cmake -S "$consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$1"
	step cmake --build "$work/consumer"
	step env LD_LIBRARY_PATH="$lib" "$work/consumer/consumer_c"
	step env LD_LIBRARY_PATH="$lib" "$work/consumer/consumer_cpp"

	rm -rf "$project/build"
	step cmake -S "$project" -B "$project/build" -DCMAKE_PREFIX_PATH="$1"
	step cmake --build "$project/build"
	step env LD_LIBRARY_PATH="$lib" "$project/build/snapshot"

	rm -rf "$work/consumer_old"
	step cmake -S "$consumer/old" -B "$work/consumer_old" \
		-Dlibminiasync_DIR="$(dirname "$pc")/cmake/libminiasync"
	step cmake --build "$work/consumer_old"
	step env LD_LIBRARY_PATH="$lib" "$work/consumer_old/consumer_old"

	flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs libminiasync)
	version=$(PKG_CONFIG_PATH=$pc pkg-config --modversion libminiasync)
	step $cc -std=c99 -DVERSION="\"$version\"" "$consumer/consumer.c" \
		$flags -o "$work/c"
	step env LD_LIBRARY_PATH="$lib" "$work/c"
	step g++ -std=c++11 "$consumer/consumer.cpp" $flags -o "$work/cpp"
	step env LD_LIBRARY_PATH="$lib" "$work/cpp"

	# The memory of workers stays, also when the loader ends the library.
	step $cc -std=c99 "$consumer/exit.c" $flags -o "$work/exit"
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		step env LD_LIBRARY_PATH="$lib" "$work/exit"
	done
}

# info PREFIX TEXT: the installed miniasync-info runs, and prints that
info() {
	step env LD_LIBRARY_PATH="$1/lib:$lib" "$1/bin/miniasync-info"
	grep -q "$2" "$work/log" || {
		echo "install.sh: $1/bin/miniasync-info: no line '$2':"
		cat "$work/log"
		exit 1
	}
}

step cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$work/moved"
consume "$work/moved"
if grep -rq "$work/first" "$work/moved"; then
	echo "install.sh: installed files contain the name of their first folder"
	exit 1
fi
info "$work/moved" '^mover over DML: '
echo "installed, moved, consumed"

# The documents: what they link to is there; the contract suite works.
cd "$work/moved/share/doc/"*
for page in README.md $(find . -name '*.md'); do
	for link in $(sed '/^```/,/^```/d' "$page" | grep -oE '\]\([^)]+' |
		sed 's/^](//; s/#.*//' | grep -v '^https:'); do
		[ -e "$(dirname "$page")/$link" ] || {
			echo "install.sh: installed $page: $link is missing"
			exit 1
		}
	done
done
if pkg-config --exists cmocka; then
	step env PKG_CONFIG_PATH="$pc" LD_LIBRARY_PATH="$lib" CC="$cc" \
		tests/movers/contract.sh tests/movers/contract_custom.c \
		examples/custom_mover.c -Iexamples
fi
cd "$source"
echo "documents: $(find "$work/moved/share/doc" -type f | wc -l) files"

# With DML, as archives.
build "$work/build_dml" -DMINIASYNC_DML=ON -DDML_DIR="$dml" -DDML_ROOT="$dml"
step sh "$source/tests/scripts/symbols.sh" "$work/build_dml/libminiasync-vdm-dml.a"
step cmake --install "$work/build_dml" --prefix "$work/first_dml"
mv "$work/first_dml" "$work/archives"
consume_dml "$work/archives"
if [ -n "$has_fabric" ]; then
	step sh "$source/tests/scripts/symbols.sh" \
		"$work/build_dml/libminiasync-vdm-fabric.a"
	consume_fabric "$work/archives"
fi
if grep -rq "$work/first_dml" "$work/archives"; then
	echo "install.sh: installed files contain the name of their first folder"
	exit 1
fi
info "$work/archives" '^mover over DML: built with DML '
echo "archives with DML: installed, moved, consumed"

# With DML, as shared libraries.
build "$work/build" -DBUILD_SHARED_LIBS=ON -DMINIASYNC_DML=ON \
	-DDML_DIR="$dml" -DDML_ROOT="$dml"
step cmake --install "$work/build" --prefix "$work/second"
mv "$work/second" "$work/shared"
consume "$work/shared"
info "$work/shared" '^mover over DML: built with DML '
consume_dml "$work/shared"
[ -z "$has_fabric" ] || consume_fabric "$work/shared"
for name in libminiasync libminiasync-vdm-dml \
	${has_fabric:+libminiasync-vdm-fabric}; do
	[ -e "$work/shared/lib/$name.so.0" ] || {
		[ "$name" = libminiasync-vdm-dml ] && [ -n "$has_dml" ] &&
			grep -q 'not position independent' \
			"$work/build/configured" && continue
		echo "install.sh: $name.so.0 is missing in $work/shared/lib"
		exit 1
	}
	step sh "$source/tests/scripts/symbols.sh" "$work/shared/lib/$name.so.0"
	readelf -d "$work/shared/lib/$name.so.0" | grep -q NODELETE ||
		{ echo "install.sh: $name.so.0 has no flag NODELETE"; exit 1; }
done
echo "shared: installed, moved, consumed"

# A DML that no shared library can hold.
case $($cc -dumpmachine) in
x86_64-*)
	step sh "$source/tests/movers/fake_dml/package.sh" "$work/fixed" "$cc" \
		-fno-pic
	build "$work/build_fixed" -DBUILD_SHARED_LIBS=ON -DMINIASYNC_DML=ON \
		-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF -DDML_ROOT="$work/fixed"
	grep -q 'DML is not position independent' \
		"$work/build_fixed/configured" &&
		[ -e "$work/build_fixed/libminiasync-vdm-dml.a" ] ||
		{ echo "install.sh: DML without PIC: no archive was made"; exit 1; }
	echo "DML without PIC: an archive"
	;;
esac

step cmake -S "$consumer" -B "$work/sub" -DMINIASYNC_SOURCE="$source"
step cmake --build "$work/sub"
step "$work/sub/consumer_c"
[ ! -e "$work/sub/miniasync/tests/test_future" ] ||
	{ echo "install.sh: as a subproject it builds its tests"; exit 1; }
echo "subproject: consumed"

if [ -z "$has_dml" ]; then
	if cmake -S "$source" -B "$work/nodml" -DMINIASYNC_DML=ON \
		>"$work/log" 2>&1; then
		echo "install.sh: MINIASYNC_DML=ON without DML: no error"
		exit 1
	fi
	grep -q 'DML is not found' "$work/log" || {
		echo "install.sh: no message 'DML is not found':"
		cat "$work/log"
		exit 1
	}
fi

# Without libfabric's headers: left out and said so, or an error.
nowhere="-DCMAKE_FIND_ROOT_PATH=/nowhere
	-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY"
step cmake -S "$source" -B "$work/nofabric" $nowhere
grep -q 'libfabric not found: .* left out' "$work/log" || {
	echo "install.sh: no message that libfabric is left out:"
	cat "$work/log"
	exit 1
}
if cmake -S "$source" -B "$work/nofabric" -DMINIASYNC_FABRIC=ON $nowhere \
	>"$work/log" 2>&1; then
	echo "install.sh: MINIASYNC_FABRIC=ON without libfabric: no error"
	exit 1
fi
grep -q 'libfabric-dev' "$work/log" || {
	echo "install.sh: no message that names libfabric-dev:"
	cat "$work/log"
	exit 1
}
echo "without libfabric: left out, or an error"

# Without cmocka the build goes on, and says so.
step env PKG_CONFIG_LIBDIR=/nowhere PKG_CONFIG_PATH= \
	cmake -S "$source" -B "$work/nocmocka" -DMINIASYNC_BUILD_TESTS=ON
grep -q 'tests are left out' "$work/log" ||
	{ echo "install.sh: no message that the tests are left out"; exit 1; }
echo "without cmocka: configured"

# Each line of README's commands is a whole one: a reader copies a line.
sed -n 's/^    //p' "$source/README.md" >"$work/lines"
while IFS= read -r line; do
	sh -nc "$line" ||
		{ echo "install.sh: README.md: not a whole command: $line"; exit 1; }
done <"$work/lines"

# The first command of README, on a copy. It must not build the tests, which
# take longer than a new user waits.
mkdir "$work/clone"
cp -R "$source/CMakeLists.txt" "$source/README.md" "$source/LICENSE" \
	"$source/cmake" "$source/src" "$source/include" "$source/tools" \
	"$source/examples" "$source/doc" "$source/tests" "$work/clone"
command=$(readme_commands 'cmake -B build &&')
[ -n "$command" ] || { echo "install.sh: README.md has no first command"; exit 1; }
step sh -ec "cd '$work/clone'; $command"
grep -q ' 512.0 MiB in .*B/s' "$work/log" || {
	echo "install.sh: README.md: the first command shows no speed:"
	cat "$work/log"
	exit 1
}
rm "$work/clone/build/big" "$work/clone/build/copy"
grep -q 'CMAKE_BUILD_TYPE:STRING=RelWithDebInfo' \
	"$work/clone/build/CMakeCache.txt" || {
	echo "install.sh: the default build is not RelWithDebInfo"
	exit 1
}
objects=$(find "$work/clone/build" -name '*.o' | wc -l)
[ "$objects" -lt 100 ] ||
	{ echo "install.sh: README.md: compiles $objects files, not below 100"; exit 1; }
echo "README's first command: $objects files compiled"

# The next commands install that build, and use it in two ways.
command=$(readme_commands 'cmake --install build ')
case $command in
*pkg-config*snapshot.c* | *snapshot.c*pkg-config*) ;;
*) echo "install.sh: README.md does not build its program"; exit 1 ;;
esac
cp "$project/snapshot.c" "$work/clone"
step env HOME="$work/home" sh -ec "cd '$work/clone'; $command"
grep -q 'copy complete' "$work/log" ||
	{ cat "$work/log"; echo "install.sh: README.md: no complete copy"; exit 1; }
command=$(readme_commands 'cmake -B build -DCMAKE_PREFIX_PATH=')
[ -n "$command" ] ||
	{ echo "install.sh: README.md does not build its project"; exit 1; }
rm -rf "$project/build"
step env HOME="$work/home" sh -ec "cd '$project'; $command"
grep -q 'copy complete' "$work/log" ||
	{ cat "$work/log"; echo "install.sh: README.md: no complete copy"; exit 1; }
echo "README's program and project: built and run"
