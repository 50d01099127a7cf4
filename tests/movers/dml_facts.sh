#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# dml_facts.sh FAKE REAL -- the fake DML and the real one agree

set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" >"$work/fake"
"$2" >"$work/real"
diff "$work/fake" "$work/real" || {
	echo "dml_facts.sh: the fake DML (<) and the real DML (>) differ:" \
		"correct tests/movers/fake_dml"
	exit 1
}
echo "$(wc -l <"$work/fake") facts are equal"
