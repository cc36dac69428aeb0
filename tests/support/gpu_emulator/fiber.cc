#include "tests/support/gpu_emulator/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>

#include "base/logging.h"

// The layer below boost::context::fiber: that one unwinds a fiber that has not
// ended with an exception, and a kernel stops in its middle only after a fault,
// where nothing is left to be done.
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

namespace neumf {
namespace {

constexpr size_t kGuardBytes = 4096;
// AddressSanitizer puts zones around variables.
constexpr size_t kStackBytes = size_t{kWithAddressSanitizer ? 256 : 64} * 1024;

// A stack grows down: one that is too small meets the page below and faults.
char* MapStack() {
  void* const mapped =
      mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  NEUMF_CHECK(mapped != MAP_FAILED);
  NEUMF_CHECK(mprotect(mapped, kGuardBytes, PROT_NONE) == 0);
  return static_cast<char*>(mapped);
}

}  // namespace

struct Fiber::Entry {
#if defined(__clang__)
  // It never returns, which ThreadSanitizer's own stack would show.
  __attribute__((no_sanitize("thread")))
#endif
  static void
  Run(transfer_t from) {
    auto* const fiber = static_cast<Fiber*>(from.data);
    fiber->stack_.OnArrival();
    fiber->caller_ = from.fctx;
    fiber->run_(fiber->argument_);
    fiber->ended_ = true;
    fiber->Yield();
  }
};

Fiber::Fiber()
    : mapped_(MapStack()), stack_(mapped_ + kGuardBytes, kStackBytes) {}

Fiber::~Fiber() {
  stack_.Drop();
  munmap(mapped_, kGuardBytes + kStackBytes);
}

void Fiber::Start(void (*run)(void*), void* argument) {
  if (self_ != nullptr) stack_.Drop();
  run_ = run;
  argument_ = argument;
  ended_ = false;
  self_ = make_fcontext(mapped_ + kGuardBytes + kStackBytes, kStackBytes,
                        &Entry::Run);
}

void Fiber::Resume() {
  NEUMF_CHECK(!ended_);
  stack_.BeforeEntering();
  self_ = jump_fcontext(self_, this).fctx;
  stack_.WhenBack();
}

void Fiber::Yield() {
  stack_.BeforeLeaving();
  caller_ = jump_fcontext(caller_, nullptr).fctx;
  stack_.OnArrival();
}

}  // namespace neumf
