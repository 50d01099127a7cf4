/* SPDX-License-Identifier: BSD-3-Clause */

/* fabric_server.c -- see fabric_server.h */

#include "fabric_server.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "fabric_direct.h"

_Static_assert(DATA_MOVER_REGION_TOKEN_MAX >= DIRECT_ADDRESS_MAX, "an address");

/* What a server is asked for. It answers with one byte: yes or no. */
enum task { FILL, LOOK };

struct request {
	enum task task;
	unsigned char seed;
	size_t n;
};

void
use_half(enum half half)
{
	cpu_set_t all, set;
	int seen = 0;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(all), &all) != 0 || CPU_COUNT(&all) < 2)
		return;
	for (size_t i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all) &&
			(seen++ < CPU_COUNT(&all) / 2) == (half == LOWER))
			CPU_SET(i, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fail("cannot bind to the CPUs");
}

static char
pattern(size_t i, unsigned char seed)
{
	return (char)(i * 7 + i / 509 + seed);
}

void
pattern_fill(char *memory, size_t n, unsigned char seed)
{
	for (size_t i = 0; i < n; i++)
		memory[i] = pattern(i, seed);
}

bool
pattern_is(const char *memory, size_t n, unsigned char seed)
{
	for (size_t i = 0; i < n; i++)
		if (memory[i] != pattern(i, seed))
			return false;
	return true;
}

/* In the server: does as it is told. False: nobody tells it any more. */
static bool
obey(char *memory)
{
	struct request request;
	char answer = 'y';

	if (read(STDIN_FILENO, &request, sizeof(request)) != sizeof(request))
		return false;
	switch (request.task) {
	case FILL:
		pattern_fill(memory, request.n, request.seed);
		break;
	case LOOK:
		if (!pattern_is(memory, request.n, request.seed))
			answer = 'n';
		break;
	}
	return write(STDOUT_FILENO, &answer, 1) == 1;
}

static void
serve_by_region(char *memory, size_t size)
{
	struct data_mover_region *region = data_mover_region_new(memory, size,
		DATA_MOVER_REGION_READ | DATA_MOVER_REGION_WRITE, NULL, 0);
	char token[DATA_MOVER_REGION_TOKEN_MAX];

	if (region == NULL ||
		data_mover_region_token(region, token, sizeof(token)) != 0)
		fail("cannot make a region");
	puts(token);
	fflush(stdout);
	while (obey(memory))
		continue;
	data_mover_region_delete(region);
}

static void
serve_directly(char *memory, size_t size)
{
	char address[DIRECT_ADDRESS_MAX];
	struct direct *d = direct_expose(memory, size, address);

	puts(address);
	fflush(stdout);
	do
		direct_serve(d, STDIN_FILENO);
	while (obey(memory));
	direct_delete(d);
}

void
fabric_server(const char *kind, const char *size_text)
{
	const size_t size = (size_t)strtoull(size_text, NULL, 10);
	char *memory = new_memory(size);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	use_half(UPPER);
	if (strcmp(kind, "direct") == 0)
		serve_directly(memory, size);
	else
		serve_by_region(memory, size);
	free(memory);
}

static void
read_address(struct server *s)
{
	size_t n = 0;

	while (n < sizeof(s->address) &&
		read(s->answer, s->address + n, 1) == 1 &&
		s->address[n] != '\n')
		n++;
	if (n == 0 || n == sizeof(s->address))
		fail("a server did not start");
	s->address[n] = '\0';
}

void
server_start(struct server *s, enum server_kind kind, size_t size)
{
	char name[] = "/proc/self/exe", role[] = "--fabric-server";
	char direct[] = "direct", region[] = "region", size_text[32];
	char *argv[] = {name, role, kind == SERVER_DIRECT ? direct : region,
		size_text, NULL};
	posix_spawn_file_actions_t actions;
	int to[2], from[2];

	snprintf(size_text, sizeof(size_text), "%zu", size);
	if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
		fail("cannot make pipes");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
	if (posix_spawn(&s->pid, name, &actions, NULL, argv, environ) != 0)
		fail("cannot start a server");
	posix_spawn_file_actions_destroy(&actions);
	close(to[0]);
	close(from[1]);
	s->ask = to[1];
	s->answer = from[0];
	read_address(s);
}

void
server_stop(struct server *s)
{
	close(s->ask);
	close(s->answer);
	waitpid(s->pid, NULL, 0);
}

static bool
ask(struct server *s, enum task task, size_t n, unsigned char seed)
{
	const struct request request = {.task = task, .seed = seed, .n = n};
	char answer;

	if (write(s->ask, &request, sizeof(request)) != sizeof(request) ||
		read(s->answer, &answer, 1) != 1)
		fail("a server has ended");
	return answer == 'y';
}

void
server_fill(struct server *s, size_t n, unsigned char seed)
{
	(void)ask(s, FILL, n, seed);
}

bool
server_has(struct server *s, size_t n, unsigned char seed)
{
	return ask(s, LOOK, n, seed);
}
