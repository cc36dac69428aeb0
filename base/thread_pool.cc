#include "base/thread_pool.h"

#include <pthread.h>

#include <atomic>
#include <exception>
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
// What a body throws is kept meanwhile, and no further index is handed out.
struct ThreadPool::State {
  // Ends the workers that have started.
  ~State();

  void RunWorker(size_t thread);
  void TakeIndices(const Body& round_body, size_t round_count, size_t thread);
  // Waits for the workers, then throws what a body of the round threw.
  void CloseRound();

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
  std::exception_ptr thrown ABSL_GUARDED_BY(mutex);  // first of the round
  bool stopping ABSL_GUARDED_BY(mutex) = false;
};

ThreadPool::State::~State() {
  {
    MutexLock lock(&mutex);
    stopping = true;
  }
  round_opened.SignalAll();
  for (std::thread& worker : workers) worker.join();
}

void ThreadPool::State::TakeIndices(const Body& round_body, size_t round_count,
                                    size_t thread) {
  try {
    for (size_t index = next_index++; index < round_count;
         index = next_index++) {
      round_body(index, thread);
    }
  } catch (...) {
    next_index = round_count;
    MutexLock lock(&mutex);
    if (thrown == nullptr) thrown = std::current_exception();
  }
}

void ThreadPool::State::CloseRound() {
  std::exception_ptr first_thrown;
  {
    MutexLock lock(&mutex);
    body = nullptr;
    while (workers_inside > 0) round_left.Wait(&mutex);
    first_thrown = std::exchange(thrown, nullptr);
  }
  if (first_thrown != nullptr) std::rethrow_exception(first_thrown);
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
    TakeIndices(*current_body, current_count, thread);
    MutexLock lock(&mutex);
    if (--workers_inside == 0) round_left.Signal();
  }
}

ThreadPool::ThreadPool(size_t num_threads, absl::string_view name)
    : state_(std::make_unique<State>()) {
  NEUMF_CHECK(num_threads >= 1);
  state_->workers.reserve(num_threads - 1);
  for (size_t thread = 1; thread < num_threads; ++thread) {
    state_->workers.emplace_back(
        [state = state_.get(), thread, name = std::string(name)] {
          SetThreadName(name);
          state->RunWorker(thread);
        });
  }
}

ThreadPool::~ThreadPool() = default;

size_t ThreadPool::num_threads() const { return state_->workers.size() + 1; }

void ThreadPool::ParallelFor(size_t count, Body body) {
  MutexLock turn(&state_->turn);
  state_->next_index = 0;
  if (count > 1 && !state_->workers.empty()) {
    MutexLock lock(&state_->mutex);
    state_->body = &body;
    state_->count = count;
    ++state_->round;
    state_->round_opened.SignalAll();
  }
  state_->TakeIndices(body, count, 0);
  state_->CloseRound();
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
