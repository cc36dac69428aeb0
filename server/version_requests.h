#pragma once

// What callers ask of the thread that watches for checkpoints: the handlers of
// calls put it here, never wait, and are told the outcome by that thread.
//
// Every request is answered exactly once, also when the daemon stops. Any
// thread may call any method.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "neumf/v1/model_service.pb.h"

namespace neumf {

// What became of it.
struct VersionAnswer {
  v1::ModelVersion version;  // what is served; without a number: nothing is
  // Why it could not be written for other daemons; empty: it was.
  std::string unsaved_reason;
};

struct VersionRequest {
  enum class Kind {
    kLoad,         // serve `version`, and keep to it
    kLoadLargest,  // follow the largest version again
    kRollback,     // serve what was served before
  };
  Kind kind = Kind::kRollback;
  uint64_t version = 0;
  // Of a rollback that came while nothing was served, and has to wait: what it
  // leaves. 0: what is served when its turn comes.
  uint64_t left = 0;
  std::string caller;  // who asks; empty where nobody is asked for a name
  // False once nobody waits for the answer. By any thread.
  std::function<bool()> is_wanted = [] { return true; };
  // Must not block.
  std::function<void(absl::StatusOr<VersionAnswer>)> answer;
};

class VersionRequests {
 public:
  // More would only stand behind a long load.
  static constexpr size_t kMaxWaiting = 16;

  // `on_request` is called when there is one to Take(), by the thread that adds
  // it, and must not block.
  explicit VersionRequests(std::function<void()> on_request);

  // Answers at once when there are too many, or after Close().
  void Add(VersionRequest request);
  // The oldest that somebody still waits for.
  std::optional<VersionRequest> Take();
  // Keeps a request that was taken until Resume(), which puts it before others.
  void PutOff(VersionRequest request);
  void Resume();
  // Answers all, and those to come: the daemon stops.
  void Close();

 private:
  const std::function<void()> on_request_;

  Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<VersionRequest> waiting_ ABSL_GUARDED_BY(mutex_);
  std::deque<VersionRequest> put_off_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
