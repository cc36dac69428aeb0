#include "tests/support/fake_scorer.h"

#include <algorithm>
#include <stdexcept>

#include "base/logging.h"
#include "tests/support/eventually.h"

namespace neumf {

FakeScorer::~FakeScorer() {
  if (on_destruction) on_destruction();
}

absl::Status FakeScorer::Rank(absl::Span<const RankQuery> queries,
                              absl::Span<Ranking> rankings) const {
  MutexLock lock(&mutex_);
  batch_sizes_.push_back(queries.size());
  ++num_held_;
  changed_.SignalAll();
  while (blocked_ && num_let_go_ == 0) changed_.Wait(&mutex_);
  --num_held_;
  if (num_let_go_ > 0) --num_let_go_;
  changed_.SignalAll();
  if (throws_) throw std::runtime_error("the fake scorer throws");
  for (size_t b = 0; b < queries.size(); ++b) {
    const RankQuery& query = queries[b];
    if (query.user_gmf[0] != stamp_) ++num_foreign_queries_;
    Ranking& ranking = rankings[b];
    ranking.items.clear();
    const auto allows = [&](uint64_t row) {
      return query.allow_mask == nullptr || query.allow_mask->allows(row);
    };
    ranking.eligible_count = 0;
    ranking.rescored_count = kRescored;
    ranking.cancelled = query.cancelled != nullptr && *query.cancelled;
    for (uint32_t row = 0; row < shape_.num_items; ++row) {
      if (!allows(row)) continue;
      if (++ranking.eligible_count > query.k) continue;
      ranking.items.push_back({stamp_, row});
    }
  }
  return failure_;
}

void FakeScorer::Block() {
  MutexLock lock(&mutex_);
  blocked_ = true;
}

void FakeScorer::Unblock() {
  MutexLock lock(&mutex_);
  blocked_ = false;
  changed_.SignalAll();
}

void FakeScorer::LetOneGo() {
  MutexLock lock(&mutex_);
  ++num_let_go_;
  changed_.SignalAll();
  while (num_let_go_ > 0) NEUMF_CHECK(changed_.WaitFor(&mutex_, kFarTooLong));
}

void FakeScorer::WaitUntilHeld() const {
  MutexLock lock(&mutex_);
  while (!blocked_ || num_held_ == 0) {
    NEUMF_CHECK(changed_.WaitFor(&mutex_, kFarTooLong));
  }
}

void FakeScorer::FailWith(const absl::Status& status) {
  MutexLock lock(&mutex_);
  failure_ = status;
}

void FakeScorer::Throw() {
  MutexLock lock(&mutex_);
  throws_ = true;
}

std::vector<size_t> FakeScorer::batch_sizes() const {
  MutexLock lock(&mutex_);
  return batch_sizes_;
}

int FakeScorer::num_foreign_queries() const {
  MutexLock lock(&mutex_);
  return num_foreign_queries_;
}

}  // namespace neumf
