/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * valgrind_atomics.h -- what the library and the tests need under helgrind, drd
 *
 * tests/run includes this header before every C file that it builds for these
 * tools (gcc's -include): the tests have atomics of their own.
 */

#ifndef VALGRIND_ATOMICS_H
#define VALGRIND_ATOMICS_H 1

#include "../../src/system/valgrind_atomics.h"

#include <semaphore.h>

/* helgrind does not support it. The time limit of ctest ends the wait, too. */
#define sem_timedwait(sem, until) ((void)(until), sem_wait(sem))

#endif /* VALGRIND_ATOMICS_H */
