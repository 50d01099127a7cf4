/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * cpp_await.cpp -- co_await on a copy, in C++20
 *
 *	c++ -std=c++20 cpp_await.cpp \
 *		$(pkg-config --cflags --libs libminiasync) -o cpp_await
 *	./cpp_await
 *	8 pipelines of 4 MiB: 64 copies awaited, all equal
 *
 * Each coroutine copies a piece in, works on it, and copies it out. While one
 * coroutine waits, the others work. All copies are in one completion queue. The
 * user data of a copy is the handle of its coroutine. The program has one
 * thread. It takes complete copies from the queue and resumes their coroutines.
 * While no copy is complete, the thread sleeps.
 */

#include <algorithm>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include <libminiasync.h>

/* The operand of co_await. It lives in the frame of the coroutine. */
struct copying {
	completion_queue *queue;
	vdm_operation_future future;

	bool
	await_ready()
	{
		return false;
	}

	/* Returns whether the coroutine waits. */
	bool
	await_suspend(std::coroutine_handle<> coroutine)
	{
		if (completion_queue_add(queue, FUTURE_AS_RUNNABLE(&future),
			    coroutine.address()) == 0)
			return true;

		/* The queue has no memory. Waits here instead. */
		FUTURE_BUSY_POLL(&future);
		return false;
	}

	vdm_operation_result
	await_resume()
	{
		return future.output.result;
	}
};

/* Resumes coroutines until none waits. Returns the number of resumes. */
static size_t
run(completion_queue *queue)
{
	completion done;
	size_t nawaited = 0;

	while (completion_queue_wait(queue, &done, 1, 1, -1) > 0) {
		std::coroutine_handle<>::from_address(done.user_data).resume();
		nawaited++;
	}
	return nawaited;
}

/* A coroutine that starts at once, and frees itself at its end. */
struct task {
	struct promise_type {
		task
		get_return_object()
		{
			return {};
		}
		std::suspend_never
		initial_suspend()
		{
			return {};
		}
		std::suspend_never
		final_suspend() noexcept
		{
			return {};
		}
		void
		return_void()
		{
		}
		void
		unhandled_exception()
		{
			std::terminate();
		}
	};
};

constexpr size_t PIECE_BYTES = size_t(1) << 20;
constexpr size_t PIECES = 4;
constexpr size_t PIPELINES = 8;

/* The memory of a pipeline: from source to stage, inverted, and to sink. */
struct pipeline {
	std::vector<unsigned char> source, stage, sink;
	bool is_equal = false;

	explicit pipeline(size_t seed)
	    : source(PIECE_BYTES * PIECES), stage(PIECE_BYTES),
	      sink(PIECE_BYTES * PIECES)
	{
		for (size_t i = 0; i < source.size(); i++)
			source[i] = (unsigned char)(i * 31 + i / 4096 + seed);
	}
};

static task
run_pipeline(completion_queue *queue, vdm *mover, pipeline &p)
{
	const auto copy = [=](void *dst, const void *src) {
		return copying{
			queue, vdm_memcpy(mover, dst, src, PIECE_BYTES, 0)};
	};
	bool fine = true;

	for (size_t at = 0; at < p.source.size(); at += PIECE_BYTES) {
		fine &= co_await copy(p.stage.data(), &p.source[at]) ==
			VDM_SUCCESS;
		for (unsigned char &byte : p.stage)
			byte = (unsigned char)~byte;
		fine &= co_await copy(&p.sink[at], p.stage.data()) ==
			VDM_SUCCESS;
	}

	p.is_equal = fine &&
		std::equal(p.source.begin(), p.source.end(), p.sink.begin(),
			[](unsigned char a, unsigned char b) {
				return a == (unsigned char)~b;
			});
}

int
main(int argc, char *argv[])
{
	if (argc > 1 && std::strcmp(argv[1], "--help") == 0) {
		std::puts("usage: cpp_await\n"
			  "Copies 8 x 4 MiB in coroutines that wait with "
			  "co_await.\n"
			  "  --help  print this help\n"
			  "Example: cpp_await");
		return EXIT_SUCCESS;
	}
	if (argc > 1) {
		std::fprintf(stderr,
			"cpp_await: '%s': unexpected argument\n"
			"usage: cpp_await\n",
			argv[1]);
		return 2;
	}

	const std::unique_ptr<data_mover_threads,
		decltype(&data_mover_threads_delete)>
		mover(data_mover_threads_default(), data_mover_threads_delete);
	const std::unique_ptr<completion_queue,
		decltype(&completion_queue_delete)>
		queue(completion_queue_new(), completion_queue_delete);

	if (!mover || !queue) {
		std::perror("cpp_await");
		return EXIT_FAILURE;
	}

	std::vector<pipeline> pipelines;

	for (size_t i = 0; i < PIPELINES; i++)
		pipelines.emplace_back(i);
	for (pipeline &p : pipelines)
		run_pipeline(queue.get(),
			data_mover_threads_get_vdm(mover.get()), p);

	const size_t nawaited = run(queue.get());
	const bool all = std::all_of(pipelines.begin(), pipelines.end(),
		[](const pipeline &p) { return p.is_equal; });

	std::printf("%zu pipelines of %zu MiB: %zu copies awaited, %s\n",
		pipelines.size(), PIECE_BYTES * PIECES >> 20, nawaited,
		all ? "all equal" : "DIFFERENT");
	return all ? EXIT_SUCCESS : EXIT_FAILURE;
}
