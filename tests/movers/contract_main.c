/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * contract_main.c -- main() of the contract suite for the mover that
 * contract.sh names
 */

#include "contract.h"

extern const struct contract_mover contract_mover;

int
main(void)
{
	return contract_run(&contract_mover) != 0;
}
