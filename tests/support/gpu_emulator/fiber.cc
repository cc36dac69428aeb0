#include "tests/support/gpu_emulator/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>

#include "base/logging.h"

#if defined(__SANITIZE_ADDRESS__)
#define NEUMF_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NEUMF_FIBER_ASAN 1
#endif
#endif
#ifdef NEUMF_FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// The layer below boost::context::fiber: that one unwinds a fiber that has not
// ended with an exception, and a kernel stops in its middle only after a fault,
// where nothing is left to be done.
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

namespace neumf {
namespace {

#ifdef NEUMF_FIBER_ASAN
constexpr size_t kStackBytes = 256 * 1024;  // it puts zones around variables

void WillRunOn(void** fake_stack, const void* stack, size_t bytes) {
  __sanitizer_start_switch_fiber(fake_stack, stack, bytes);
}
void RunsAgain(void* fake_stack, const void** old_stack, size_t* old_bytes) {
  __sanitizer_finish_switch_fiber(fake_stack, old_stack, old_bytes);
}
void ForgetFrames(void* stack) {
  ASAN_UNPOISON_MEMORY_REGION(stack, kStackBytes);
}
#else
constexpr size_t kStackBytes = 64 * 1024;

void WillRunOn(void**, const void*, size_t) {}
void RunsAgain(void*, const void**, size_t*) {}
void ForgetFrames(void*) {}
#endif

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
  ForgetFrames(stack_);
  munmap(mapped_, kGuardBytes + kStackBytes);
}

void Fiber::Start(void (*run)(void*), void* argument) {
  ForgetFrames(stack_);
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
