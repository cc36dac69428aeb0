#include "server/unknown_methods.h"

#include <atomic>

#include "server/grpc_status.h"
#include "server/unary_call.h"

namespace neumf {
namespace {

class UnknownCall : public grpc::ServerGenericBidiReactor, public LiveCall {
 public:
  UnknownCall(const CallParts& parts, grpc::CallbackServerContext* context)
      : record_(parts, RpcMethod::kUnknown, context) {}

  void FinishWithError(const absl::Status& status) override {
    if (claimed_.exchange(true, std::memory_order_acq_rel)) return;
    record_.Finished(status.code());
    Finish(ToGrpcStatus(status));
  }
  absl::Duration deadline() const override { return record_.deadline(); }
  absl::Duration cut_time() const override { return record_.cut_time(); }
  void Cut() override { record_.Cut(); }

 private:
  void OnCancel() override { FinishWithError(record_.Cancelled()); }
  void OnDone() override {
    record_.Done();
    record_.parts().registry->Unregister(this);
  }

  CallRecord record_;
  std::atomic<bool> claimed_{false};
};

}  // namespace

grpc::ServerGenericBidiReactor* UnknownMethods::CreateReactor(
    grpc::GenericCallbackServerContext* context) {
  const auto call = StartCall<UnknownCall>(parts_, context);
  call->FinishWithError(
      absl::UnimplementedError("this server has no such method"));
  return call.get();
}

}  // namespace neumf
