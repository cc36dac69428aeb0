#pragma once

// WatchModelVersions: a stream of what the VersionHistory remembers, and then
// of its changes. A client that reads slowly keeps at most one batch of changes
// waiting here, and finds the next ones in the history.

#include <cstdint>
#include <deque>
#include <optional>

#include "base/mutex.h"
#include "server/call_list.h"
#include "server/stream_call.h"
#include "server/version_history.h"

namespace neumf {

class VersionWatch : public StreamCall {
 public:
  // By StartCall() only. `history` and `list` must outlive it; it takes itself
  // off the list. Nothing is sent before Begin().
  VersionWatch(const CallParts& parts, grpc::CallbackServerContext* context,
               const VersionHistory* history, CallList<VersionWatch>* list);

  void Begin();

 private:
  std::optional<grpc::ByteBuffer> NextMessage() override;
  void Ended() override;

  const VersionHistory* const history_;
  CallList<VersionWatch>* const list_;

  Mutex changes_mutex_;
  bool begun_ ABSL_GUARDED_BY(changes_mutex_) = false;
  uint64_t seen_until_ ABSL_GUARDED_BY(changes_mutex_) = 0;
  std::deque<v1::ModelVersion> changes_ ABSL_GUARDED_BY(changes_mutex_);
};

}  // namespace neumf
