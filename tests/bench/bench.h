/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bench.h -- the parts of the benchmark; bench.c tells its subjects and methods
 *
 *	bench.c        options, and the order of the parts
 *	operations.c   the cost of one operation
 *	waits.c        the cost of a wait
 *	chains.c       the cost of an entry of a chain
 *	queues.c       the cost of a completion queue, and of a time limit
 *	lists.c        many ranges in one operation
 *	wakes.c        the cost of a wake-up and of idleness
 *	timers.c       the delay of a timer beside a copy
 *	moves.c        moves with overlap, and flushes
 *	bulk.c         big copies against plain threads
 *	cost.c         CPU time of a copy, and the slowest copies
 *	beside.c       copies beside busy threads
 *	sweep.c        all sizes against all ways to copy
 *	dml.c          the mover over DML, if it is built
 *	fabric.c       the mover over libfabric, if it is built
 *	fabric_direct.c, fabric_server.c   libfabric itself, and the other side
 *	contestants.c  the ways to copy
 *	openmp.c       one of these ways, the only file compiled with OpenMP
 *	crew.c         plain threads
 *	measure.c      clock, rounds, medians
 *	report.c       rows, verdicts, JSON, the machine
 */

#ifndef BENCH_H
#define BENCH_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <libminiasync.h>

/* The numbers that --quick reduces. */
struct settings {
	int min_rounds;
	double turn_ns;    /* how long a contestant's turn is, at least */
	double target_ns;  /* all turns of a contestant, for a target */
	double sweep_ns;   /* and at a point of the sweep */
	size_t arena_size; /* bytes that one round may copy at once */
	int blocks, pairs; /* of wake-ups */
	int waits;         /* of 50 ms */
	double idle_s;
	size_t beside_size; /* bytes of the copy beside a timer, at most */
	double spacing_ns;  /* from one expiry of the timer to the next */
};

extern struct settings settings;

#define MAX_ROUNDS 501

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* measure.c */

_Noreturn void fail(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

double clock_ns(clockid_t clock);
void sleep_ns(double ns);

/* Zeroed, so there are pages behind it, on a 2 MiB boundary; or fails. */
void *new_memory(size_t size);

size_t usable_cpus(void);

/* Hides the number from the compiler, which must finish the work before. */
static inline size_t
hide(size_t n)
{
	__asm__ __volatile__("" : "+r"(n) : : "memory");
	return n;
}

/* Uses the data at p, for the compiler. */
static inline void
use(const void *p)
{
	__asm__ __volatile__("" : : "r"(p) : "memory");
}

/* Fails unless the operation is complete and succeeded. */
void check(const struct vdm_operation_future *f);

/* One way to do a thing. */
struct contestant {
	const char *name;
	/* Runs it several times. Returns the time of all runs. */
	double (*run)(void *arg, size_t repeats);
	void *arg;
	size_t units; /* that are done each time */
	size_t repeats;
	int rounds;
	double ns[MAX_ROUNDS]; /* of one unit, per round */
	double median;
};

/*
 * Lets n contestants take turns, in rounds of changing order, until each has
 * had the given time. n is at most MAX_CONTESTANTS.
 */
void contest(struct contestant *c, size_t n, double ns);

/* The same, and the caller says how long one turn is, at least. */
void contest_in_turns(
	struct contestant *c, size_t n, double turn_ns, double ns);

/* A median of samples, and their quartiles. */
struct figure {
	double median, low, high;
	int samples;
};

double quantile(const double *v, int n, double q);
struct figure figure_of(const double *v, int n);
struct figure of_contestant(const struct contestant *c);

/* Of a over b, round by round. */
struct figure ratio(const struct contestant *a, const struct contestant *b);
struct figure difference(
	const struct contestant *a, const struct contestant *b);

/* Of a over b and a tenth, round by round: a - 1.10 b. */
struct figure excess(const struct contestant *a, const struct contestant *b);

/* report.c */

enum relation { NO_TARGET, AT_MOST, AT_LEAST };

/*
 * JSON goes to the file. "-" is stdout, and NULL means no JSON. Text goes to
 * stdout, or to stderr if stdout has the JSON.
 */
void report_start(const char *json_path);

/* A title, and the names of the two columns of times. */
void report_section(const char *title, const char *base, const char *ours);

/*
 * One row: two median times for the reader (0: none), and the figure with its
 * unit, its target, and the verdict.
 */
void report_row(const char *what, double base_ns, double ours_ns,
	struct figure figure, const char *unit, enum relation relation,
	double target);

/* The sweep: n columns, a line for each size and number in flight. */
void report_sweep(
	size_t size, size_t count, const struct contestant *c, size_t n);
void report_sweep_end(void);

/* The verdicts counted, warnings; and the JSON. */
void report_end(void);

/* crew.c */

/* Threads that are started once, and sleep until there is something to do. */
struct crew;

struct crew *crew_new(size_t n);
void crew_delete(struct crew *crew);
size_t crew_size(const struct crew *crew);

/* Every thread does job(arg, its number). Nanoseconds until all are done. */
double crew_run(
	struct crew *crew, void (*job)(void *arg, size_t index), void *arg);

/* A barrier whose waiters do not sleep. Zero it first. */
struct spin_barrier {
	atomic_size_t arrived;
};

void spin_barrier_wait(struct spin_barrier *barrier, size_t n);

/* contestants.c */

/* Copies that are in flight at the same time; their ranges are adjacent. */
struct work {
	char *dst;
	const char *src;
	size_t size; /* of one */
	size_t count;
};

/* Copies all bytes of the copy with this index. */
void work_copy_one(const struct work *work, size_t index);

/*
 * The part of one of n threads. Threads divide a single copy into disjoint
 * parts of whole pages, and take turns with several copies.
 */
void work_copy_part(const struct work *work, size_t index, size_t n);

enum { MAX_COUNT = 16, MAX_CONTESTANTS = 8 };

/* Which of them; in the order of the table. */
enum way {
	WAY_MEMCPY,
	WAY_SYNC,
	WAY_THREADS,
	WAY_CREW,
	WAY_SPIN,
	WAY_LIBUV,
	WAY_GLIB,
	WAY_OPENMP,
	WAYS
};

struct ways;

struct ways *ways_new(void);
void ways_delete(struct ways *ways);

/* The copies that all ways do from now on. */
void ways_set_work(struct ways *ways, struct work work);

/* False: the benchmark was built without it. */
bool ways_has(enum way way);
struct contestant ways_contestant(struct ways *ways, enum way way);

/* Fails if this way copies wrongly. */
void ways_verify(struct ways *ways, enum way way);

/* openmp.c, with BENCH_OPENMP */

/* Starts n threads. Call it from the thread that copies. */
void openmp_start(size_t n);

/* Does the work again and again, with all threads. Returns the time of that. */
double openmp_run(const struct work *work, size_t repeats);

/* The version of the specification, as a date: 201511. */
int openmp_version(void);

/* The parts, each in the file that is named above. */

void bench_small(void);
void bench_single(void);
void bench_hand_over(void);
void bench_pending(void);
void bench_wait_cost(void);
void bench_work_in_polls(void);
void bench_chains(void);
void bench_queues(void);
void bench_wake(void);
void bench_cpu(void);
void bench_dml(void);    /* with BENCH_DML */
void bench_fabric(void); /* with BENCH_FABRIC */
void bench_timer(void);
void bench_moves(void);
void bench_lists(void);

/* Main, in another process: serves "direct" or "region". */
void fabric_server(const char *kind, const char *size);

/* dst and src have settings.arena_size bytes. src has a pattern. */
void bench_bulk(struct ways *ways, char *dst, char *src);
void bench_cost(struct ways *ways, char *dst, char *src);
void bench_beside(struct ways *ways, char *dst, char *src);
void bench_sweep(struct ways *ways, char *dst, char *src);

#endif /* BENCH_H */
