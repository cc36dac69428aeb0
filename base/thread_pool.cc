#include "base/thread_pool.h"

#include <pthread.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "base/mutex.h"

namespace neumf {

using Body = absl::FunctionRef<void(size_t index, size_t thread)>;

// One ParallelFor() is a round. The caller opens it, and all threads take
// indices from `next_index` until none is left. Then the caller closes the
// round and waits for the workers inside, since `body` lives on its stack; a
// worker that wakes too late finds the round closed, and nobody waits for it.
struct ThreadPool::State {
  void RunWorker(size_t thread);
  static void TakeIndices(const Body& body, size_t count, size_t thread,
                          std::atomic<size_t>& next_index);

  std::vector<std::thread> workers;  // constant once the pool is made

  std::atomic<size_t> next_index{0};

  Mutex turn;  // held for a whole round: callers take turns

  Mutex mutex;
  CondVar round_opened;
  CondVar round_left;
  const Body* body ABSL_GUARDED_BY(mutex) = nullptr;  // null: no round is open
  size_t count ABSL_GUARDED_BY(mutex) = 0;
  uint64_t round ABSL_GUARDED_BY(mutex) = 0;
  size_t workers_inside ABSL_GUARDED_BY(mutex) = 0;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
};

void ThreadPool::State::TakeIndices(const Body& body, size_t count,
                                    size_t thread,
                                    std::atomic<size_t>& next_index) {
  for (size_t index = next_index++; index < count; index = next_index++) {
    body(index, thread);
  }
}

void ThreadPool::State::RunWorker(size_t thread) {
  uint64_t rounds_done = 0;
  while (true) {
    const Body* current_body = nullptr;
    size_t current_count = 0;
    {
      MutexLock lock(&mutex);
      while (!stopping && (body == nullptr || round == rounds_done)) {
        round_opened.Wait(&mutex);
      }
      if (stopping) return;
      rounds_done = round;
      ++workers_inside;
      current_body = body;
      current_count = count;
    }
    TakeIndices(*current_body, current_count, thread, next_index);
    MutexLock lock(&mutex);
    if (--workers_inside == 0) round_left.Signal();
  }
}

ThreadPool::ThreadPool(size_t num_threads, absl::string_view name)
    : state_(std::make_unique<State>()) {
  NEUMF_CHECK(num_threads >= 1);
  for (size_t thread = 1; thread < num_threads; ++thread) {
    state_->workers.emplace_back(
        [state = state_.get(), thread, name = std::string(name)] {
          SetThreadName(name);
          state->RunWorker(thread);
        });
  }
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(&state_->mutex);
    state_->stopping = true;
  }
  state_->round_opened.SignalAll();
  for (std::thread& worker : state_->workers) worker.join();
}

size_t ThreadPool::num_threads() const { return state_->workers.size() + 1; }

void ThreadPool::ParallelFor(size_t count, Body body) {
  MutexLock turn(&state_->turn);
  state_->next_index = 0;
  const bool with_workers = count > 1 && !state_->workers.empty();
  if (with_workers) {
    MutexLock lock(&state_->mutex);
    state_->body = &body;
    state_->count = count;
    ++state_->round;
    state_->round_opened.SignalAll();
  }
  State::TakeIndices(body, count, 0, state_->next_index);
  if (!with_workers) return;
  MutexLock lock(&state_->mutex);
  state_->body = nullptr;
  while (state_->workers_inside > 0) state_->round_left.Wait(&state_->mutex);
}

absl::Status ThreadPool::TryFor(
    size_t count, absl::FunctionRef<absl::Status(size_t index)> body) {
  std::atomic<size_t> first_failed{count};
  Mutex mutex;
  absl::Status failure;  // of `first_failed`; guarded by `mutex`
  ParallelFor(count, [&](size_t index, size_t /*thread*/) {
    // Indices are taken in ascending order: all below a failure have begun.
    if (index > first_failed) return;
    absl::Status status = body(index);
    if (status.ok()) return;
    MutexLock lock(&mutex);
    if (index > first_failed) return;
    first_failed = index;
    failure = std::move(status);
  });
  return failure;
}

void SetThreadName(absl::string_view name) {
  constexpr size_t kMaxNameBytes = 15;
  const std::string kept(name.substr(0, kMaxNameBytes));
  pthread_setname_np(pthread_self(), kept.c_str());
}

}  // namespace neumf
