/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * report.c -- rows, verdicts, JSON, the machine
 *
 * The figure of a row is a median of rounds. Its notch is 1.57 times the
 * distance of the quartiles over the square root of the number of rounds. The
 * median of another run may differ by the notch. If the target lies within the
 * notch, the verdict gets a question mark, and a warning follows at the end.
 * Another warning follows if other programs had more than a twentieth of the
 * CPUs.
 */

#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifdef BENCH_GLIB
#include <glib.h>
#endif
#ifdef BENCH_LIBUV
#include <uv.h>
#endif

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

#define MAX_ROWS 128
#define MAX_POINTS 48

struct row {
	char section[64];
	char what[64];
	const char *base_name, *ours_name;
	double base_ns, ours_ns;
	struct figure figure;
	const char *unit;
	enum relation relation;
	double target;
	const char *verdict; /* NULL: it has no target */
	bool is_unsure;
};

/* A line of the sweep. */
struct point {
	size_t size, count;
	double ns[MAX_CONTESTANTS]; /* per copy */
};

/* The CPUs' time, in seconds. */
struct cpu_time {
	double busy, all, own;
};

static FILE *out, *json_out;
static struct row rows[MAX_ROWS];
static size_t nrows;
static char section[sizeof(rows->section)];
static const char *base_name, *ours_name;
static const char *columns[MAX_CONTESTANTS];
static size_t ncolumns;
static struct point points[MAX_POINTS];
static size_t npoints;
static struct cpu_time at_start;
static double started_ns;

/* All zero if the system does not tell them. */
static struct cpu_time
cpu_time_now(void)
{
	/* user, nice, system, idle, iowait, irq, softirq, steal */
	double ticks[8] = {0};
	struct cpu_time t = {0};
	struct rusage usage;
	FILE *f = fopen("/proc/stat", "r");

	if (f == NULL)
		return t;
	const int n = fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", ticks,
		ticks + 1, ticks + 2, ticks + 3, ticks + 4, ticks + 5,
		ticks + 6, ticks + 7);

	fclose(f);
	if (n != 8 || getrusage(RUSAGE_SELF, &usage) != 0)
		return t;
	for (int i = 0; i < 8; i++)
		t.all += ticks[i] / (double)sysconf(_SC_CLK_TCK);
	t.busy = t.all - (ticks[3] + ticks[4]) / (double)sysconf(_SC_CLK_TCK);
	t.own = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	return t;
}

/* The share of all CPUs that other programs had. -1: unknown. */
static double
others_share(void)
{
	const struct cpu_time now = cpu_time_now();
	const double all = now.all - at_start.all;
	const double others =
		now.busy - at_start.busy - (now.own - at_start.own);

	if (at_start.all <= 0 || all <= 0)
		return -1;
	return others > 0 ? others / all : 0;
}

/* Up to the first character that could end a JSON string. */
static void
cpu_model(char *model, size_t size)
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "r");

	snprintf(model, size, "unknown");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
			snprintf(model, size, "%s", colon + 2);
			break;
		}
	}
	if (f != NULL)
		fclose(f);
	model[strcspn(model, "\"\\\n")] = '\0';
}

void
report_start(const char *json_path)
{
	char model[128];

	out = stdout;
	if (json_path != NULL && strcmp(json_path, "-") == 0) {
		out = stderr;
		json_out = stdout;
	} else if (json_path != NULL) {
		json_out = fopen(json_path, "w");
		if (json_out == NULL)
			fail("%s: cannot be opened", json_path);
	}
	at_start = cpu_time_now();
	started_ns = clock_ns(CLOCK_MONOTONIC);
	cpu_model(model, sizeof(model));
	fprintf(out, "%s, %zu usable CPUs\n%s, libminiasync %s %s\n", model,
		usable_cpus(), COMPILER, BENCH_VERSION, BENCH_BUILD_TYPE);
}

/* In as many digits as one can use. */
static void
print_number(double v, int width)
{
	const double a = fabs(v);

	fprintf(out, "%*.*f", width,
		a >= 1000 || a == 0 ? 0
			: a >= 100  ? 1
				    : 2,
		v);
}

/* In its best unit; 0: blank. */
static void
print_time(double ns)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	int unit = 0;

	for (; ns >= 1000 && unit < 3; unit++)
		ns /= 1000;
	if (ns > 0) {
		print_number(ns, 7);
		fprintf(out, " %-2s", units[unit]);
	} else {
		fprintf(out, "%10s", "");
	}
}

void
report_section(const char *title, const char *base, const char *ours)
{
	snprintf(section, sizeof(section), "%s", title);
	base_name = base;
	ours_name = ours;
	fprintf(out, "\n%s\n%-37s%10s%10s%11s target\n", title, "", base, ours,
		"figure");
	fflush(out);
}

static void
judge(struct row *row)
{
	const struct figure *f = &row->figure;
	const double notch = 1.57 * (f->high - f->low) / sqrt(f->samples);

	if (row->relation == NO_TARGET)
		return;
	row->verdict = (row->relation == AT_MOST ? f->median <= row->target
						 : f->median >= row->target)
		? "met"
		: "missed";
	row->is_unsure = fabs(f->median - row->target) < notch;
}

void
report_row(const char *what, double base_ns, double ours_ns,
	struct figure figure, const char *unit, enum relation relation,
	double target)
{
	if (nrows == MAX_ROWS)
		fail("too many rows: raise MAX_ROWS");

	struct row *row = &rows[nrows++];

	*row = (struct row){"", "", base_name, ours_name, base_ns, ours_ns,
		figure, unit, relation, target, NULL, false};
	memcpy(row->section, section, sizeof(section));
	snprintf(row->what, sizeof(row->what), "%s", what);
	judge(row);

	fprintf(out, "%-37s", what);
	print_time(base_ns);
	print_time(ours_ns);
	print_number(figure.median, 8);
	fprintf(out, " %-2s", unit);
	if (row->verdict != NULL) {
		fprintf(out, " %s", relation == AT_MOST ? "<=" : ">=");
		fprintf(out, " %.7g %s%s", target, row->verdict,
			row->is_unsure ? "?" : "");
	}
	fputc('\n', out);
	fflush(out);
}

static void
print_size(size_t size, size_t count)
{
	const char *unit = "B";

	if (size >= MIB) {
		size /= MIB;
		unit = "MiB";
	} else if (size >= KIB) {
		size /= KIB;
		unit = "KiB";
	}
	fprintf(out, "%2zu x %3zu %-3s", count, size, unit);
}

static void
print_columns(const char *title)
{
	fprintf(out, "\n%s\n%12s", title, "");
	for (size_t i = 0; i < ncolumns; i++)
		fprintf(out, " %9.9s", columns[i]);
	fputc('\n', out);
}

void
report_sweep(size_t size, size_t count, const struct contestant *c, size_t n)
{
	if (npoints == MAX_POINTS)
		fail("too many sizes: raise MAX_POINTS");

	if (npoints == 0) {
		ncolumns = n;
		for (size_t i = 0; i < n; i++)
			columns[i] = c[i].name;
		print_columns("ns per copy, in flight x size");
	}

	struct point *point = &points[npoints++];

	*point = (struct point){.size = size, .count = count};
	print_size(size, count);
	for (size_t i = 0; i < n; i++) {
		point->ns[i] = c[i].median;
		fprintf(out, " %9.*f", point->ns[i] < 1000 ? 1 : 0,
			point->ns[i]);
	}
	fputc('\n', out);
	fflush(out);
}

static double
gib_per_s(const struct point *point, size_t column)
{
	return (double)point->size / point->ns[column] * 1e9 /
		(double)(1024 * MIB);
}

void
report_sweep_end(void)
{
	print_columns("GiB/s");
	for (size_t p = 0; p < npoints; p++) {
		print_size(points[p].size, points[p].count);
		for (size_t i = 0; i < ncolumns; i++)
			fprintf(out, " %9.3f", gib_per_s(&points[p], i));
		fputc('\n', out);
	}
}

static void
json_machine(FILE *f)
{
	char model[128];
	struct utsname name;

	cpu_model(model, sizeof(model));
	if (uname(&name) != 0)
		memset(&name, 0, sizeof(name));
	fprintf(f,
		"{\"machine\": {\"cpu\": \"%s\", \"cpus\": %zu, "
		"\"architecture\": \"%s\", \"system\": \"%s %s\"},\n",
		model, usable_cpus(), name.machine, name.sysname, name.release);
	fprintf(f,
		"\"build\": {\"compiler\": \"%s\", \"library\": \"%s\", "
		"\"build_type\": \"%s\"",
		COMPILER, BENCH_VERSION, BENCH_BUILD_TYPE);
#ifdef BENCH_LIBUV
	fprintf(f, ", \"libuv\": \"%s\"", uv_version_string());
#endif
#ifdef BENCH_GLIB
	fprintf(f, ", \"glib\": \"%u.%u.%u\"", glib_major_version,
		glib_minor_version, glib_micro_version);
#endif
#ifdef BENCH_OPENMP
	fprintf(f, ", \"openmp\": \"%d\"", openmp_version());
#endif
	fprintf(f, "},\n\"seconds\": %.1f, \"cpu_share_of_others\": ",
		(clock_ns(CLOCK_MONOTONIC) - started_ns) / 1e9);
	if (others_share() < 0)
		fputs("null", f);
	else
		fprintf(f, "%.3f", others_share());
}

static void
json_row(FILE *f, const struct row *row)
{
	fprintf(f, "{\"section\": \"%s\", \"what\": \"%s\"", row->section,
		row->what);
	if (row->base_ns > 0)
		fprintf(f, ", \"%s\": {\"ns\": %.6g}", row->base_name,
			row->base_ns);
	if (row->ours_ns > 0)
		fprintf(f, ", \"%s\": {\"ns\": %.6g}", row->ours_name,
			row->ours_ns);
	fprintf(f,
		",\n \"figure\": %.7g, \"quartiles\": [%.6g, %.6g], "
		"\"samples\": %d, \"unit\": \"%s\"",
		row->figure.median, row->figure.low, row->figure.high,
		row->figure.samples, row->unit);
	if (row->verdict != NULL)
		fprintf(f,
			",\n \"target\": %.7g, \"relation\": \"%s\", "
			"\"verdict\": \"%s\", \"unsure\": %s",
			row->target,
			row->relation == AT_MOST ? "<=" : ">=", row->verdict,
			row->is_unsure ? "true" : "false");
	fputc('}', f);
}

static void
json(FILE *f)
{
	json_machine(f);
	fputs(",\n\"rows\": [", f);
	for (size_t i = 0; i < nrows; i++) {
		fputs(i == 0 ? "\n" : ",\n", f);
		json_row(f, &rows[i]);
	}
	fputs("],\n\"sweep\": [", f);
	for (size_t p = 0; p < npoints; p++) {
		fprintf(f, "%s{\"bytes\": %zu, \"in_flight\": %zu",
			p == 0 ? "\n" : ",\n", points[p].size, points[p].count);
		for (size_t i = 0; i < ncolumns; i++)
			fprintf(f,
				",\n \"%s\": {\"ns\": %.6g, \"GiB/s\": %.6g}",
				columns[i], points[p].ns[i],
				gib_per_s(&points[p], i));
		fputc('}', f);
	}
	fputs("]}\n", f);
}

void
report_end(void)
{
	const double others = others_share();
	int met = 0, missed = 0, unsure = 0;

	for (size_t i = 0; i < nrows; i++) {
		if (rows[i].verdict == NULL)
			continue;
		met += strcmp(rows[i].verdict, "met") == 0;
		missed += strcmp(rows[i].verdict, "missed") == 0;
		unsure += rows[i].is_unsure;
	}
	fprintf(out, "\n%d targets met, %d missed, in %.0f s\n", met, missed,
		(clock_ns(CLOCK_MONOTONIC) - started_ns) / 1e9);
	if (unsure > 0)
		fprintf(out,
			"warning: noise may change the %d verdicts with a ?\n",
			unsure);
	if (others > 0.05)
		fprintf(out,
			"warning: other programs used %.0f %% of the CPUs; "
			"stop them and repeat\n",
			others * 100);

	if (json_out != NULL) {
		json(json_out);
		if (ferror(json_out) || fclose(json_out) != 0)
			fail("the JSON file: cannot be written");
	}
}
