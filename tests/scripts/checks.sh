# SPDX-License-Identifier: BSD-3-Clause
#
# checks.sh -- for the scripts beside it: . "${0%/*}/checks.sh", before any cd
#
# A folder in $work, which goes with the script, and what counts mistakes in
# $failed.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

wrong() {
	echo "${0##*/}: WRONG: $*"
	failed=$((failed + 1))
}

# until_true COMMAND...: it is true within 20 seconds
until_true() {
	turns=0
	until "$@" 2>/dev/null; do
		turns=$((turns + 1))
		[ $turns -lt 400 ] || return 1
		sleep 0.05
	done
}
