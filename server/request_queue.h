#pragma once

// The calls that wait for the scorer.
//
// There are two classes: calls about one user, of which somebody waits for
// each, and calls about many. Each is first come, first served. While both wait
// they take turns, a batch each: so a call about many users cannot keep the
// others waiting for longer than a batch takes, and still gets half of the
// scorer. Calls of more users than a batch holds are scored in pieces, a batch
// each.
//
// For one thread at a time.

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "server/pending_call.h"

namespace neumf {

// Queries of a call that are scored together: [first, first + count).
struct CallPiece {
  std::shared_ptr<PendingCall> call;
  size_t first = 0;
  size_t count = 0;
  size_t num_scored = 0;  // of them need the scorer
  bool is_last = false;
};

class RequestQueue {
 public:
  static constexpr size_t kMostPassed = 512;

  using Calls = std::vector<std::shared_ptr<PendingCall>>;
  using Predicate = absl::FunctionRef<bool(const PendingCall&)>;

  // REQUIRES: call->queries is not empty.
  void Push(std::shared_ptr<PendingCall> call);
  // Calls of one class, in order, that were scored in vain: they come first.
  void PutBack(const Calls& calls);

  // Users that wait; those of a call that are being scored do not.
  size_t num_users(RequestClass c) const { return lane(c).num_users; }
  size_t num_users() const {
    return num_users(RequestClass::kSingle) + num_users(RequestClass::kMany);
  }
  bool empty() const { return num_users() == 0; }
  // Those of them that need the scorer: what takes its time.
  size_t num_scored(RequestClass c) const { return lane(c).num_scored; }
  size_t num_scored() const {
    return num_scored(RequestClass::kSingle) + num_scored(RequestClass::kMany);
  }
  // The call of this class that has waited longest; null when none waits.
  const PendingCall* front(RequestClass c) const;

  // Takes out the calls that `leaves` is true of, wherever they stand.
  Calls RemoveIf(Predicate leaves);
  Calls RemoveAll();

  // The next batch: calls of one class and one snapshot, next_snapshot(), with
  // `most_users` users at most. Beside a trial calls of two versions come mixed:
  // up to kMostPassed of the other one are passed by, and come next.
  // REQUIRES: not empty(), most_users > 0.
  const Snapshot& next_snapshot() const;
  std::vector<CallPiece> TakeBatch(size_t most_users);

 private:
  struct Entry {
    std::shared_ptr<PendingCall> call;
    size_t num_taken = 0;   // of its queries
    size_t num_left = 0;    // of them, too
    size_t num_scored = 0;  // of those that are left
  };
  struct Lane {
    std::deque<Entry> entries;
    size_t num_users = 0;
    size_t num_scored = 0;
  };

  Lane& lane(RequestClass c) { return lanes_[static_cast<size_t>(c)]; }
  const Lane& lane(RequestClass c) const {
    return lanes_[static_cast<size_t>(c)];
  }
  RequestClass next_class() const;
  // The whole of `call`, counted.
  static Entry Enter(std::shared_ptr<PendingCall> call, Lane* lane);
  static CallPiece TakePiece(size_t most, Lane* lane);

  std::array<Lane, 2> lanes_;
  RequestClass last_ = RequestClass::kMany;
};

}  // namespace neumf
