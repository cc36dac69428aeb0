#include "server/intake_guard.h"

#include <utility>

#include "absl/time/clock.h"
#include "grpcpp/generic/async_generic_service.h"

namespace neumf {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(1);

class GuardedContext : public grpc::CallbackServerContext {
 public:
  explicit GuardedContext(IntakeGuard* guard) : guard_(guard) {
    guard->Arrived();
  }
  ~GuardedContext() override { Enter(); }

  void Enter() {
    if (guard_ != nullptr) std::exchange(guard_, nullptr)->Left();
  }

 private:
  IntakeGuard* guard_;  // null once a handler has the call
};

class GuardedContexts : public grpc::ContextAllocator {
 public:
  explicit GuardedContexts(IntakeGuard* guard) : guard_(guard) {}

  grpc::CallbackServerContext* NewCallbackServerContext() override {
    return new GuardedContext(guard_);
  }
  void Release(grpc::CallbackServerContext* context) override {
    delete context;
  }

  // Of methods that nobody has (unknown_methods.h). No class may derive from
  // their context, so they count until gRPC is done with them.
  grpc::GenericCallbackServerContext* NewGenericCallbackServerContext()
      override {
    guard_->Arrived();
    return new grpc::GenericCallbackServerContext;
  }
  void Release(grpc::GenericCallbackServerContext* context) override {
    guard_->Left();
    delete context;
  }

 private:
  IntakeGuard* const guard_;
};

}  // namespace

IntakeGuard::IntakeGuard(std::function<void()> on_flood)
    : on_flood_(std::move(on_flood)) {}

std::unique_ptr<grpc::ContextAllocator> IntakeGuard::MakeContexts() {
  return std::make_unique<GuardedContexts>(this);
}

void IntakeGuard::HandlerEntered(grpc::CallbackServerContext* context) {
  auto* const guarded = dynamic_cast<GuardedContext*>(context);
  if (guarded != nullptr) guarded->Enter();
}

void IntakeGuard::Arrived() {
  const int64_t excess =
      pending_.fetch_add(1, std::memory_order_relaxed) + 1 - kMostPending;
  if (excess < 0 || excess % kCallsBetweenWaits != 0) return;
  for (absl::Duration waited; waited < kPatience; waited += kPause) {
    absl::SleepFor(kPause);
    if (pending() < kMostPending) return;
  }
  on_flood_();
}

}  // namespace neumf
