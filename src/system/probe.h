/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * probe.h -- static tracepoints of the provider libminiasync (USDT)
 *
 * miniasync_probes(7) describes each probe and its arguments. Users rely on
 * probes, so a change of a probe is a change of the interface.
 *
 * A probe is one nop, and a note in the object file. The note tells a tracer
 * the address of the probe and the registers of its arguments. Without
 * <sys/sdt.h> a probe is nothing.
 *
 * The compiler keeps all arguments where the note can name them, also if no
 * tracer is attached. So an argument is a constant, or a variable that the code
 * needs in any case.
 */

#ifndef LIBMINIASYNC_PROBE_H
#define LIBMINIASYNC_PROBE_H 1

/*
 * The thread or library that does an operation: an argument of the probe run.
 */
enum mia_probe_runner {
	MIA_PROBE_POLL,   /* the poll that started it */
	MIA_PROBE_WAIT,   /* a thread that waits for it */
	MIA_PROBE_WORKER, /* a worker */
	MIA_PROBE_DML,    /* DML has accepted a part */
	MIA_PROBE_FABRIC, /* libfabric has accepted a part */
};

#ifdef MIA_PROBES

/*
 * clang stores an argument in memory if the constraint allows memory. It also
 * warns of code in the macros of the header.
 */
#ifdef __clang__
#define STAP_SDT_ARG_CONSTRAINT nr
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif
#include <sys/sdt.h>

#define MIA_PROBE1(name, a) STAP_PROBE1(libminiasync, name, a)
#define MIA_PROBE2(name, a, b) STAP_PROBE2(libminiasync, name, a, b)
#define MIA_PROBE3(name, a, b, c) STAP_PROBE3(libminiasync, name, a, b, c)

#else

/* Marks the arguments as used, and does not evaluate them. */
#define MIA_PROBE1(name, a) (0 ? (void)(a) : (void)0)
#define MIA_PROBE2(name, a, b) (0 ? ((void)(a), (void)(b)) : (void)0)
#define MIA_PROBE3(name, a, b, c) \
	(0 ? ((void)(a), (void)(b), (void)(c)) : (void)0)

#endif

#endif /* LIBMINIASYNC_PROBE_H */
