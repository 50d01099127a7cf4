/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * contract_custom.c -- the contract suite for the mover of
 * examples/custom_mover.c
 */

#include "contract.h"

#include "../../examples/custom_mover.h"

static void *
make(void)
{
	return custom_mover_new();
}

static struct vdm *
get_vdm(void *mover)
{
	return custom_mover_get_vdm(mover);
}

static void
end(void *mover)
{
	custom_mover_delete(mover);
}

const struct contract_mover contract_mover = {
	.name = "custom",
	.make = make,
	.get_vdm = get_vdm,
	.end = end,
	.cannot_flush = true,
};
