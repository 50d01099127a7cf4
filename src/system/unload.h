/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * unload.h -- distinguishes the unloading of a plug-in from the end of the
 * process
 *
 * The library may be part of a plug-in. When the plug-in is unloaded, no thread
 * is inside the library, and no thread will be. When the process ends, other
 * threads may be inside.
 *
 * Threads: both functions are safe from any thread, and neither blocks.
 */

#ifndef LIBMINIASYNC_UNLOAD_H
#define LIBMINIASYNC_UNLOAD_H 1

#include <stdbool.h>

/*
 * Call this when the first mover is made, and not before main(). Without a
 * call, an exit would look like an unload. Later calls have no effect.
 */
void mia_unload_watch(void);

/*
 * Whether the library is being unloaded, and the process continues. Call this
 * from a destructor with a priority: such destructors are the last.
 */
bool mia_is_unload(void);

#endif /* LIBMINIASYNC_UNLOAD_H */
