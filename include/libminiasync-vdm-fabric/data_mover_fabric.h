/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_fabric.h -- a mover to the memory of another process, maybe on
 * another machine, over libfabric
 *
 * One process exposes memory as a region, and hands the region's token to
 * another process. This process makes a mover of the token, and gets a window:
 * addresses that stand for the region. A copy to the window writes into the
 * region, and a copy from the window reads the region:
 *
 *	struct data_mover_fabric *dmf = data_mover_fabric_new(token, NULL);
 *	char *window = data_mover_fabric_addr(dmf);
 *	struct vdm *vdm = data_mover_fabric_get_vdm(dmf);
 *
 *	f = vdm_memcpy(vdm, window + 4096, data, n, 0);
 *
 * Link with libminiasync-vdm-fabric and libminiasync. libfabric.so.1 is loaded
 * when the first region or mover is made.
 *
 * Security  a token is a secret: who has it, and reaches the address, may move
 *           what the region allows. Nothing is encrypted, and libfabric is no
 *           fortress against hostile peers. It listens on both sides, also on
 *           that of a mover. Use it in a trusted network, or inside of a
 *           tunnel.
 * Hardware  tested over TCP. RDMA is reached through the same interface of
 *           libfabric, and was not tested.
 * Wakers    are called by the thread of the mover alone. A waker must return:
 *           pthread_exit() counts as returned, and another thread takes the
 *           place of the one that ends. A waker must not delete its mover,
 *           which would wait for itself. The child of a waker that forks must
 *           not return from the waker after it has deleted the mover.
 * Fork      in a child the movers of its parent are broken, with ENOTCONN, and
 *           its regions serve nobody. The child may delete them. The parent
 *           goes on.
 */

#ifndef LIBMINIASYNC_VDM_FABRIC_DATA_MOVER_FABRIC_H
#define LIBMINIASYNC_VDM_FABRIC_DATA_MOVER_FABRIC_H 1

#include <stddef.h>

#include "../libminiasync/vdm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The exposing side */

struct data_mover_region;

/* What peers may do with a region. */
#define DATA_MOVER_REGION_READ 1U
#define DATA_MOVER_REGION_WRITE 2U

/* No thread: the program calls data_mover_region_progress(). */
#define DATA_MOVER_REGION_NO_THREAD 1U

/*
 * The memory is persistent. Peers may write to it with VDM_F_MEM_DURABLE, and
 * flush it: the region's CPU writes its caches back before that succeeds.
 */
#define DATA_MOVER_REGION_PMEM 2U

/* A token and its final 0 take at most so many bytes. */
#define DATA_MOVER_REGION_TOKEN_MAX 256

/*
 * data_mover_region_new -- exposes memory to other processes
 *
 * addr     the memory, of n bytes. Peers read and write it while the region
 *          exists. What a program reads from it may change under its eyes: copy
 *          a size, an index or a pointer once, and check the copy.
 * n        more than 0
 * access   DATA_MOVER_REGION_READ, _WRITE or both
 * listen   the address and port where peers connect, as numbers:
 *          "192.0.2.1:4711" or "[2001:db8::1]:4711". Without a port, or with
 *          port 0, the system chooses one. NULL: 127.0.0.1, this machine alone.
 *          A link-local address needs its interface: "[fe80::1%eth0]". The
 *          interface of a peer has to have the same name.
 * flags    0, DATA_MOVER_REGION_NO_THREAD, _PMEM or both
 * Returns  the region, or NULL with errno
 *           - EINVAL: an argument is not as described, or the address is not
 *             one of a machine
 *           - EADDRNOTAVAIL: the address is not one of this machine, or its
 *             interface is not
 *           - EADDRINUSE
 *           - ENOTSUP: no libfabric.so.1, or without a provider that checks
 *             keys and bounds; or _PMEM, and this CPU cannot write back lines
 *           - ENOMEM, EAGAIN (no thread), EMFILE, and other errors of the
 *             system and of libfabric
 * Owner    the caller. Destroy it with data_mover_region_delete().
 * Threads  safe from any thread
 * Blocks   to load libfabric, and to listen
 */
struct data_mover_region *data_mover_region_new(void *addr, size_t n,
	unsigned access, const char *listen, unsigned flags);

/*
 * data_mover_region_token -- writes what a peer needs to make a mover
 *
 * token    gets printable characters without spaces, and a final 0. A secret:
 *          hand it over by ssh, TLS or a file of mode 0600.
 * size     bytes at token; DATA_MOVER_REGION_TOKEN_MAX is enough
 * Returns  0, or -1 with errno ENOSPC
 * Threads  safe from any thread
 */
int data_mover_region_token(
	struct data_mover_region *region, char *token, size_t size);

/*
 * data_mover_region_fd, data_mover_region_progress -- serve peers without a
 * thread of the library
 *
 * The descriptor is readable when data_mover_region_progress() has something to
 * do. The call does it, without waiting. Only with
 * DATA_MOVER_REGION_NO_THREAD. The region owns the descriptor.
 *
 * Returns  progress: 0, or -1 with errno ENOTCONN in a child
 * Threads  one thread at a time calls data_mover_region_progress()
 */
int data_mover_region_fd(struct data_mover_region *region);
int data_mover_region_progress(struct data_mover_region *region);

/*
 * data_mover_region_delete -- revokes the region
 *
 * No peer reads or writes the memory once this has returned. Operations of
 * peers that are under way fail.
 *
 * region   may be NULL
 * Threads  no other thread may be in a call with this region
 * Blocks   for a moment, whatever peers do
 */
void data_mover_region_delete(struct data_mover_region *region);

/* The moving side */

struct data_mover_fabric;

struct data_mover_fabric_options {
	size_t size; /* sizeof(struct data_mover_fabric_options) */

	/* Milliseconds to reach the region. 0: 5,000. */
	unsigned connect_ms;

	/*
	 * The mover breaks if the peer lets nothing happen for so many
	 * milliseconds, while operations are under way. Over TCP each byte
	 * counts: a slow network is not taken for a dead one. It may take half
	 * as long again. 0: 10,000.
	 */
	unsigned idle_ms;

	/* Transfers under way at once, each of at most 1 MiB. 0: 1,024. */
	unsigned queue;

	/*
	 * Not 0: no thread of the library. The futures have no
	 * FUTURE_PROPERTY_ASYNC, and call no waker: polls and
	 * data_mover_fabric_progress() do the work.
	 */
	unsigned no_thread;
};

/*
 * data_mover_fabric_new -- makes a mover to a region
 *
 * token    of the region
 * options  NULL, or options of which size and what differs from 0 are set
 * Returns  the mover, or NULL with errno
 *           - EINVAL: not a token, or not options
 *           - EPROTO: a token of another version
 *           - ECONNREFUSED: nobody listens there
 *           - ENETUNREACH, EHOSTUNREACH: the network has no way to it
 *           - EADDRNOTAVAIL: no interface here has the name in the address
 *           - EACCES: the region is gone, or the token is not its token
 *           - ETIMEDOUT: no answer in connect_ms
 *           - ENOTSUP: as for data_mover_region_new(), or the region has more
 *             bytes than a quarter of the addresses
 *           - ENOMEM, EAGAIN (no thread), EMFILE, and other errors of the
 *             system and of libfabric
 * Owner    the caller. Destroy it with data_mover_fabric_delete().
 * Threads  any number may create and poll its operations at once
 * Blocks   until the region has answered, for at most about connect_ms
 */
struct data_mover_fabric *data_mover_fabric_new(
	const char *token, const struct data_mover_fabric_options *options);

/*
 * Returns the mover's struct vdm, which is valid until the mover is deleted.
 *
 * Each range of an operation lies in the window, or outside of it. Every
 * combination of the two works, within the window too. Other ranges, and what
 * the region does not allow, fail with VDM_ERROR_JOB_CORRUPTED, and nothing is
 * sent.
 *
 * With DATA_MOVER_REGION_PMEM a destination in the window may have
 * VDM_F_MEM_DURABLE, and vdm_flush() works there. VDM_SUCCESS means then that
 * the region's CPU has written back the bytes. Otherwise both fail. Local
 * memory that a copy reads from the window into may be durable always.
 *
 * VDM_SUCCESS means that the memory is written, and that every later read by
 * any peer finds it. Operations under way at once have no order. After a
 * failure the destination has undefined content; the other movers leave it
 * unchanged or repair it.
 */
struct vdm *data_mover_fabric_get_vdm(struct data_mover_fabric *dmf);

/*
 * The window. Never access it: that ends the program with SIGSEGV. It has as
 * many bytes as the region.
 */
void *data_mover_fabric_addr(struct data_mover_fabric *dmf);
size_t data_mover_fabric_size(struct data_mover_fabric *dmf);

/*
 * data_mover_fabric_error -- why the mover is broken
 *
 * A mover that is broken stays so: its operations fail at once. Make another
 * one; what the operations that failed have written is unknown.
 *
 * Returns  0: it is not broken; or
 *           - ETIMEDOUT: nothing happened for idle_ms. When the peer or the
 *             network goes on, what the systems of both machines hold may still
 *             be written to the destinations of the operations that failed. If
 *             that matters, the peer deletes the region and makes a new one.
 *           - ECONNRESET: the peer, its region or the connection is gone, or
 *             the peer has refused an access
 *           - ENOTCONN: this process is a child of the mover's
 *           - other errors of the system and of libfabric
 * Threads  safe from any thread
 */
int data_mover_fabric_error(struct data_mover_fabric *dmf);

/*
 * data_mover_fabric_fd, data_mover_fabric_progress -- move without a thread of
 * the library
 *
 * The descriptor is readable when data_mover_fabric_progress() has something to
 * do. The call does it, without waiting. Polls of futures do it too. The mover
 * owns the descriptor. Only with no_thread.
 *
 * Returns  progress: 0, or -1 with errno set to data_mover_fabric_error()
 * Threads  safe from any thread
 */
int data_mover_fabric_fd(struct data_mover_fabric *dmf);
int data_mover_fabric_progress(struct data_mover_fabric *dmf);

/*
 * data_mover_fabric_delete -- destroys a mover
 *
 * dmf      may be NULL. Do not poll its futures any more. Operations that are
 *          under way fail, and the thread of the mover calls their wakers.
 * Threads  no other thread may be in a call with this mover
 * Blocks   for a moment, whatever the peer does
 */
void data_mover_fabric_delete(struct data_mover_fabric *dmf);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_VDM_FABRIC_DATA_MOVER_FABRIC_H */
