/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * contract_case.h -- helpers of the contract suite: the mover that is tested,
 * its memory, and its futures
 */

#ifndef LIBMINIASYNC_CONTRACT_CASE_H
#define LIBMINIASYNC_CONTRACT_CASE_H 1

#include "test.h"

#include "contract.h"
#include "libminiasync.h"

/* The mover of the suite, and a runtime of the suite. */
extern const struct contract_mover *contract_kind;
extern struct runtime *contract_runtime;

/* At the start and at the end of the suite. */
void contract_begin(const struct contract_mover *mover);
void contract_end(void);

/* For each test, with a mover as its state. */
int contract_setup(void **state);
int contract_teardown(void **state);

/* Memory for operations, with the bytes at from, or with zeros. */
void *contract_get(void **state, const void *from, size_t n);

/* Write such memory, read it, and compare it with a text. */
void contract_put(void **state, void *memory, const void *from, size_t n);
void contract_look(void **state, void *to, const void *memory, size_t n);
bool contract_has_text(void **state, const void *memory, const char *text);

struct vdm *contract_vdm_of(void **state);

/* How often a test does something. */
int contract_rounds(int n);

/* Completes the future in one of three ways, in turn. */
const struct vdm_operation_output *contract_finish(
	struct vdm_operation_future *f);

/* The tests of contract_many.c. */
void dropped_futures_block_nobody(void **state);
void many_pending_operations_all_complete(void **state);
void runtime_waits_for_many(void **state);
void created_on_one_thread_completed_on_another(void **state);

#endif /* LIBMINIASYNC_CONTRACT_CASE_H */
