/* SPDX-License-Identifier: BSD-3-Clause */

/* fake_dml.c -- see fake_dml.h */

#include "fake_dml.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_SIZE 16
#define UNKNOWN_STATUS ((dml_status_t)9999)
#define MAGIC 0x6c6d642d656b6166u

/* Behind the dml_job_t. */
struct internal {
	uint64_t magic;
	dml_path_t path;
	bool was_submitted;
	bool is_in_flight;   /* under the lock */
	dml_status_t status; /* under the lock; when it is not in flight */
	dml_status_t other;  /* the status after FAKE_DML_FAILED_LATE */
	enum fake_dml_outcome outcome;
};

#define JOB_SIZE ((uint32_t)(sizeof(dml_job_t) + sizeof(struct internal)))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static bool has_thread;

/* All under the lock. */
static bool has_device, is_silent;
static uint32_t max_transfer, job_size = JOB_SIZE;
static dml_status_t init_status, other_status = UNKNOWN_STATUS;
static enum fake_dml_outcome *script;
static size_t script_length, script_at, queue_length;
static enum fake_dml_outcome otherwise;
static uint64_t random_state;
static unsigned random_one_in;
static dml_job_t *queue[QUEUE_SIZE];
static struct fake_dml_seen seen;

static void
misuse(const char *what)
{
	fprintf(stderr, "fake DML: %s\n", what);
	seen.misuses++;
}

static struct internal *
internal_of(const dml_job_t *job)
{
	return (struct internal *)(void *)job->internal_data_ptr;
}

static uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static enum fake_dml_outcome
next_outcome(void)
{
	enum fake_dml_outcome outcome = otherwise;

	if (script_at < script_length)
		outcome = script[script_at++];
	else if (random_one_in != 0 && next_random() % random_one_in == 0)
		outcome = (enum fake_dml_outcome)(
			1 + next_random() % (FAKE_DML_OUTCOMES - 2));
	seen.outcomes[outcome]++;
	return outcome;
}

static uint32_t
length_of(const dml_job_t *job)
{
	return job->operation == DML_OP_MEM_MOVE ? job->source_length
						 : job->destination_length;
}

/* Does n bytes of the job. */
static void
perform(const dml_job_t *job, uint32_t n)
{
	switch (job->operation) {
	case DML_OP_MEM_MOVE:
		memmove(job->destination_first_ptr, job->source_first_ptr, n);
		break;
	case DML_OP_FILL:
		for (uint32_t i = 0; i < n; i++)
			job->destination_first_ptr[i] = job->pattern[i % 8];
		break;
	case DML_OP_CACHE_FLUSH:
		break;
	}
}

static dml_status_t
check_job(const dml_job_t *job)
{
	const uintptr_t d = (uintptr_t)job->destination_first_ptr;
	const uintptr_t s = (uintptr_t)job->source_first_ptr;
	const uint32_t n = length_of(job);

	switch (job->operation) {
	case DML_OP_MEM_MOVE:
		if (s == 0 || d == 0)
			return DML_STATUS_NULL_POINTER_ERROR;
		if (d < s + n && s < d + n)
			misuse("ranges overlap");
		break;
	case DML_OP_FILL:
		if (d == 0)
			return DML_STATUS_NULL_POINTER_ERROR;
		break;
	case DML_OP_CACHE_FLUSH:
		if (d % 64 != 0 || n % 64 != 0)
			misuse("flush of a part of a line");
		break;
	default:
		return DML_STATUS_INTERNAL_ERROR;
	}

	return n == 0 ? DML_STATUS_JOB_LENGTH_ERROR : DML_STATUS_OK;
}

/* On the device's thread, without the lock. */
static dml_status_t
device_does(const dml_job_t *job, enum fake_dml_outcome outcome, uint32_t max)
{
	const struct timespec late = {.tv_nsec = 3000000};
	const struct timespec soon = {.tv_nsec = 50000};
	const uint32_t n = length_of(job);

	if (n > max)
		return DML_STATUS_JOB_LENGTH_ERROR;

	switch (outcome) {
	case FAKE_DML_PAGE_FAULT:
		perform(job, n / 2);
		return DML_STATUS_PAGE_FAULT_ERROR;
	case FAKE_DML_DEVICE_LOST:
		perform(job, n / 3);
		return DML_STATUS_INTL_HARDWARE_TIMEOUT;
	case FAKE_DML_INTERNAL:
		perform(job, n - n / 4);
		return DML_STATUS_INTERNAL_ERROR;
	case FAKE_DML_CORRUPT_LATE:
		return DML_STATUS_JOB_CORRUPTED;
	case FAKE_DML_FALSE_PREDICATE:
		return DML_STATUS_FALSE_PREDICATE_OK;
	case FAKE_DML_FAILED_LATE:
		nanosleep(&soon, NULL);
		perform(job, n / 2);
		return internal_of(job)->other;
	case FAKE_DML_DONE_LATE:
		nanosleep(&late, NULL);
		break;
	case FAKE_DML_DONE:
		break;
	case FAKE_DML_SILENT: /* device_run() makes it DONE */
	case FAKE_DML_QUEUE_FULL:
	case FAKE_DML_QUEUE_OVERFLOW:
	case FAKE_DML_DEVICE_GONE:
	case FAKE_DML_CORRUPT:
	case FAKE_DML_REFUSED:
	case FAKE_DML_FAILED:
		abort(); /* enqueue() gives none of these to the device */
	}
	perform(job, n);
	return DML_STATUS_OK;
}

static void *
device_run(void *arg)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		while (queue_length == 0 || is_silent)
			pthread_cond_wait(&work, &lock);

		dml_job_t *job = queue[0];
		struct internal *internal = internal_of(job);

		if (internal->outcome == FAKE_DML_SILENT) {
			internal->outcome = FAKE_DML_DONE;
			is_silent = true;
			continue;
		}

		const uint32_t max = max_transfer;

		queue_length--;
		memmove(queue, queue + 1, queue_length * sizeof(*queue));
		pthread_mutex_unlock(&lock);
		const dml_status_t status =
			device_does(job, internal->outcome, max);
		pthread_mutex_lock(&lock);
		internal->status = status;
		internal->is_in_flight = false;
		seen.in_flight--;
	}
	return arg;
}

void
fake_dml_reset(void)
{
	pthread_t thread;

	pthread_mutex_lock(&lock);
	if (!has_thread) {
		if (pthread_create(&thread, NULL, device_run, NULL) != 0)
			abort();
		pthread_detach(thread);
		has_thread = true;
	}
	if (seen.in_flight != 0)
		misuse("reset while jobs are in flight");
	has_device = true;
	max_transfer = UINT32_C(1) << 31;
	job_size = JOB_SIZE;
	init_status = DML_STATUS_OK;
	other_status = UNKNOWN_STATUS;
	free(script);
	script = NULL;
	script_at = script_length = 0;
	otherwise = FAKE_DML_DONE;
	random_one_in = 0;
	is_silent = false;
	memset(&seen, 0, sizeof(seen));
	pthread_mutex_unlock(&lock);
}

void
fake_dml_set_device(enum fake_dml_device device)
{
	pthread_mutex_lock(&lock);
	has_device = device == FAKE_DML_DEVICE;
	pthread_mutex_unlock(&lock);
}

void
fake_dml_set_max_transfer(uint32_t bytes)
{
	pthread_mutex_lock(&lock);
	max_transfer = bytes;
	pthread_mutex_unlock(&lock);
}

void
fake_dml_set_job_size(uint32_t bytes)
{
	pthread_mutex_lock(&lock);
	job_size = bytes;
	pthread_mutex_unlock(&lock);
}

void
fake_dml_set_init_status(dml_status_t status)
{
	pthread_mutex_lock(&lock);
	init_status = status;
	pthread_mutex_unlock(&lock);
}

void
fake_dml_set_status(dml_status_t status)
{
	pthread_mutex_lock(&lock);
	other_status = status;
	pthread_mutex_unlock(&lock);
}

void
fake_dml_script(const enum fake_dml_outcome *outcomes, size_t n)
{
	pthread_mutex_lock(&lock);
	free(script);
	script = calloc(n + 1, sizeof(*script));
	if (script == NULL)
		abort();
	for (size_t i = 0; i < n; i++)
		script[i] = outcomes[i];
	script_length = n;
	script_at = 0;
	pthread_mutex_unlock(&lock);
}

void
fake_dml_always(enum fake_dml_outcome outcome)
{
	pthread_mutex_lock(&lock);
	otherwise = outcome;
	pthread_mutex_unlock(&lock);
}

void
fake_dml_random(uint64_t seed, unsigned one_in)
{
	pthread_mutex_lock(&lock);
	random_state = seed | 1;
	random_one_in = one_in;
	pthread_mutex_unlock(&lock);
}

void
fake_dml_answer(void)
{
	pthread_mutex_lock(&lock);
	otherwise = FAKE_DML_DONE;
	is_silent = false;
	for (size_t i = 0; i < queue_length; i++)
		internal_of(queue[i])->outcome = FAKE_DML_DONE;
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
}

struct fake_dml_seen
fake_dml_seen(void)
{
	pthread_mutex_lock(&lock);
	const struct fake_dml_seen copy = seen;
	pthread_mutex_unlock(&lock);

	return copy;
}

dml_status_t
dml_get_job_size(dml_path_t path, uint32_t *size)
{
	if (size == NULL)
		return DML_STATUS_NULL_POINTER_ERROR;
	if ((unsigned)path > DML_PATH_HW)
		return DML_STATUS_PATH_ERROR;

	*size = job_size;
	return job_size == 0 ? DML_STATUS_PATH_ERROR : DML_STATUS_OK;
}

dml_status_t
dml_init_job(dml_path_t path, dml_job_t *job)
{
	dml_status_t status;

	if (job == NULL)
		return DML_STATUS_NULL_POINTER_ERROR;

	pthread_mutex_lock(&lock);
	status = init_status;
	if (status == DML_STATUS_OK) {
		seen.inits++;
		memset(job, 0, sizeof(*job));
		job->internal_data_ptr = (uint8_t *)(job + 1);
		struct internal *internal = internal_of(job);

		if (internal->magic == MAGIC)
			misuse("job initialised twice");
		*internal = (struct internal){.magic = MAGIC, .path = path};
	}
	pthread_mutex_unlock(&lock);
	return status;
}

dml_status_t
dml_finalize_job(dml_job_t *job)
{
	if (job == NULL)
		return DML_STATUS_NULL_POINTER_ERROR;

	pthread_mutex_lock(&lock);
	struct internal *internal = internal_of(job);

	if (internal->magic != MAGIC)
		misuse("finalized without initialisation");
	if (internal->is_in_flight)
		misuse("finalized in flight");
	internal->magic = 0;
	seen.finalizes++;
	pthread_mutex_unlock(&lock);

	return DML_STATUS_OK;
}

/* Under the lock. Submits the job to the device. */
static dml_status_t
enqueue(dml_job_t *job)
{
	if (queue_length == QUEUE_SIZE)
		return DML_STATUS_WORK_QUEUES_NOT_AVAILABLE;

	internal_of(job)->outcome = next_outcome();
	switch (internal_of(job)->outcome) {
	case FAKE_DML_QUEUE_FULL:
		return DML_STATUS_WORK_QUEUES_NOT_AVAILABLE;
	case FAKE_DML_QUEUE_OVERFLOW:
		return DML_STATUS_WORK_QUEUE_OVERFLOW_ERROR;
	case FAKE_DML_DEVICE_GONE:
		return DML_STATUS_LIBACCEL_NOT_FOUND;
	case FAKE_DML_CORRUPT:
		return DML_STATUS_JOB_CORRUPTED;
	case FAKE_DML_REFUSED:
		return other_status;
	case FAKE_DML_FAILED:
		perform(job, length_of(job) / 2);
		internal_of(job)->status = other_status;
		return DML_STATUS_OK;
	case FAKE_DML_DONE:
	case FAKE_DML_DONE_LATE:
	case FAKE_DML_PAGE_FAULT:
	case FAKE_DML_DEVICE_LOST:
	case FAKE_DML_CORRUPT_LATE:
	case FAKE_DML_FALSE_PREDICATE:
	case FAKE_DML_INTERNAL:
	case FAKE_DML_FAILED_LATE:
	case FAKE_DML_SILENT:
		break; /* the device's */
	}

	internal_of(job)->other = other_status;
	internal_of(job)->is_in_flight = true;
	seen.in_flight++;
	queue[queue_length++] = job;
	pthread_cond_signal(&work);
	return DML_STATUS_OK;
}

dml_status_t
dml_submit_job(dml_job_t *job)
{
	if (job == NULL)
		return DML_STATUS_NULL_POINTER_ERROR;

	pthread_mutex_lock(&lock);
	struct internal *internal = internal_of(job);
	dml_status_t status;

	if (internal->magic != MAGIC)
		misuse("submitted without initialisation");
	if (internal->is_in_flight)
		misuse("submitted in flight");

	status = check_job(job);
	if (status == DML_STATUS_OK && internal->path == DML_PATH_HW &&
		!has_device)
		status = DML_STATUS_LIBACCEL_NOT_FOUND;
	if (status == DML_STATUS_OK) {
		if (internal->path == DML_PATH_SW || !has_device) {
			perform(job, length_of(job));
			internal->status = DML_STATUS_OK;
		} else {
			status = enqueue(job);
		}
	}

	internal->was_submitted = status == DML_STATUS_OK;
	if (status != DML_STATUS_OK) {
		seen.refusals++;
	} else {
		if (seen.submits < sizeof(seen.jobs) / sizeof(seen.jobs[0]))
			seen.jobs[seen.submits] = (struct fake_dml_job){
				job->operation,
				job->source_first_ptr,
				job->destination_first_ptr,
				length_of(job),
				job->flags,
			};
		seen.submits++;
	}
	pthread_mutex_unlock(&lock);
	return status;
}

dml_status_t
dml_check_job(dml_job_t *job)
{
	if (job == NULL)
		return DML_STATUS_NULL_POINTER_ERROR;

	pthread_mutex_lock(&lock);
	const struct internal *internal = internal_of(job);
	const dml_status_t status = internal->is_in_flight
		? DML_STATUS_BEING_PROCESSED
		: internal->status;

	if (internal->magic != MAGIC || !internal->was_submitted)
		misuse("checked without a submission");
	pthread_mutex_unlock(&lock);
	return status;
}
