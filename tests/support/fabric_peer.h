/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fabric_peer.h -- a region in another process, which does as it is told
 *
 * The peer is this program, once more: main() calls peer_main() first. Of it
 * nothing is forked, so libfabric may be loaded here.
 */

#ifndef LIBMINIASYNC_TEST_FABRIC_PEER_H
#define LIBMINIASYNC_TEST_FABRIC_PEER_H 1

#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libminiasync-vdm-fabric.h"

/* No answer of a peer takes longer. */
#define PEER_LIMIT_MS 20000

struct peer {
	pid_t pid;
	int ask;    /* commands */
	int answer; /* lines */
	char token[DATA_MOVER_REGION_TOKEN_MAX];
};

static inline uint64_t
peer_sum(const char *memory, size_t n)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ (unsigned char)memory[i]) *
			UINT64_C(0x100000001b3);
	return sum;
}

/* In the peer: "peer SIZE ACCESS". Commands are letters. */
static inline void
peer_main(int argc, char *argv[])
{
	if (argc < 4 || strcmp(argv[1], "peer") != 0)
		return;

	const size_t size = strtoull(argv[2], NULL, 0);
	char token[DATA_MOVER_REGION_TOKEN_MAX];
	char *memory = malloc(size);
	struct data_mover_region *region;
	char command;

	/* Whatever becomes of the test. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (memory == NULL)
		exit(1);
	for (size_t i = 0; i < size; i++)
		memory[i] = (char)(i * 7 + i / 509);
	region = data_mover_region_new(
		memory, size, (unsigned)atoi(argv[3]), NULL, 0);
	if (region == NULL ||
		data_mover_region_token(region, token, sizeof(token)) != 0)
		exit(2);
	printf("%s\n", token);
	while (read(STDIN_FILENO, &command, 1) == 1) {
		switch (command) {
		case 's': /* what is in the memory */
			printf("%llx\n",
				(unsigned long long)peer_sum(memory, size));
			break;
		case 'p': /* is alive */
			printf("alive\n");
			break;
		case 'd': /* deletes the region */
			data_mover_region_delete(region);
			region = NULL;
			printf("deleted\n");
			break;
		case 'e': /* exits without a delete */
			exit(0);
		}
	}
	data_mover_region_delete(region);
	free(memory);
	exit(0);
}

static inline void
peer_line(struct peer *peer, char *line, size_t size)
{
	struct pollfd ready = {.fd = peer->answer, .events = POLLIN};
	size_t n = 0;

	while (n + 1 < size) {
		if (poll(&ready, 1, PEER_LIMIT_MS) != 1)
			fail_msg("the peer does not answer");
		if (read(peer->answer, line + n, 1) != 1)
			fail_msg("the peer has ended");
		if (line[n] == '\n')
			break;
		n++;
	}
	line[n] = '\0';
}

static inline void
peer_init(struct peer *peer, size_t size, unsigned access)
{
	char size_text[32], access_text[16];
	char name[] = "/proc/self/exe", role[] = "peer";
	char *argv[] = {name, role, size_text, access_text, NULL};
	int to[2], from[2];
	posix_spawn_file_actions_t actions;

	snprintf(size_text, sizeof(size_text), "%zu", size);
	snprintf(access_text, sizeof(access_text), "%u", access);
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
	assert_int_equal(
		posix_spawn(&peer->pid, name, &actions, NULL, argv, environ),
		0);
	posix_spawn_file_actions_destroy(&actions);
	close(to[0]);
	close(from[1]);
	peer->ask = to[1];
	peer->answer = from[0];
	peer_line(peer, peer->token, sizeof(peer->token));
}

static inline void
peer_tell(struct peer *peer, char command)
{
	assert_int_equal(write(peer->ask, &command, 1), 1);
}

static inline uint64_t
peer_ask_sum(struct peer *peer)
{
	char line[64];

	peer_tell(peer, 's');
	peer_line(peer, line, sizeof(line));
	return strtoull(line, NULL, 16);
}

/* Returns the status of its end. */
static inline int
peer_fini(struct peer *peer)
{
	int status = -1;

	close(peer->ask);
	for (int i = 0; i < PEER_LIMIT_MS / 10; i++) {
		if (waitpid(peer->pid, &status, WNOHANG) == peer->pid) {
			close(peer->answer);
			return status;
		}
		test_sleep_ns(10 * MS);
	}
	kill(peer->pid, SIGKILL);
	fail_msg("the peer does not end");
	return -1;
}

#endif /* LIBMINIASYNC_TEST_FABRIC_PEER_H */
