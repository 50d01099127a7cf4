# SPDX-License-Identifier: BSD-3-Clause
#
# layout.awk -- turns the measured layout into static assertions, in C. The
# symbols of the threads and DML movers are checked elsewhere, once they exist.

BEGIN { FS = "," }
function check(what) { print "_Static_assert(" what ", \"line " NR "\");" }
function type_of(name) { return types[name] != "" ? types[name] : "struct " name }
NR == 1 {
	types["FUTURE_CHAIN_ENTRY(vdm_operation_future)"] = "struct entry_probe"
	types["FUTURE(int;int)"] = "struct int_future"
	types["chain of two FUTURE(int;int)"] = "struct int_chain"
	next
}
$2 ~ /^data_mover_dml_type/ { next }
$2 == "future_chain_entry_type" { check($3 " == " $6); next }
$1 == "struct" { check("sizeof(" type_of($2) ") == " $5) }
$1 == "align" { check("_Alignof(" type_of($2) ") == " $5) }
$1 == "member" {
	member = $2 ~ /^FUTURE_CHAIN/ ? "entry." $3 : $3
	check("offsetof(" type_of($2) ", " member ") == " $4)
	check("sizeof(((" type_of($2) " *)0)->" member ") == " $5)
}
$1 == "enum" {
	check($3 " == " $6)
	check("sizeof(enum " $2 ") == " $5)
}
$1 == "macro" {
	check($2 " == " $6)
	if ($2 ~ /^FUTURE_CHAIN/) check("sizeof(" $2 ") == " $5)
}
$1 == "typedef" { check("sizeof(" $2 ") == " $5) }
