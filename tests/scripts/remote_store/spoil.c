/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spoil.c -- a hostile peer: writes a number of 64 bits to any place of a
 * region
 *
 *	spoil TOKENFILE OFFSET NUMBER
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libminiasync-vdm-fabric.h"
#include "libminiasync.h"

int
main(int argc, char *argv[])
{
	char token[DATA_MOVER_REGION_TOKEN_MAX + 1] = "";
	FILE *file = argc == 4 ? fopen(argv[1], "r") : NULL;

	if (file == NULL || fgets(token, sizeof(token), file) == NULL) {
		fputs("usage: spoil TOKENFILE OFFSET NUMBER\n", stderr);
		return 2;
	}
	fclose(file);
	token[strcspn(token, "\n")] = '\0';

	const uint64_t number = strtoull(argv[3], NULL, 0);
	struct data_mover_fabric *dmf = data_mover_fabric_new(token, NULL);

	if (dmf == NULL) {
		perror("spoil");
		return 1;
	}

	struct vdm_operation_future f = vdm_memcpy(
		data_mover_fabric_get_vdm(dmf),
		(char *)data_mover_fabric_addr(dmf) + strtoul(argv[2], NULL, 0),
		&number, sizeof(number), 0);

	FUTURE_BUSY_POLL(&f);

	const int ok = FUTURE_OUTPUT(&f)->result == VDM_SUCCESS;

	data_mover_fabric_delete(dmf);
	return ok ? 0 : 1;
}
