/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * data_mover_fabric.h -- the mover over libfabric, for the memory of another
 * process, on this or another machine
 *
 * One process exposes memory as a region, and gives the region's token to
 * another process. The other process creates a mover from the token, and gets a
 * window. The window is a range of addresses that stand for the region. A copy
 * to the window writes the region, and a copy from the window reads the region:
 *
 *	struct data_mover_fabric *dmf = data_mover_fabric_new(token, NULL);
 *	char *window = data_mover_fabric_addr(dmf);
 *	struct vdm *vdm = data_mover_fabric_get_vdm(dmf);
 *
 *	f = vdm_memcpy(vdm, window + 4096, data, n, 0);
 *
 * Link with libminiasync-vdm-fabric and libminiasync. libfabric.so.1 is loaded
 * when the first region or mover is created.
 *
 * Security  a token is a secret. Everyone who has the token and reaches the
 *           address may do what the region allows. Nothing is encrypted, and
 *           libfabric's parser is not hardened against hostile peers. libfabric
 *           listens on both sides, also on the side of a mover. Use the mover
 *           in a trusted network or inside a tunnel.
 * Hardware  tested over TCP only. RDMA uses the same interface of libfabric,
 *           and was never run.
 * Wakers    only the thread of the mover calls wakers. A waker must return.
 *           pthread_exit() counts as returning: it ends the thread, and a new
 *           thread takes its place. A waker must not delete its mover, because
 *           the mover would wait for the waker. If a waker forks, and its child
 *           deletes the mover, the child must not return from the waker.
 * Fork      in a child the movers of its parent are broken, with ENOTCONN, and
 *           the regions of its parent serve no peer. The child may delete both.
 *           They keep working in the parent.
 */

#ifndef LIBMINIASYNC_VDM_FABRIC_DATA_MOVER_FABRIC_H
#define LIBMINIASYNC_VDM_FABRIC_DATA_MOVER_FABRIC_H 1

#include <stddef.h>

#include "../libminiasync/vdm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The side that exposes memory */

struct data_mover_region;

/* The access that peers have to a region. */
#define DATA_MOVER_REGION_READ 1U
#define DATA_MOVER_REGION_WRITE 2U

/* The region has no thread: the program calls data_mover_region_progress(). */
#define DATA_MOVER_REGION_NO_THREAD 1U

/*
 * The memory is persistent, which the library does not check. Peers may write
 * with VDM_F_MEM_DURABLE, and flush. The CPU of the region writes its caches
 * back before such an operation succeeds.
 */
#define DATA_MOVER_REGION_PMEM 2U

/* The most bytes of a token, including its final 0. */
#define DATA_MOVER_REGION_TOKEN_MAX 256

/*
 * data_mover_region_new -- exposes memory to other processes
 *
 * addr     the memory, of n bytes, not NULL. Keep it while the region exists.
 *          Peers read and write it, so it may change at any time. Copy a size,
 *          an index or a pointer out of it once, and check the copy.
 * n        bytes, at least 1
 * access   DATA_MOVER_REGION_READ, _WRITE or both
 * listen   the address and port where peers connect, as numbers:
 *          "192.0.2.1:4711" or "[2001:db8::1]:4711". Without a port, or with
 *          port 0, the system chooses one. NULL is 127.0.0.1: only this machine
 *          can connect. A link-local address needs its network interface:
 *          "[fe80::1%eth0]:4711". A peer needs an interface with the same name.
 * flags    0, DATA_MOVER_REGION_NO_THREAD, _PMEM or both
 * Returns  the region, or NULL with errno
 *           - EINVAL: an argument is not as described, or the address is not
 *             that of one machine
 *           - EADDRNOTAVAIL: this machine does not have the address, or does
 *             not have the interface
 *           - EADDRINUSE: another program listens there
 *           - ENOTSUP: no libfabric.so.1 of version 1.14 or later, or none of
 *             its providers checks keys and bounds. Or _PMEM is set, and this
 *             CPU has no cache write-back instruction.
 *           - ENOMEM, EAGAIN (no thread), EMFILE, and other errors of the
 *             system and of libfabric
 * Owner    the caller. Delete it with data_mover_region_delete().
 * Threads  safe from any thread
 * Blocks   while it loads libfabric, about 10 ms
 */
struct data_mover_region *data_mover_region_new(void *addr, size_t n,
	unsigned access, const char *listen, unsigned flags);

/*
 * data_mover_region_token -- writes the token, which a peer needs for its mover
 *
 * token    gets printable characters without spaces, and a final 0. The token
 *          is a secret: pass it on by ssh, by TLS or in a file of mode 0600.
 * size     bytes at token. DATA_MOVER_REGION_TOKEN_MAX is enough.
 * Returns  0, or -1 with errno ENOSPC: the token needs more bytes
 * Threads  safe from any thread
 * Blocks   never
 */
int data_mover_region_token(
	struct data_mover_region *region, char *token, size_t size);

/*
 * data_mover_region_fd, data_mover_region_progress -- serve peers without a
 * thread of the library
 *
 * Call them only with DATA_MOVER_REGION_NO_THREAD. When the descriptor is
 * readable, call data_mover_region_progress(), which does the work that is due.
 *
 * Returns  data_mover_region_fd(): the descriptor.
 *          data_mover_region_progress(): 0, or -1 with errno ENOTCONN in a
 *          child
 * Owner    the region owns the descriptor
 * Threads  only one thread at a time calls data_mover_region_progress()
 * Blocks   data_mover_region_fd(): never. data_mover_region_progress() does not
 *          wait for peers. With DATA_MOVER_REGION_PMEM one call may write up to
 *          128 MiB back.
 */
int data_mover_region_fd(struct data_mover_region *region);
int data_mover_region_progress(struct data_mover_region *region);

/*
 * data_mover_region_delete -- revokes and deletes a region
 *
 * After the call has returned, no peer reads or writes the memory. Operations
 * of peers that are in progress fail.
 *
 * region   may be NULL
 * Threads  during the call, and afterwards, no other thread may use the region
 * Blocks   some milliseconds, whatever the peers do. With
 *          DATA_MOVER_REGION_PMEM the call may also wait until up to 128 MiB
 *          are written back.
 */
void data_mover_region_delete(struct data_mover_region *region);

/* The side that moves memory */

struct data_mover_fabric;

/* A member that is 0 has its default value. Always set size. */
struct data_mover_fabric_options {
	size_t size; /* sizeof(struct data_mover_fabric_options) */

	/*
	 * The timeout for reaching the address of the region, in milliseconds,
	 * and once more for the region's answer. 0: 5,000.
	 */
	unsigned connect_ms;

	/*
	 * The mover breaks if operations are in progress and nothing happens
	 * for so many milliseconds. Over TCP each byte counts, so a slow
	 * network does not break the mover. The mover may break up to half as
	 * long later. 0: 10,000.
	 */
	unsigned idle_ms;

	/* Transfers in flight at once, each of at most 1 MiB. 0: 1,024. */
	unsigned queue;

	/*
	 * Not 0: the mover has no thread. Its futures do not have
	 * FUTURE_PROPERTY_ASYNC, and call no waker. Polls and
	 * data_mover_fabric_progress() do the work.
	 */
	unsigned no_thread;
};

/*
 * data_mover_fabric_new -- creates a mover for a region
 *
 * token    the token of the region
 * options  NULL for all defaults. The function copies the options.
 * Returns  the mover, or NULL with errno
 *           - EINVAL: not a token, or no valid options
 *           - EPROTO: a token of another version
 *           - ECONNREFUSED: no program listens at the address of the region
 *           - ENETUNREACH, EHOSTUNREACH: the network has no route to the region
 *           - EADDRNOTAVAIL: this machine has no interface with the name in the
 *             token
 *           - EACCES: the region is gone, or this is not its token
 *           - ETIMEDOUT: no connection or no answer in connect_ms
 *           - ENOTSUP: as for data_mover_region_new(), or the region has more
 *             bytes than a quarter of the addresses
 *           - ENOMEM, EAGAIN (no thread), EMFILE, and other errors of the
 *             system and of libfabric
 * Owner    the caller. Delete it with data_mover_fabric_delete().
 * Threads  any number may create and poll its operations at once
 * Blocks   until the region has answered: for at most about connect_ms to
 *          connect, and as long again for the answer
 */
struct data_mover_fabric *data_mover_fabric_new(
	const char *token, const struct data_mover_fabric_options *options);

/*
 * Returns the mover's struct vdm, never NULL, which is valid until the mover is
 * deleted. Never blocks, and is safe from any thread.
 *
 * Each range of an operation lies either inside or outside the window. If no
 * range lies in the window, the poll does the operation. If a range crosses an
 * edge of the window, or the region does not allow the access, the result is
 * VDM_ERROR_JOB_CORRUPTED, and nothing is sent. A set, or a copy within the
 * window, may also fail with VDM_ERROR_OUT_OF_MEMORY after its start. Then
 * nothing is written. vdm_memcpyv() copies segment by segment, and may fail
 * after some segments.
 * The number of pending operations is limited: see vdm.h.
 *
 * If the region has DATA_MOVER_REGION_PMEM, a destination in the window may
 * have VDM_F_MEM_DURABLE, and vdm_flush() works there. VDM_SUCCESS then means
 * that the CPU of the other side has written the bytes back. Other regions
 * refuse both with VDM_ERROR_JOB_CORRUPTED. If a copy from the window writes
 * local memory, VDM_F_MEM_DURABLE is always allowed.
 *
 * The struct vdm advertises VDM_F_NO_CACHE_HINT. It also advertises
 * VDM_F_MEM_DURABLE if the region has DATA_MOVER_REGION_PMEM and this CPU has a
 * cache write-back instruction.
 *
 * VDM_SUCCESS means that the memory is written, and that each later read by any
 * peer returns the new contents. Operations in progress at the same time have
 * no order. After a failure the destination has undefined contents. The other
 * movers leave the destination unchanged or repair the failure.
 */
struct vdm *data_mover_fabric_get_vdm(struct data_mover_fabric *dmf);

/*
 * Return the window, and its size in bytes, which is the size of the region.
 * Never access the window directly: that ends the program with SIGSEGV. The
 * mover owns the window. Both never block, and are safe from any thread.
 */
void *data_mover_fabric_addr(struct data_mover_fabric *dmf);
size_t data_mover_fabric_size(struct data_mover_fabric *dmf);

/*
 * data_mover_fabric_error -- returns the reason why the mover is broken
 *
 * A broken mover stays broken, and its operations on the window fail at once.
 * To go on, create a new mover. The failed operations may have written a part
 * of their destinations.
 *
 * Returns  0 if the mover is not broken. Otherwise
 *           - ETIMEDOUT: nothing happened for idle_ms. The systems of both
 *             machines may still hold data. If the peer or the network goes on,
 *             these data may still be written to the destinations of the failed
 *             operations. If this matters, let the peer delete the region and
 *             create a new one.
 *           - ECONNRESET: the peer, its region or the connection is gone, or
 *             the peer has refused an access
 *           - ENOTCONN: this process is a child of the process that created the
 *             mover
 *           - other errors of the system and of libfabric
 * Threads  safe from any thread
 * Blocks   never
 */
int data_mover_fabric_error(struct data_mover_fabric *dmf);

/*
 * data_mover_fabric_fd, data_mover_fabric_progress -- move without a thread of
 * the library
 *
 * Call them only with no_thread. When the descriptor is readable, call
 * data_mover_fabric_progress(), which does the work that is due. Polls of
 * futures do this work too.
 *
 * Returns  data_mover_fabric_fd(): the descriptor.
 *          data_mover_fabric_progress(): 0, or -1 with errno set to
 *          data_mover_fabric_error()
 * Owner    the mover owns the descriptor
 * Threads  safe from any thread
 * Blocks   data_mover_fabric_fd(): never. data_mover_fabric_progress() does not
 *          wait for the peer. It may wait for a thread that is in a call with
 *          this mover.
 */
int data_mover_fabric_fd(struct data_mover_fabric *dmf);
int data_mover_fabric_progress(struct data_mover_fabric *dmf);

/*
 * data_mover_fabric_delete -- deletes a mover
 *
 * dmf      may be NULL. If futures of the mover are not complete, do not poll
 *          them afterwards. Operations in progress fail, and the thread of the
 *          mover calls their wakers.
 * Threads  during the call, and afterwards, no other thread may use the mover.
 *          Wakers of the mover must not call this function.
 * Blocks   some milliseconds, whatever the peer does, and until running wakers
 *          have returned
 */
void data_mover_fabric_delete(struct data_mover_fabric *dmf);

#ifdef __cplusplus
}
#endif

#endif /* LIBMINIASYNC_VDM_FABRIC_DATA_MOVER_FABRIC_H */
