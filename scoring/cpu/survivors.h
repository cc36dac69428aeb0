#pragma once

// The items that a first pass cannot rule out: those whose approximate scores
// are within a margin of the K-th best approximate score.
//
//   survivors.Reset(k, margin, limit);
//   for (...) survivors.Push({score, row});   // of eligible items, in any order
//   if (!survivors.Finish(&rows)) ...             // too many
//
// With scores that are off by at most e and a margin of 2 e, the best K are
// among them (coarse_user.h). The threshold follows the K-th best so far, from
// below, so nothing is ruled out too early.
//
// Belongs to one thread. Keeps its memory over Reset().

#include <cstdint>
#include <vector>

#include "scoring/rank_key.h"
#include "scoring/scorer.h"

namespace neumf {

class Survivors {
 public:
  // More than `limit` are too many. REQUIRES: k > 0.
  void Reset(uint64_t k, double margin, uint64_t limit);

  // An item with a smaller score than this is ruled out.
  float threshold() const { return threshold_; }

  // REQUIRES: the score is not -0.0.
  void Push(ScoredRow item) {
    if (!(item.score >= threshold_)) return;
    buffer_.push_back(RankKey(item));
    if (buffer_.size() == capacity_) Shrink();
  }

  // Takes over those of the same query from other rows.
  void Merge(const Survivors& other);

  // The rows that are left, ascending, into `rows`, whose memory is reused;
  // false when they are too many to be worth it.
  bool Finish(std::vector<uint32_t>* rows);

 private:
  // Raises the threshold and drops what is below it.
  void Shrink();
  // Keeps nothing any more.
  void GiveUp();

  size_t k_ = 0;
  double margin_ = 0;
  size_t limit_ = 0;
  size_t capacity_ = 0;
  float threshold_ = 0;
  bool too_many_ = false;
  std::vector<uint64_t> buffer_;  // rank keys
};

}  // namespace neumf
