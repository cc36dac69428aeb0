#pragma once

// A function on a stack of its own, which stops in its middle and goes on later:
// what a thread of a block is to the emulator. Switching takes some ten
// nanoseconds. A Fiber belongs to the host thread that started it.

#include "absl/types/span.h"
#include "tests/support/gpu_emulator/sanitizers.h"

namespace neumf {

class Fiber {
 public:
  Fiber();
  ~Fiber();  // what it runs is dropped, no destructor of its frames runs
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes its next turn begin with run(argument), which must not throw. What ran
  // before is dropped as by the destructor.
  void Start(void (*run)(void*), void* argument);

  // Runs one after the other until it yields or its function returns. REQUIRES:
  // all are started, and their functions have not returned.
  static void RunInTurn(absl::Span<Fiber* const> fibers);

  // Called by the function that runs: ends its turn. Its next one goes on here.
  void Yield();

 private:
  struct Turns;  // a RunInTurn() under way
  struct Entry;  // where a fiber starts, in terms of Boost.Context

  char* const mapped_;  // a page that faults, then the stack
  AnnouncedStack stack_;

  void (*run_)(void*) = nullptr;
  void* argument_ = nullptr;
  void* context_ = nullptr;  // where it stopped
  Turns* turns_ = nullptr;   // that it runs in
};

}  // namespace neumf
