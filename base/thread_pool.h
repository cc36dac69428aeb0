#pragma once

// A fixed set of threads for loops over independent pieces.

#include <cstddef>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace neumf {

class ThreadPool {
 public:
  // `num_threads` >= 1 counts the caller: ThreadPool(1) starts none. The
  // threads carry `name`. Throws std::system_error, with no thread left behind,
  // when one cannot be started.
  ThreadPool(size_t num_threads, absl::string_view name);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t num_threads() const;

  // Calls body(index, thread) once for each index < count, thread <
  // num_threads(), the calling thread helping, and returns when all are done.
  // Which thread takes which index is not fixed. One call at a time: callers
  // from several threads take turns. `body` does not call this.
  // What `body` throws, on any thread, is thrown here once all threads have
  // left it: the first exception if there are several. Indices that were not
  // taken by then are left out, and the pool can be used again.
  void ParallelFor(size_t count,
                   absl::FunctionRef<void(size_t index, size_t thread)> body);

  // The same for a body that can fail. Returns the failure with the smallest
  // index, whatever the threads did; indices above it may be left out. An
  // exception comes before any failure.
  absl::Status TryFor(size_t count,
                      absl::FunctionRef<absl::Status(size_t index)> body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Gives the calling thread a name (at most 15 bytes are kept).
void SetThreadName(absl::string_view name);

}  // namespace neumf
