#pragma once

// A function on a stack of its own, which stops in its middle and goes on later:
// what a thread of a block is to the emulator. Switching takes some ten
// nanoseconds. A Fiber belongs to the host thread that started it.

#include "tests/support/gpu_emulator/sanitizers.h"

namespace neumf {

class Fiber {
 public:
  Fiber();
  ~Fiber();  // what it runs is dropped, no destructor of its frames runs
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes the next Resume() begin with run(argument), which must not throw. What
  // ran before is dropped as by the destructor.
  void Start(void (*run)(void*), void* argument);
  // Runs the fiber until it yields or its function returns.
  // REQUIRES: started, and its function has not returned.
  void Resume();
  // Called by the function that runs: Resume() returns, the next one goes on
  // here.
  void Yield();
  // Whether the function has returned, or none was started.
  bool ended() const { return ended_; }

 private:
  struct Entry;  // where it starts, in terms of Boost.Context

  char* const mapped_;  // a page that faults, then the stack
  AnnouncedStack stack_;

  void (*run_)(void*) = nullptr;
  void* argument_ = nullptr;
  bool ended_ = true;
  void* self_ = nullptr;    // where the fiber stopped
  void* caller_ = nullptr;  // where Resume() waits
};

}  // namespace neumf
