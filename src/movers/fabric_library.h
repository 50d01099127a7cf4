/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_library.h -- libfabric, loaded at run time
 *
 * Programs that never create a region or a mover over libfabric do not load it.
 * Some libraries that libfabric loads set signal handlers at that moment
 * (libinfinipath: SIGSEGV and SIGBUS). The load restores the handlers of the
 * program before it returns. A handler that another thread sets during the load
 * may be lost.
 *
 * Only fi_version() and the functions below are looked up. Inline functions in
 * libfabric's headers call all others through pointers in libfabric's objects.
 *
 * Threads: safe from any thread.
 */

#ifndef LIBMINIASYNC_FABRIC_LIBRARY_H
#define LIBMINIASYNC_FABRIC_LIBRARY_H 1

#include <stdint.h>

#include <rdma/fabric.h>

/* The requested version of the interface. Older libraries are refused. */
#define MIA_FABRIC_VERSION FI_VERSION(1, 14)

/* The first version that can close a connection which ended within a read. */
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
 * Loads libfabric at the first call. It stays loaded. Returns NULL if libfabric
 * is missing, is older than MIA_FABRIC_VERSION, or has no provider.
 */
const struct mia_fabric_library *mia_fabric_library_get(void);

#endif /* LIBMINIASYNC_FABRIC_LIBRARY_H */
