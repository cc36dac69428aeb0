#include "tests/support/gpu_emulator/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>

#include "base/logging.h"
#include "tests/support/gpu_emulator/sanitizers.h"

// The layer below boost::context::fiber: that one unwinds a fiber that has not
// ended with an exception, and a kernel stops in its middle only after a fault,
// where nothing is left to be done.
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

namespace neumf {
namespace {

// AddressSanitizer puts zones around variables.
constexpr size_t kStackBytes = (kWithAddressSanitizer ? 256 : 64) * 1024;
constexpr size_t kGuardBytes = 4096;

}  // namespace

struct Fiber::Entry {
  static void Run(transfer_t from) {
    auto* const fiber = static_cast<Fiber*>(from.data);
    RunsAgain(nullptr, &fiber->caller_stack_, &fiber->caller_stack_bytes_);
    fiber->caller_ = from.fctx;
    fiber->run_(fiber->argument_);
    fiber->ended_ = true;
    fiber->Yield();
  }
};

Fiber::Fiber() {
  void* const mapped =
      mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  NEUMF_CHECK(mapped != MAP_FAILED);
  NEUMF_CHECK(mprotect(mapped, kGuardBytes, PROT_NONE) == 0);
  mapped_ = static_cast<char*>(mapped);
  stack_ = mapped_ + kGuardBytes;
}

Fiber::~Fiber() {
  Allow(stack_, kStackBytes);
  munmap(mapped_, kGuardBytes + kStackBytes);
}

void Fiber::Start(void (*run)(void*), void* argument) {
  Allow(stack_, kStackBytes);
  run_ = run;
  argument_ = argument;
  ended_ = false;
  self_ = make_fcontext(stack_ + kStackBytes, kStackBytes, &Entry::Run);
}

void Fiber::Resume() {
  NEUMF_CHECK(!ended_);
  void* fake_stack = nullptr;
  WillRunOn(&fake_stack, stack_, kStackBytes);
  self_ = jump_fcontext(self_, this).fctx;
  RunsAgain(fake_stack, nullptr, nullptr);
}

void Fiber::Yield() {
  void* fake_stack = nullptr;
  WillRunOn(&fake_stack, caller_stack_, caller_stack_bytes_);
  caller_ = jump_fcontext(caller_, nullptr).fctx;
  RunsAgain(fake_stack, &caller_stack_, &caller_stack_bytes_);
}

}  // namespace neumf
