/* SPDX-License-Identifier: BSD-3-Clause */

/* custom_mover.h -- the interface of the mover in custom_mover.c */

#ifndef CUSTOM_MOVER_H
#define CUSTOM_MOVER_H 1

#include <libminiasync/vdm.h>

struct custom_mover;

/* Returns the mover. On failure returns NULL and sets errno. */
struct custom_mover *custom_mover_new(void);

/* Returns the mover's struct vdm, which is valid until the mover is deleted. */
struct vdm *custom_mover_get_vdm(struct custom_mover *mover);

/* NULL is allowed. Also frees the operations of abandoned futures. */
void custom_mover_delete(struct custom_mover *mover);

#endif /* CUSTOM_MOVER_H */
