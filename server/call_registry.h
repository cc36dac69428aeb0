#pragma once

// Every call that is not over yet.
//
// grpc::Server::Shutdown() returns only when every reactor was finished,
// deadline or not, so the drain must be able to finish them all. Calls are also
// finished from here when their deadlines pass: gRPC's own check ends the
// stream and, since the reactor has to be finished all the same, ends it again
// then. The registry holds gRPC's reference to each reactor, from its creation
// until OnDone.
//
// Any thread may call any method.

#include <atomic>
#include <list>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace neumf {

class CallRegistry;

// A reactor. Made by a std::shared_ptr, and kept alive by a CallRegistry
// between Register() and Unregister().
class LiveCall : public std::enable_shared_from_this<LiveCall> {
 public:
  virtual ~LiveCall() = default;

  // On the monotonic clock; InfiniteDuration() without one. Never changes.
  virtual absl::Duration deadline() const = 0;
  // Finishes the call with `status` unless it is finished. Any thread.
  virtual void FinishWithError(const absl::Status& status) = 0;

 private:
  friend class CallRegistry;
  std::list<std::shared_ptr<LiveCall>>::iterator place_;
};

class CallRegistry {
 public:
  void Register(std::shared_ptr<LiveCall> call);
  // Drops the reference: `call` may be gone afterwards.
  void Unregister(LiveCall* call);

  // From now on draining() is true: new calls are to be refused.
  void StartDraining() { draining_ = true; }
  bool draining() const { return draining_; }

  // False when calls are left at `deadline`, on the monotonic clock.
  bool WaitUntilEmpty(const Clock& clock, absl::Duration deadline);

  // Finishes the calls whose deadlines are not after `now`.
  void FinishExpired(absl::Duration now);
  // Finishes all calls that are there.
  void FinishAll(const absl::Status& status);

 private:
  void FinishUntil(absl::Duration deadline, const absl::Status& status);

  std::atomic<bool> draining_{false};

  Mutex mutex_;
  CondVar emptied_;
  std::list<std::shared_ptr<LiveCall>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
