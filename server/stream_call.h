#pragma once

// The reactor of a call with one request and a stream of answers, which shows
// how something changes: it sends a message whenever there is one and the
// client has taken the one before, so a slow client makes nothing pile up here.
//
// At most one operation is under way: a message or the end. So the end waits
// for a message that the client does not read, until cancellation makes that
// fail: by the client, by the registry some time after the end was wanted, or
// because the drain cuts the connection.

#include <optional>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/call_record.h"
#include "server/call_registry.h"

namespace neumf {

class StreamCall : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                   public LiveCall {
 public:
  // By StartCall() only.
  StreamCall(const CallParts& parts, RpcMethod method,
             grpc::CallbackServerContext* context);

  // Starts what is due, unless something is under way: to be called after each
  // change. Any thread, as for all others.
  void Advance();
  void FinishWithError(const absl::Status& status) override;
  absl::Duration deadline() const override { return record_.deadline(); }
  absl::Duration cut_time() const override { return record_.cut_time(); }
  void Cut() override { record_.Cut(); }

 protected:
  // The next message, serialized, or nothing yet. Never called twice at a time,
  // under a lock that calls nothing else of this class.
  virtual std::optional<grpc::ByteBuffer> NextMessage() = 0;
  // gRPC is done with the call.
  virtual void Ended() = 0;

 private:
  enum class Action { kNone, kWrite, kFinish };

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  Action NextAction() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  CallRecord record_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer message_;  // of the write that is under way

  Mutex mutex_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // no message gets through
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
