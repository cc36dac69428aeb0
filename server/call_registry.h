#pragma once

// Every call that is not over yet.
//
// grpc::Server::Shutdown() returns only when every reactor was finished,
// deadline or not, so the drain must be able to finish them all. Calls are also
// finished from here when their deadlines pass: gRPC's own check ends the
// stream and, since the reactor has to be finished all the same, ends it again
// then. And a call that is finished for us is not over for gRPC while its client
// does not read, so such calls are cut from here, too. The registry holds gRPC's
// reference to each reactor, from its creation until OnDone.
//
// Any thread may call any method.

#include <atomic>
#include <list>
#include <memory>
#include <vector>

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
  // When to Cut() the call, on the monotonic clock; InfiniteDuration() while it
  // does not wait for its client.
  virtual absl::Duration cut_time() const = 0;
  // Ends the call for a client that does not read; once it is over, or cut, does
  // nothing. Any thread.
  virtual void Cut() = 0;

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

  // Finishes the calls whose deadlines are not after `now`, and cuts those whose
  // cut times are not.
  void FinishExpired(absl::Duration now);
  // Finishes all calls that are there.
  void FinishAll(const absl::Status& status);

 private:
  using Calls = std::vector<std::shared_ptr<LiveCall>>;

  // Those whose `time` is not after `now`; no lock is held while gRPC is called.
  Calls CallsDue(absl::Duration (LiveCall::*time)() const, absl::Duration now);

  std::atomic<bool> draining_{false};

  Mutex mutex_;
  CondVar emptied_;
  std::list<std::shared_ptr<LiveCall>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
