/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * cpp_await.cpp -- co_await on a copy, in C++20
 *
 *	c++ -std=c++20 cpp_await.cpp \
 *		$(pkg-config --cflags --libs libminiasync) -o cpp_await
 *	./cpp_await
 *	8 pipelines of 16 MiB: 256 copies awaited, all equal
 *
 * Each coroutine copies a piece in, works on it, and copies it out. While one
 * coroutine waits, the others work. The executor is one thread. It runs the
 * coroutines whose wakers were called, and sleeps while none is ready.
 */

#include <algorithm>
#include <condition_variable>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include <libminiasync.h>

class copying;

/* Runs coroutines on the thread that calls run(). */
class executor
{
      public:
	/* From any thread: the executor polls the copy again. */
	void
	wake(copying *copy)
	{
		const std::lock_guard<std::mutex> guard(lock);

		ready.push_back(copy);
		some.notify_one();
	}

	/* The copy is complete, and will be destroyed. */
	void
	forget(copying *copy)
	{
		const std::lock_guard<std::mutex> guard(lock);

		std::erase(ready, copy);
	}

	inline void run();

	/* The thread that calls run() */
	size_t nrunning = 0; /* coroutines */
	size_t nawaited = 0; /* copies */

      private:
	std::mutex lock;
	std::condition_variable some;
	std::deque<copying *> ready; /* L: only while holding lock */
};

/* The operand of co_await. It lives in the frame of the coroutine. */
class copying
{
      public:
	copying(executor &e, const vdm_operation_future &f)
	    : where(e), future(f)
	{
	}
	copying(const copying &) = delete;
	copying &operator=(const copying &) = delete;

	bool
	await_ready()
	{
		return poll();
	}

	void
	await_suspend(std::coroutine_handle<> h)
	{
		/* If the waker was called before this, ready has the copy. */
		coroutine = h;
	}

	vdm_operation_result
	await_resume()
	{
		where.forget(this);
		where.nawaited++;
		return future.output.result;
	}

	/* For the executor: resumes the coroutine if the copy is complete. */
	void
	resume_if_done()
	{
		if (poll())
			coroutine.resume();
	}

      private:
	bool
	poll()
	{
		future_notifier n = {};

		n.waker.data = this;
		n.waker.wake = [](void *data) {
			auto *copy = static_cast<copying *>(data);

			copy->where.wake(copy);
		};
		if (future_poll(FUTURE_AS_RUNNABLE(&future), &n) ==
			FUTURE_STATE_COMPLETE)
			return true;
		/* Other movers may not call the waker, so poll again. */
		if (n.notifier_used != FUTURE_NOTIFIER_WAKER)
			where.wake(this);
		return false;
	}

	executor &where;
	vdm_operation_future future;
	std::coroutine_handle<> coroutine;
};

void
executor::run()
{
	while (nrunning > 0) {
		std::unique_lock<std::mutex> guard(lock);

		some.wait(guard, [this] { return !ready.empty(); });
		copying *copy = ready.front();
		ready.pop_front();
		guard.unlock();
		copy->resume_if_done();
	}
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
constexpr size_t PIECES = 16;
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
run_pipeline(executor &e, vdm *mover, pipeline &p)
{
	bool fine = true;

	e.nrunning++;
	for (size_t at = 0; at < p.source.size(); at += PIECE_BYTES) {
		copying in(e,
			vdm_memcpy(mover, p.stage.data(), p.source.data() + at,
				PIECE_BYTES, 0));
		fine &= co_await in == VDM_SUCCESS;

		for (unsigned char &byte : p.stage)
			byte = (unsigned char)~byte;

		copying out(e,
			vdm_memcpy(mover, p.sink.data() + at, p.stage.data(),
				PIECE_BYTES, 0));
		fine &= co_await out == VDM_SUCCESS;
	}

	p.is_equal = fine &&
		std::equal(p.source.begin(), p.source.end(), p.sink.begin(),
			[](unsigned char a, unsigned char b) {
				return a == (unsigned char)~b;
			});
	e.nrunning--;
}

int
main(int argc, char *argv[])
{
	if (argc > 1) {
		const bool is_help = std::strcmp(argv[1], "--help") == 0;

		std::fputs("usage: cpp_await\n", is_help ? stdout : stderr);
		return is_help ? EXIT_SUCCESS : 2;
	}

	const std::unique_ptr<data_mover_threads,
		decltype(&data_mover_threads_delete)>
		mover(data_mover_threads_default(), data_mover_threads_delete);

	if (!mover) {
		std::perror("data_mover_threads_default");
		return EXIT_FAILURE;
	}

	std::vector<pipeline> pipelines;
	executor e;

	for (size_t i = 0; i < PIPELINES; i++)
		pipelines.emplace_back(i);
	for (pipeline &p : pipelines)
		run_pipeline(e, data_mover_threads_get_vdm(mover.get()), p);
	e.run();

	const bool all = std::all_of(pipelines.begin(), pipelines.end(),
		[](const pipeline &p) { return p.is_equal; });

	std::printf("%zu pipelines of %zu MiB: %zu copies awaited, %s\n",
		pipelines.size(), PIECE_BYTES * PIECES >> 20, e.nawaited,
		all ? "all equal" : "DIFFERENT");
	return all ? EXIT_SUCCESS : EXIT_FAILURE;
}
