#pragma once

// The reactor of one stream of questions about the server's descriptors. It
// reads a question, sends the answer, and reads the next one only when gRPC has
// taken the answer: so a stream holds one of each, whatever its client does,
// and no thread while it idles.
//
// A client that leaves an answer unread for CallRecord::kPatience is cut off.
// As with a StreamCall, the end waits for a message that is under way.

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/call_list.h"
#include "server/call_record.h"
#include "server/call_registry.h"
#include "server/reflection_index.h"

namespace neumf {

class ReflectionCall
    : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
      public LiveCall {
 public:
  // Names are all that a question holds, ours of less than 100 bytes. Of a name
  // that it does not know protobuf copies and looks up all that ends at a dot:
  // four thousand bytes would keep a thread of gRPC for milliseconds.
  static constexpr size_t kMaxQuestionBytes = 512;

  // By StartCall() only. `index` and `list` must outlive it; it takes itself
  // off the list, if it is there.
  ReflectionCall(const CallParts& parts, RpcMethod method,
                 grpc::CallbackServerContext* context,
                 const ReflectionIndex* index, CallList<ReflectionCall>* list);

  // Reads the first question. By the handler, once, unless it ends the call.
  void Begin() { StartRead(&question_); }

  // Any thread, as for all below.
  void FinishWithError(const absl::Status& status) override { End(status); }
  absl::Duration deadline() const override { return record_.deadline(); }
  absl::Duration cut_time() const override;
  void Cut() override { record_.Cut(); }

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override { End(record_.Cancelled()); }
  void OnDone() override;

  // Only the first one counts.
  void End(const absl::Status& status);
  // gRPC may call back from within, and a read that is under way fails.
  // REQUIRES: no write is under way, `mutex_` is not held; called once.
  void FinishNow(const absl::Status& status);
  absl::StatusOr<grpc::ByteBuffer> Answer() const;

  CallRecord record_;
  grpc::CallbackServerContext* const context_;
  const ReflectionIndex* const index_;
  CallList<ReflectionCall>* const list_;
  // Of the read and the write, one of which is under way until the end.
  grpc::ByteBuffer question_;
  grpc::ByteBuffer answer_;
  // When an answer that is under way has been unread for too long, on the
  // monotonic clock.
  std::atomic<int64_t> unread_nanos_{kNever};

  Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
