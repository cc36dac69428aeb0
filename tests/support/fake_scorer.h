#pragma once

// A Scorer that a test holds in its hand: it counts, waits, fails and throws
// when told to.
//
// It ranks item 0 best, then 1, 2, ... with the same score, its stamp, for all;
// but for `allow_mask`, what shall be left out means nothing to it. So an answer tells which scorer
// gave it. Any thread may call any method.

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "scoring/scorer.h"

namespace neumf {

class FakeScorer : public Scorer {
 public:
  // What it says of each ranking.
  static constexpr uint64_t kRescored = 5;

  FakeScorer(ModelShape shape, float stamp)
      : shape_(std::move(shape)), stamp_(stamp) {}
  ~FakeScorer() override;

  absl::Status Rank(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings) const override;
  const ModelShape& shape() const override { return shape_; }
  uint64_t resident_bytes() const override { return 1000; }
  const char* name() const override { return name_; }
  // Any text that outlives it. Set it before others see the scorer.
  void set_name(const char* name) { name_ = name; }

  // From now on Rank() does not return before Unblock().
  void Block();
  void Unblock();
  // Lets one Rank() call return that is held, and waits until it does; the next
  // one is held.
  void LetOneGo();
  // Returns when a Rank() call is held by Block(); aborts when none comes.
  void WaitUntilHeld() const;

  // What Rank() does from now on.
  void FailWith(const absl::Status& status);
  void Throw();

  // The number of queries of each Rank() call so far.
  std::vector<size_t> batch_sizes() const;
  // Queries whose user_gmf[0] was not the stamp: of another model's user.
  int num_foreign_queries() const;

  // Called by the destructor. Set it before others see the scorer.
  std::function<void()> on_destruction;

 private:
  const ModelShape shape_;
  const float stamp_;
  const char* name_ = "fake (test)";

  mutable Mutex mutex_;
  mutable CondVar changed_;
  bool blocked_ ABSL_GUARDED_BY(mutex_) = false;
  mutable int num_held_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable int num_let_go_ ABSL_GUARDED_BY(mutex_) = 0;
  bool throws_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  mutable std::vector<size_t> batch_sizes_ ABSL_GUARDED_BY(mutex_);
  mutable int num_foreign_queries_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace neumf
