/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * vdmcp.c -- copies files through a data mover
 *
 *	cc vdmcp.c $(pkg-config --cflags --libs libminiasync) -o vdmcp
 *	cc -DVDMCP_DML vdmcp.c $(pkg-config --cflags --libs \
 *		libminiasync-vdm-dml) -o vdmcp		for --mover dml
 *	./vdmcp --verify big.iso copy.iso
 *	./vdmcp *.iso /mnt
 *
 * The program maps one window of source and destination at a time. It copies
 * each window with many vdm_memcpy() futures, and a runtime waits for them. The
 * workers copy with a function of this program that writes to the mapped file.
 * The built-in copy would store into the mapping instead. There each new page
 * costs a fault, and the kernel clears the page first.
 *
 * The program reserves space for the destination, writes it under a temporary
 * name in the same folder, and renames it at the end. So there is never a part
 * of a file under the destination's name. If the source changes, the program
 * fails.
 */

#define _GNU_SOURCE

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <libminiasync.h>
#ifdef VDMCP_DML
#include <libminiasync-vdm-dml.h>
#endif

#define IN_FLIGHT 64
#define PIECE_BYTES ((size_t)256 << 10)
#define WINDOW_BYTES (IN_FLIGHT * PIECE_BYTES)
#define FAULT_BYTES ((size_t)64 << 10) /* what Linux maps in one read fault */

#define BAR_COLUMNS 20
#define HUMAN_BYTES 16 /* the longest text of human() */

#define EXIT_USAGE 2

struct options {
	enum { MOVER_THREADS, MOVER_SYNC, MOVER_DML } mover;
	unsigned long threads; /* 0: the default of the mover */
	bool verify;
	bool quiet;
	bool verbose;
	bool durable;
	uint64_t flags;
	char **sources;
	size_t nsources;
	const char *target; /* a file, or the directory for all copies */

	/* The copy in progress: copy_all() sets them. */
	const char *source;
	const char *dest;
};

/* A mapped window of a file. The SIGBUS handler and copy_piece() read it. */
struct window {
	/* main() writes them, while no copy is in progress */
	char *volatile addr;
	volatile size_t size;
	int fd;
	off_t offset;

	/* A: any thread sets it when a page is missing */
	atomic_int lost;
};

static struct window src_window;
static struct window dst_window;
static volatile sig_atomic_t stop_signal;

static void
on_stop(int sig)
{
	stop_signal = sig;
}

/*
 * A page of a mapped file is missing: the file was truncated, or the disk
 * failed. The handler maps a page of zeros instead, and the copy continues.
 * Afterwards the program reports the loss. Any other SIGBUS ends the program.
 */
static void
on_bus(int sig, siginfo_t *info, void *context)
{
	const int saved_errno = errno;
	const uintptr_t page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
	const uintptr_t addr = (uintptr_t)info->si_addr;
	struct window *windows[] = {&src_window, &dst_window};

	(void)context;
	for (size_t i = 0; i < 2; i++) {
		struct window *w = windows[i];

		if (addr - (uintptr_t)w->addr >= w->size)
			continue;
		if (mmap((void *)(addr & page_mask), ~page_mask + 1,
			    PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			    0) != MAP_FAILED) {
			/* Relaxed: see is_lost(). */
			atomic_store_explicit(
				&w->lost, 1, memory_order_relaxed);
			errno = saved_errno;
			return;
		}
	}
	signal(sig, SIG_DFL);
}

static int
catch_signals(void)
{
	static const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	const struct sigaction bus = {
		.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
	const struct sigaction stop = {.sa_handler = on_stop};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	/* A signal may be ignored on purpose: nohup, "&" in a script. */
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		struct sigaction old;

		if (sigaction(stops[i], NULL, &old) != 0 ||
			(old.sa_handler != SIG_IGN &&
				sigaction(stops[i], &stop, NULL) != 0))
			return -1;
	}

	/* Without SIGXFSZ posix_fallocate() fails at the file size limit. */
	return sigaction(SIGBUS, &bus, NULL) |
		sigaction(SIGXFSZ, &ignore, NULL) |
		sigaction(SIGPIPE, &ignore, NULL);
}

static int
fail(const char *what)
{
	fprintf(stderr, "vdmcp: %s: %s\n", what, strerror(errno));
	return -1;
}

static int
fail_because(const char *what, const char *why)
{
	fprintf(stderr, "vdmcp: %s: %s\n", what, why);
	return -1;
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static const char *
human(char buf[HUMAN_BYTES], double bytes)
{
	const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	for (; bytes >= 1024 && unit < 4; unit++)
		bytes /= 1024;
	snprintf(buf, HUMAN_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", bytes,
		units[unit]);
	return buf;
}

static void
show_progress(const char *what, size_t done, size_t size, double seconds)
{
	char bar[BAR_COLUMNS + 1], total[HUMAN_BYTES], rate[HUMAN_BYTES];
	const double part = (double)done / (double)size;
	const size_t filled = (size_t)(BAR_COLUMNS * part);
	const double speed = seconds > 0 ? (double)done / seconds : 0;
	const double left = speed > 0 ? (double)(size - done) / speed : 0;

	memset(bar, '.', sizeof(bar) - 1);
	memset(bar, '#', filled);
	bar[sizeof(bar) - 1] = '\0';
	fprintf(stderr, "\r%s [%s] %3.0f%% of %s, %s/s, %.0f s left\033[K",
		what, bar, 100.0 * part, human(total, (double)size),
		human(rate, speed), left);
}

static int
window_map(struct window *w, int fd, size_t offset, size_t size, int prot,
	const char *name)
{
	void *addr = mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)offset);

	if (addr == MAP_FAILED)
		return fail_because(name, "cannot be mapped into memory");
	w->addr = addr;
	w->size = size;
	w->fd = fd;
	w->offset = (off_t)offset;
	return 0;
}

/* Relaxed: the end of a copy publishes what its worker wrote. */
static bool
is_lost(const struct window *w)
{
	return atomic_load_explicit(&w->lost, memory_order_relaxed) != 0;
}

static void
window_unmap(struct window *w)
{
	if (w->size != 0)
		munmap(w->addr, w->size);
	w->size = 0;
}

/*
 * Copies into the destination's window by a write to its file, on a worker. A
 * mapping and its file have the same pages, so the result is that of memcpy().
 * If the write is short, memcpy() stores the rest, and on_bus() handles its
 * faults.
 */
static void *
copy_piece(void *dst, const void *src, size_t n, unsigned flags)
{
	const volatile char *from = src;
	const off_t at = (char *)dst - dst_window.addr;

	(void)flags;
	/* Faults in pwrite() would hold up the writes of other workers. */
	for (size_t i = 0; i < n; i += FAULT_BYTES)
		(void)from[i];

	const ssize_t ret =
		pwrite(dst_window.fd, src, n, dst_window.offset + at);
	const size_t done = ret > 0 ? (size_t)ret : 0;

	memcpy((char *)dst + done, (const char *)src + done, n - done);
	return dst;
}

/* Copies the mapped window with many futures at once. */
static int
copy_window(struct runtime *runtime, struct vdm *vdm, const struct options *opt)
{
	struct vdm_operation_future copies[IN_FLIGHT];
	struct future *futs[IN_FLIGHT];
	size_t nfuts = 0;

	for (size_t at = 0; at < src_window.size; at += PIECE_BYTES, nfuts++) {
		const size_t left = src_window.size - at;

		copies[nfuts] = vdm_memcpy(vdm, dst_window.addr + at,
			src_window.addr + at,
			left < PIECE_BYTES ? left : PIECE_BYTES, opt->flags);
		futs[nfuts] = FUTURE_AS_RUNNABLE(&copies[nfuts]);
	}

	runtime_wait_multiple(runtime, futs, nfuts);

	for (size_t i = 0; i < nfuts; i++)
		if (FUTURE_OUTPUT(&copies[i])->result != VDM_SUCCESS)
			return fail_because(opt->dest, "a copy failed");
	return 0;
}

static int
verify_window(const struct options *opt)
{
	if (memcmp(src_window.addr, dst_window.addr, src_window.size) != 0)
		return fail_because(
			opt->dest, "the copy differs from the source");
	return 0;
}

/* Maps the next window of both files. */
static int
map_windows(
	int src, int dst, size_t offset, size_t size, const struct options *opt)
{
	/* Relaxed: no copy is in progress. */
	atomic_store_explicit(&src_window.lost, 0, memory_order_relaxed);
	atomic_store_explicit(&dst_window.lost, 0, memory_order_relaxed);
	if (window_map(&src_window, src, offset, size, PROT_READ,
		    opt->source) != 0)
		return -1;
	return window_map(&dst_window, dst, offset, size,
		PROT_READ | PROT_WRITE, opt->dest);
}

/* Copies the file window by window. If vdm is NULL, compares both files. */
static int
each_window(int src, int dst, size_t size, struct runtime *runtime,
	struct vdm *vdm, const struct options *opt)
{
	const bool bar = !opt->quiet && isatty(STDERR_FILENO);
	const double start_s = now_s();
	int ret = 0;

	for (size_t done = 0; ret == 0 && done < size; done += WINDOW_BYTES) {
		const size_t left = size - done;
		const size_t n = left < WINDOW_BYTES ? left : WINDOW_BYTES;

		if (map_windows(src, dst, done, n, opt) != 0)
			ret = -1;
		else if (vdm != NULL)
			ret = copy_window(runtime, vdm, opt);
		else
			ret = verify_window(opt);
		window_unmap(&src_window);
		window_unmap(&dst_window);

		if (is_lost(&src_window))
			ret = fail_because(opt->source,
				"was truncated, or cannot be read");
		else if (is_lost(&dst_window))
			ret = fail_because(opt->dest,
				"cannot be written, is the disk full?");
		else if (stop_signal != 0)
			ret = -1;
		else if (bar && ret == 0)
			show_progress(vdm != NULL ? "copy  " : "verify",
				done + n, size, now_s() - start_s);
	}

	if (bar && size > 0)
		fputs("\r\033[K", stderr);
	return ret;
}

/* Returns whether the file was written between these two fstat() calls. */
static bool
has_changed(const struct stat *before, const struct stat *after)
{
	return after->st_size != before->st_size ||
		after->st_mtim.tv_sec != before->st_mtim.tv_sec ||
		after->st_mtim.tv_nsec != before->st_mtim.tv_nsec;
}

/* Reserves space, copies, compares if asked to, and checks the source. */
static int
copy_file(int src, int dst, const struct stat *st, struct vdm *vdm,
	const struct options *opt)
{
	const size_t size = (size_t)st->st_size;
	struct stat after;
	int ret;

	errno = size > 0 ? posix_fallocate(dst, 0, st->st_size) : 0;
	if (errno != 0)
		return fail(opt->dest);

	struct runtime *runtime = runtime_new();

	if (runtime == NULL)
		return fail("runtime_new");
	ret = each_window(src, dst, size, runtime, vdm, opt);
	if (ret == 0 && opt->verify)
		ret = each_window(src, dst, size, runtime, NULL, opt);
	runtime_delete(runtime);
	if (ret != 0)
		return ret;

	if (fstat(src, &after) != 0)
		return fail(opt->source);
	if (has_changed(st, &after))
		return fail_because(opt->source, "changed during the copy");
	/* Not set-user-id, because the copy may have another owner. */
	if (fchmod(dst, st->st_mode & 0777) != 0)
		return fail(opt->dest);
	if (opt->durable && fsync(dst) != 0)
		return fail(opt->dest);
	return 0;
}

/* Makes the new name in the directory survive a crash. */
static int
sync_directory_of(const char *path)
{
	char *dir = strdup(path);

	if (dir == NULL)
		return fail(path);
	char *slash = strrchr(dir, '/');

	if (slash != NULL)
		slash[1] = '\0';

	const int fd = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY);
	const int ret = fd >= 0 ? fsync(fd) : -1;

	if (fd >= 0)
		close(fd);
	free(dir);
	return ret == 0 ? 0 : fail(path);
}

/* Copies to a temporary file, and renames that file to the destination. */
static int
copy_and_rename(int src, const struct stat *st, struct vdm *vdm,
	const struct options *opt)
{
	const char *slash = strrchr(opt->dest, '/');
	const int dir = slash != NULL ? (int)(slash + 1 - opt->dest) : 0;
	char *temp = NULL;

	if (asprintf(&temp, "%.*s.vdmcp-XXXXXX", dir, opt->dest) < 0)
		return fail(opt->dest);

	const int dst = mkostemp(temp, O_CLOEXEC);

	if (dst < 0) {
		fprintf(stderr,
			"vdmcp: %s: cannot make a temporary file beside it: "
			"%s\n",
			opt->dest, strerror(errno));
		free(temp);
		return -1;
	}

	int ret = copy_file(src, dst, st, vdm, opt);

	if (close(dst) != 0 && ret == 0)
		ret = fail(opt->dest);
	if (ret == 0 && stop_signal != 0)
		ret = -1;
	if (ret == 0 && rename(temp, opt->dest) != 0)
		ret = fail(opt->dest);
	if (ret != 0)
		unlink(temp);
	else if (opt->durable)
		ret = sync_directory_of(opt->dest);
	free(temp);
	return ret;
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Opens and checks the source. Returns its descriptor, or -1. */
static int
open_source(const struct options *opt, struct stat *st)
{
	char byte;
	/* O_NONBLOCK: a pipe without a writer must not block. */
	const int fd = open(opt->source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, st) != 0)
		fail(opt->source);
	else if (S_ISDIR(st->st_mode))
		fail_because(opt->source, "is a directory");
	else if (!S_ISREG(st->st_mode))
		fail_because(opt->source, "is not a regular file");
	else if (st->st_size == 0 && read(fd, &byte, 1) != 0)
		/* In /proc, for example. */
		fail_because(opt->source, "has data, but its size is 0");
	else
		return fd;

	if (fd >= 0)
		close(fd);
	return -1;
}

/* The destination is a new name, or a regular file other than the source. */
static int
check_dest(const char *dest, const struct stat *source)
{
	struct stat st;

	if (stat(dest, &st) == 0 && is_same_file(&st, source))
		return fail_because(dest, "is the same file as the source");
	if (lstat(dest, &st) != 0)
		return errno == ENOENT && *dest != '\0' ? 0 : fail(dest);
	if (!S_ISREG(st.st_mode))
		return fail_because(dest, "exists and is not a regular file");
	return 0;
}

/* Copies one file, and prints a summary. */
static int
copy_one(struct vdm *vdm, const struct options *opt)
{
	const double start_s = now_s();
	struct stat st;
	const int src = open_source(opt, &st);
	int ret = -1;

	if (src < 0)
		return ret;
	if (check_dest(opt->dest, &st) == 0)
		ret = copy_and_rename(src, &st, vdm, opt);
	close(src);
	if (ret != 0 || opt->quiet)
		return ret;

	const double seconds = now_s() - start_s;
	char size[HUMAN_BYTES], rate[HUMAN_BYTES];

	printf("%s -> %s: %s in %.4g %s, %s/s%s\n", opt->source, opt->dest,
		human(size, (double)st.st_size),
		seconds < 1 ? seconds * 1e3 : seconds, seconds < 1 ? "ms" : "s",
		human(rate, (double)st.st_size / seconds),
		opt->verify ? ", verified" : "");
	return fflush(stdout) == 0 ? 0 : fail("standard output");
}

/* Returns the part behind the last slash, or the path if it is empty. */
static const char *
name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

/* Copies source i into the directory, but never onto an earlier copy. */
static int
copy_into_target(struct vdm *vdm, struct options *opt, size_t i)
{
	const char *name = name_of(opt->source);
	const char *end = strchr(opt->target, '\0');
	char *dest = NULL;

	for (size_t earlier = 0; earlier < i; earlier++)
		if (strcmp(name_of(opt->sources[earlier]), name) == 0)
			return fail_because(opt->source,
				"an earlier source has the same name");
	if (asprintf(&dest, "%s%s%s", opt->target, end[-1] == '/' ? "" : "/",
		    name) < 0)
		return fail(opt->source);
	opt->dest = dest;

	const int ret = copy_one(vdm, opt);

	free(dest);
	return ret;
}

/* Copies all sources. After an error it continues with the next source. */
static int
copy_all(struct vdm *vdm, struct options *opt)
{
	struct stat st;
	const bool is_dir = stat(opt->target, &st) == 0 && S_ISDIR(st.st_mode);
	int ret = 0;

	if (!is_dir && opt->nsources > 1)
		return fail_because(opt->target, "is not a directory");
	opt->dest = opt->target;
	for (size_t i = 0; stop_signal == 0 && i < opt->nsources; i++) {
		opt->source = opt->sources[i];
		ret |= is_dir ? copy_into_target(vdm, opt, i)
			      : copy_one(vdm, opt);
	}
	return ret;
}

static int
copy_by_threads(struct options *opt)
{
	struct data_mover_threads *dmt = opt->threads == 0
		? data_mover_threads_default()
		: data_mover_threads_new(
			  opt->threads, IN_FLIGHT, FUTURE_NOTIFIER_WAKER);

	if (dmt == NULL)
		return fail("threads mover");
	/* The flags need the built-in copy, which stores into memory. */
	if (opt->flags == 0)
		data_mover_threads_set_memcpy_fn(dmt, copy_piece);

	const int ret = copy_all(data_mover_threads_get_vdm(dmt), opt);

	data_mover_threads_delete(dmt);
	return ret;
}

static int
copy_by_sync(struct options *opt)
{
	struct data_mover_sync *dms = data_mover_sync_new();

	if (dms == NULL)
		return fail("synchronous mover");

	const int ret = copy_all(data_mover_sync_get_vdm(dms), opt);

	data_mover_sync_delete(dms);
	return ret;
}

#ifdef VDMCP_DML
/* Copies with a device, or without a device with DML's software. */
static int
copy_by_dml(struct options *opt)
{
	struct data_mover_dml *dmd =
		data_mover_dml_new(DATA_MOVER_DML_HARDWARE);

	if (dmd == NULL) {
		if (opt->verbose)
			fprintf(stderr,
				"vdmcp: DSA: %s; DML copies in software\n",
				strerror(errno));
		dmd = data_mover_dml_new(DATA_MOVER_DML_SOFTWARE);
	} else if (opt->verbose) {
		fprintf(stderr, "vdmcp: DSA: a device copies\n");
	}
	if (dmd == NULL)
		return fail("mover over DML");

	const int ret = copy_all(data_mover_dml_get_vdm(dmd), opt);

	data_mover_dml_delete(dmd);
	return ret;
}
#endif

static int
copy_by_mover(struct options *opt)
{
	switch (opt->mover) {
	case MOVER_THREADS:
		return copy_by_threads(opt);
	case MOVER_SYNC:
		return copy_by_sync(opt);
	case MOVER_DML:
#ifdef VDMCP_DML
		return copy_by_dml(opt);
#else
		break; /* parse() rejects it */
#endif
	}
	return -1;
}

#define USAGE "usage: vdmcp [OPTION]... SOURCE... DEST, or vdmcp --help\n"

static const char help_text[] = USAGE
	"Copies SOURCE to the file DEST, or each SOURCE into the directory "
	"DEST.\n"
	"  --mover M    threads: worker threads copy (default); sync: the "
	"calling\n"
	"               thread copies; dml: DML copies\n"
	"  --threads N  worker threads, 1 or more; default: one for each CPU\n"
	"  --durable    write back the CPU caches and sync before the end\n"
	"  --no-cache   do not fill the CPU caches\n"
	"  --verify     compare both files afterwards\n"
	"  --verbose    print whether --mover dml uses a device\n"
	"  --quiet      print no progress bar and no summary\n"
	"  --help       print this help\n"
	"Example: vdmcp --verify big.iso copy.iso\n";

static int
usage(const char *why, const char *what)
{
	fprintf(stderr, "vdmcp: '%s': %s\n" USAGE, what, why);
	return EXIT_USAGE;
}

/* Parses a number of threads. Returns 0 if it is not valid. */
static unsigned long
parse_threads(const char *text)
{
	char *end;
	const unsigned long n = strtoul(text, &end, 10);

	return isdigit((unsigned char)*text) && *end == '\0' ? n : 0;
}

/* Prints why getopt_long() rejected a letter, or an option as given. */
static int
refuse_option(int letter, const char *option)
{
	const char short_option[] = {'-', (char)letter, '\0'};

	if (letter > UCHAR_MAX)
		return usage("this option takes no value", option);
	return usage("unknown option", letter != 0 ? short_option : option);
}

/* Returns -1 if there is something to copy, or the exit status. */
static int
parse(int argc, char *argv[], struct options *opt)
{
	/* Larger than any letter, so that optopt is not ambiguous. */
	enum {
		OPT_MOVER = UCHAR_MAX + 1,
		OPT_THREADS,
		OPT_DURABLE,
		OPT_NO_CACHE,
		OPT_VERIFY,
		OPT_VERBOSE,
		OPT_QUIET,
		OPT_HELP,
	};
	static const struct option longs[] = {
		{"mover", required_argument, NULL, OPT_MOVER},
		{"threads", required_argument, NULL, OPT_THREADS},
		{"durable", no_argument, NULL, OPT_DURABLE},
		{"no-cache", no_argument, NULL, OPT_NO_CACHE},
		{"verify", no_argument, NULL, OPT_VERIFY},
		{"verbose", no_argument, NULL, OPT_VERBOSE},
		{"quiet", no_argument, NULL, OPT_QUIET},
		{"help", no_argument, NULL, OPT_HELP},
		{NULL, 0, NULL, 0},
	};
	int c;

	opterr = 0; /* usage() prints the errors */
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		switch (c) {
		case OPT_MOVER:
			if (strcmp(optarg, "threads") == 0)
				opt->mover = MOVER_THREADS;
			else if (strcmp(optarg, "sync") == 0)
				opt->mover = MOVER_SYNC;
			else if (strcmp(optarg, "dml") == 0)
				opt->mover = MOVER_DML;
			else
				return usage("unknown mover; use threads, sync "
					     "or dml",
					optarg);
			break;
		case OPT_THREADS:
			opt->threads = parse_threads(optarg);
			if (opt->threads == 0)
				return usage(
					"not a number of threads, 1 or more",
					optarg);
			break;
		case OPT_DURABLE:
			opt->durable = true;
			opt->flags |= VDM_F_MEM_DURABLE;
			break;
		case OPT_NO_CACHE:
			opt->flags |= VDM_F_NO_CACHE_HINT;
			break;
		case OPT_VERIFY:
			opt->verify = true;
			break;
		case OPT_VERBOSE:
			opt->verbose = true;
			break;
		case OPT_QUIET:
			opt->quiet = true;
			break;
		case OPT_HELP:
			fputs(help_text, stdout);
			return fflush(stdout) == 0 ? EXIT_SUCCESS
						   : EXIT_FAILURE;
		case ':':
			return usage("a value must follow", argv[optind - 1]);
		default:
			return refuse_option(optopt, argv[optind - 1]);
		}
	}
	if (opt->mover != MOVER_THREADS && opt->threads != 0)
		return usage("is only for --mover threads", "--threads");
#ifndef VDMCP_DML
	if (opt->mover == MOVER_DML)
		return usage("this vdmcp was built without DML", "--mover dml");
#endif
	if (argc - optind < 2)
		return usage("a file name must follow",
			optind < argc ? argv[optind] : "vdmcp");

	opt->sources = argv + optind;
	opt->nsources = (size_t)(argc - 1 - optind);
	opt->target = argv[argc - 1];
	return -1;
}

int
main(int argc, char *argv[])
{
	struct options opt = {.flags = 0};
	const int status = parse(argc, argv, &opt);

	if (status >= 0)
		return status;
	if (catch_signals() != 0) {
		fail("sigaction");
		return EXIT_FAILURE;
	}

	const int ret = copy_by_mover(&opt);

	if (stop_signal != 0) {
		/* Ends by the signal, so that the shell sees the reason. */
		signal(stop_signal, SIG_DFL);
		raise(stop_signal);
	}
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
