#include "tests/support/gpu_emulator/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <cstdint>

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

// Stacks begin at pages, so that the same frames of all lanes would compete for
// the same few lines of the first-level cache. This sets them apart.
constexpr size_t kMaxIndent = 4096;
size_t Indent(const char* mapped) {
  constexpr size_t kStep = 256;
  return reinterpret_cast<uintptr_t>(mapped) / kGuardBytes * kStep % kMaxIndent;
}

}  // namespace

// A fiber whose turn ends jumps to the next one, not to the caller in between:
// that halves the jumps.
struct Fiber::Turns {
  absl::Span<Fiber* const> left;
  void* caller = nullptr;  // where RunInTurn() waits
  AnnouncedStack caller_stack;
  // Of the last jump; null: the caller.
  Fiber* from = nullptr;
  Fiber* to = nullptr;

  // Returns when it is the turn of `self` again: in other Turns, maybe.
  void EndTurnOf(Fiber* self) {
    from = self;
    to = left.empty() ? nullptr : left.front();
    if (to != nullptr) {
      left.remove_prefix(1);
      to->turns_ = this;
    }
    AnnouncedStack::Leave(StackOf(from), StackOf(to));
    Arrive(jump_fcontext(to != nullptr ? to->context_ : caller, this));
  }

  static Turns& Arrive(transfer_t jump) {
    auto& turns = *static_cast<Turns*>(jump.data);
    AnnouncedStack::Arrive(turns.StackOf(turns.from), turns.StackOf(turns.to));
    (turns.from != nullptr ? turns.from->context_ : turns.caller) = jump.fctx;
    return turns;
  }

  AnnouncedStack& StackOf(Fiber* fiber) {
    return fiber != nullptr ? fiber->stack_ : caller_stack;
  }
};

struct Fiber::Entry {
#ifdef __clang__
  // It never returns, which ThreadSanitizer's own stack would show.
  __attribute__((no_sanitize("thread")))
#endif
  static void
  Run(transfer_t jump) {
    Fiber* const self = Turns::Arrive(jump).to;
    self->run_(self->argument_);
    self->Yield();
    NEUMF_CHECK(false);  // it had ended
  }
};

Fiber::Fiber()
    : mapped_(MapStack()), stack_(mapped_ + kGuardBytes, kStackBytes) {}

Fiber::~Fiber() {
  stack_.Drop();
  munmap(mapped_, kGuardBytes + kStackBytes);
}

void Fiber::Start(void (*run)(void*), void* argument) {
  if (context_ != nullptr) stack_.Drop();
  run_ = run;
  argument_ = argument;
  char* const top = mapped_ + kGuardBytes + kStackBytes - Indent(mapped_);
  context_ = make_fcontext(top, kStackBytes - kMaxIndent, &Entry::Run);
}

void Fiber::RunInTurn(absl::Span<Fiber* const> fibers) {
  Turns turns;
  turns.left = fibers;
  turns.EndTurnOf(nullptr);
}

void Fiber::Yield() { turns_->EndTurnOf(this); }

}  // namespace neumf
