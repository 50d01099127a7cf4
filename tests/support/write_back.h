/* SPDX-License-Identifier: BSD-3-Clause */

/* write_back.h -- tests whose movers need a CPU that writes its caches back */

#ifndef LIBMINIASYNC_TEST_WRITE_BACK_H
#define LIBMINIASYNC_TEST_WRITE_BACK_H 1

#include <stdio.h>
#include <stdlib.h>

#include "libminiasync/vdm.h"
#include "operation/memory.h"

/* Ends the program on another CPU. test_data_mover_dml.c tests its error. */
static inline void
end_without_write_back(void)
{
	if (mia_memory_capabilities() == VDM_F_VALID_FLAGS)
		return;
	printf("left out: this CPU cannot write its caches back\n");
	exit(0);
}

#endif /* LIBMINIASYNC_TEST_WRITE_BACK_H */
