/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_library.h -- libfabric, loaded at run time
 *
 * Programs that never make a region or a mover over libfabric do not load it.
 * Libraries that libfabric brings set signal handlers while they are loaded
 * (libinfinipath: SIGSEGV and SIGBUS). The handlers of the program are put back
 * before the load returns. A handler that another thread sets at that moment
 * may be lost.
 *
 * The functions here are the only symbols. Everything else of libfabric is
 * called through pointers in its objects, by functions in its headers.
 *
 * Threads: safe from any thread.
 */

#ifndef LIBMINIASYNC_FABRIC_LIBRARY_H
#define LIBMINIASYNC_FABRIC_LIBRARY_H 1

#include <stdint.h>

#include <rdma/fabric.h>

/* The interface that is asked for. Older libraries are refused. */
#define MIA_FABRIC_VERSION FI_VERSION(1, 14)

/* From here on a connection that ends within a read can be closed. */
#define MIA_FABRIC_CLOSES_READS FI_VERSION(1, 18)

struct mia_fabric_library {
	uint32_t version;
	int (*getinfo)(uint32_t version, const char *node, const char *service,
		uint64_t flags, const struct fi_info *hints,
		struct fi_info **info);
	void (*freeinfo)(struct fi_info *info);
	struct fi_info *(*dupinfo)(const struct fi_info *info);
	int (*fabric)(struct fi_fabric_attr *attr, struct fid_fabric **fabric,
		void *context);
};

/*
 * Loads libfabric once; it stays loaded. Returns NULL if there is none, or an
 * older one.
 */
const struct mia_fabric_library *mia_fabric_library_get(void);

#endif /* LIBMINIASYNC_FABRIC_LIBRARY_H */
