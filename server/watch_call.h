#pragma once

// Health Watches: streams that show the latest status, and skip those that
// changed while a message was under way.
//
// At most one operation is under way: a message or the end. So the end waits for
// a message that the client does not read, until cancellation makes that fail:
// by the client, by the registry some time after the end was wanted, or because
// the drain cuts the connection.

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/call_record.h"
#include "server/call_registry.h"

namespace neumf {

class WatchCall;

// The watches of one service. Any thread may call any method.
class WatchList {
 public:
  using ServingStatus = grpc::health::v1::HealthCheckResponse::ServingStatus;

  void Add(std::shared_ptr<WatchCall> watch);
  void Remove(WatchCall* watch);
  void ShowAll(ServingStatus status);
  void FinishAll(const absl::Status& status);

 private:
  std::vector<std::shared_ptr<WatchCall>> Watches() const;

  mutable Mutex mutex_;
  std::map<WatchCall*, std::shared_ptr<WatchCall>> watches_
      ABSL_GUARDED_BY(mutex_);
};

// The reactor of one.
class WatchCall : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                  public LiveCall {
 public:
  // By StartCall() only. `list` must outlive it; it takes itself off there.
  WatchCall(const CallParts& parts, grpc::CallbackServerContext* context,
            WatchList* list);

  // All by any thread.
  void Show(WatchList::ServingStatus status);
  void FinishWithError(const absl::Status& status) override;
  absl::Duration deadline() const override { return record_.deadline(); }
  absl::Duration cut_time() const override { return record_.cut_time(); }
  void Cut() override { record_.Cut(); }

 private:
  enum class Action { kNone, kWrite, kFinish };

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // Starts what is due, unless something is under way.
  void Advance();
  Action NextAction() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  CallRecord record_;
  WatchList* const list_;
  grpc::ByteBuffer message_;  // of the write that is under way

  Mutex mutex_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // no message gets through
  std::optional<WatchList::ServingStatus> shown_ ABSL_GUARDED_BY(mutex_);
  std::optional<WatchList::ServingStatus> wanted_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
