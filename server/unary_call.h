#pragma once

// The reactor of a call with one request and one answer.
//
// CONTRACT
// 1. ONCE. Whoever comes first finishes the call: its answer, an error, the
//    caller's cancellation, the drain. The others do nothing.
// 2. AT ONCE. A cancelled call is finished from OnCancel, and one whose
//    deadline has passed by the registry: neither waits for the scorer.
// 3. BOUNDED. A client that does not read its answer is cut off by the
//    registry, as CallRecord says.
// 4. ALIVE. gRPC's reference lies in the CallRegistry until OnDone. Who else
//    needs the call, like the batcher, shares it; request and answer of gRPC
//    are gone then, and only the one that finishes touches them.
//
//   auto call = StartCall<UnaryCall>(parts, RpcMethod::kHealthCheck, context,
//                                    response);
//   call->FinishWithAnswer(message);
//   return call.get();

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/call_record.h"
#include "server/call_registry.h"

namespace neumf {

// Parses what gRPC received; INVALID_ARGUMENT as ParseRequest() says.
absl::Status ParseBuffer(const grpc::ByteBuffer& buffer,
                         google::protobuf::Message* message);
grpc::ByteBuffer SerializeToBuffer(const google::protobuf::Message& message);

class UnaryCall : public grpc::ServerUnaryReactor, public LiveCall {
 public:
  // By StartCall() only. `context` and `response` are gRPC's.
  UnaryCall(const CallParts& parts, RpcMethod method,
            grpc::CallbackServerContext* context, grpc::ByteBuffer* response);

  void FinishWithAnswer(const google::protobuf::Message& answer) {
    FinishWithBytes(SerializeToBuffer(answer));
  }
  // Of an answer. Returns false if the call was finished before.
  bool FinishWithBytes(grpc::ByteBuffer bytes);
  void FinishWithError(const absl::Status& status) override;
  absl::Duration deadline() const override { return record_.deadline(); }
  absl::Duration cut_time() const override { return record_.cut_time(); }
  void Cut() override { record_.Cut(); }

  // As those of CallRecord.
  void set_caller(std::string name) { record_.set_caller(std::move(name)); }
  void set_logged(std::unique_ptr<v1::LoggedCall> logged) {
    record_.set_logged(std::move(logged));
  }
  v1::LoggedCall* logged() { return record_.logged(); }

  // Whether it is finished, however it ended. Any thread.
  bool finished() const { return claimed_.load(std::memory_order_acquire); }

  const CallRecord& record() const { return record_; }
  // By its client or by Cut(). REQUIRES: gRPC is not done with the call.
  bool IsCancelled() const {
    return record_.was_cut() || context_->IsCancelled();
  }

 protected:
  // The call was finished without its answer, which nobody needs any more.
  virtual void Abandoned() {}

 private:
  void OnCancel() override;
  void OnDone() override;
  bool Claim() { return !claimed_.exchange(true, std::memory_order_acq_rel); }

  CallRecord record_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  std::atomic<bool> claimed_{false};
};

// Makes a call and registers it. The handler must return it to gRPC.
template <typename Call, typename... Args>
std::shared_ptr<Call> StartCall(const CallParts& parts, Args&&... args) {
  auto call = std::make_shared<Call>(parts, std::forward<Args>(args)...);
  parts.registry->Register(call);
  return call;
}

}  // namespace neumf
