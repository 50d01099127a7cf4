/* SPDX-License-Identifier: BSD-3-Clause */

/* fake_fabric.c -- see fake_fabric.h and fake_state.h */

#include "fake_fabric.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "fake_state.h"

struct fake_state fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

uint64_t
fake_random(void)
{
	fake.seed ^= fake.seed << 13;
	fake.seed ^= fake.seed >> 7;
	fake.seed ^= fake.seed << 17;
	return fake.seed;
}

int
fake_failure(enum fake_fabric_call call)
{
	if (fake.failures[call].in == 0 || --fake.failures[call].in > 0)
		return 0;
	return fake.failures[call].error;
}

int
fake_locked_failure(enum fake_fabric_call call)
{
	pthread_mutex_lock(&fake.lock);
	const int error = fake_failure(call);
	pthread_mutex_unlock(&fake.lock);
	return error;
}

void
fake_count_open(int more)
{
	pthread_mutex_lock(&fake.lock);
	fake.nopen += (unsigned)more;
	pthread_mutex_unlock(&fake.lock);
}

void
fake_copy(char *to, const char *from, size_t n)
{
	_Atomic uint64_t *words = (_Atomic uint64_t *)(void *)to;
	const _Atomic uint64_t *source =
		(const _Atomic uint64_t *)(const void *)from;

	if (n > 256 || (n | (uintptr_t)to | (uintptr_t)from) % 8 != 0) {
		memcpy(to, from, n);
		return;
	}
	for (size_t i = 0; i < n / 8; i++)
		atomic_store(&words[i], atomic_load(&source[i]));
}

void
fake_add_data(struct queue *queue, uint64_t data)
{
	if (queue->ndata >= DEPTH)
		for (unsigned i = 0; i < queue->ndata; i++)
			if (queue->data[i] == data)
				return;
	if (queue->ndata == DATA)
		abort(); /* more kinds of data than a test has */
	queue->data[queue->ndata++] = data;
	(void)eventfd_write(queue->fd, 1);
}

/* Controls */

void
fake_fabric_reset(uint64_t new_seed)
{
	pthread_mutex_lock(&fake.lock);
	fake.seed = new_seed | 1;
	fake.is_absent = false;
	fake.is_stalled = false;
	fake.loses = false;
	fake.provider = "verbs;ofi_rxm";
	fake.full_one_in = 0;
	fake.most = 0;
	fake.nparts = 0;
	memset(fake.failures, 0, sizeof(fake.failures));
	pthread_mutex_unlock(&fake.lock);
}

void
fake_fabric_set_absent(bool value)
{
	pthread_mutex_lock(&fake.lock);
	fake.is_absent = value;
	pthread_mutex_unlock(&fake.lock);
}

void
fake_fabric_set_provider(const char *name)
{
	pthread_mutex_lock(&fake.lock);
	fake.provider = name;
	pthread_mutex_unlock(&fake.lock);
}

void
fake_fabric_set_full(unsigned one_in)
{
	pthread_mutex_lock(&fake.lock);
	fake.full_one_in = one_in;
	pthread_mutex_unlock(&fake.lock);
}

void
fake_fabric_set_loses(bool value)
{
	pthread_mutex_lock(&fake.lock);
	fake.loses = value;
	pthread_mutex_unlock(&fake.lock);
}

void
fake_fabric_fail(enum fake_fabric_call call, unsigned nth, int error)
{
	pthread_mutex_lock(&fake.lock);
	fake.failures[call].in = nth;
	fake.failures[call].error = error;
	pthread_mutex_unlock(&fake.lock);
}

void
fake_fabric_stall(bool value)
{
	pthread_mutex_lock(&fake.lock);
	fake.is_stalled = value;
	for (struct queue *queue = fake.queues; queue != NULL && !value;
		queue = queue->next)
		(void)eventfd_write(queue->fd, 1);
	pthread_mutex_unlock(&fake.lock);
}

unsigned
fake_fabric_open(void)
{
	pthread_mutex_lock(&fake.lock);
	const unsigned n = fake.nopen;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

uint64_t
fake_fabric_parts(void)
{
	pthread_mutex_lock(&fake.lock);
	const uint64_t n = fake.nparts;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

unsigned
fake_fabric_most(void)
{
	pthread_mutex_lock(&fake.lock);
	const unsigned n = fake.most;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

void
fake_fabric_scribble(size_t n, size_t at, uint64_t word)
{
	pthread_mutex_lock(&fake.lock);
	for (struct region *region = fake.regions; region != NULL;
		region = region->next)
		if (region->n == n)
			fake_copy(region->addr + at, (const char *)&word,
				sizeof(word));
	pthread_mutex_unlock(&fake.lock);
}

void
fake_fabric_send_data(unsigned n, uint64_t data)
{
	pthread_mutex_lock(&fake.lock);
	for (struct queue *queue = fake.queues; queue != NULL;
		queue = queue->next)
		for (unsigned i = 0; i < n && queue->ndata < DEPTH / 2; i++)
			fake_add_data(queue, data);
	pthread_mutex_unlock(&fake.lock);
}
