#pragma once

// The best K of many candidates, by a threshold: a candidate below the K-th
// best so far costs one comparison, and only the few that pass are looked at
// closely.
//
//   top.Reset(k, num_items);
//   for (...) top.Push({score, row});   // of eligible items, in any order
//   top.Finish(&ranking.items);
//
// Candidates go into a buffer of some times K entries; when it is full, a
// selection brings it back to K, so any order of scores costs O(N). A NaN never
// passes.
//
// Belongs to one thread. Keeps its memory over Reset().

#include <cstdint>
#include <vector>

#include "scoring/rank_key.h"
#include "scoring/scorer.h"

namespace neumf {

class TopK {
 public:
  // Starts a selection of min(k, num_items) items.
  void Reset(uint64_t k, uint64_t num_items);

  // A candidate with a smaller score than this cannot be among the best.
  float threshold() const { return threshold_; }

  // REQUIRES: the score is not -0.0.
  void Push(ScoredRow candidate) {
    // A NaN fails here: its key would mean nothing.
    if (!(candidate.score >= threshold_)) return;
    const uint64_t key = RankKey(candidate);
    if (key > worst_) Keep(key);
  }

  // Takes over the candidates of a selection of the same size over other rows.
  void Merge(const TopK& other);

  // The best, best first, into `best`, whose memory is reused.
  void Finish(std::vector<ScoredRow>* best);

 private:
  void Keep(uint64_t key) {
    buffer_.push_back(key);
    if (buffer_.size() == capacity_) Shrink();
  }
  void Shrink();

  size_t k_ = 0;
  size_t capacity_ = 0;
  // Greater keys may be among the best. It grows, and the score with it.
  uint64_t worst_ = 0;
  float threshold_ = 0;
  std::vector<uint64_t> buffer_;  // rank keys
};

}  // namespace neumf
