/* SPDX-License-Identifier: BSD-3-Clause */

/* custom_mover.h -- the mover of custom_mover.c, for programs that use it */

#ifndef CUSTOM_MOVER_H
#define CUSTOM_MOVER_H 1

#include <libminiasync/vdm.h>

struct custom_mover;

struct custom_mover *custom_mover_new(void);
struct vdm *custom_mover_get_vdm(struct custom_mover *mover);
void custom_mover_delete(struct custom_mover *mover);

#endif /* CUSTOM_MOVER_H */
