#pragma once

// The best K of many candidates, by a threshold: a candidate below the K-th
// best so far costs one comparison, and only the few that pass are looked at
// closely.
//
//   top.Reset(query, num_items);
//   top.SeekTo(first_row);
//   for (...) top.Push({score, row});   // rows ascend until the next SeekTo()
//   top.Finish(&ranking.items);
//
// Candidates go into a buffer of some times K entries; when it is full,
// nth_element brings it back to K, so any order of scores costs O(N).
//
// Seen and excluded items are tested on the candidates that pass and are never
// counted: the threshold is that of eligible items. A NaN never passes.
//
// Belongs to one thread. Keeps its memory over Reset().

#include <cstdint>
#include <vector>

#include "scoring/eligibility.h"
#include "scoring/scorer.h"

namespace neumf {

class TopK {
 public:
  // Starts a selection of query.k items. `query.seen` and `query.excluded` must
  // outlive it.
  void Reset(const RankQuery& query, uint64_t num_items);

  // The rows pushed next ascend from `row` on.
  void SeekTo(uint32_t row);

  // A candidate with a smaller score than this cannot be among the best.
  float threshold() const { return worst_.score; }

  void Push(ScoredRow candidate) {
    if (!(candidate < worst_)) return;
    if (seen_.Contains(candidate.row) || excluded_.Contains(candidate.row)) {
      return;
    }
    Keep(candidate);
  }

  // Takes over the candidates of a selection for the same query over other
  // rows.
  void Merge(const TopK& other);

  // The best, best first, into `best`, whose memory is reused.
  void Finish(std::vector<ScoredRow>* best);

 private:
  void Keep(ScoredRow candidate) {
    buffer_.push_back(candidate);
    if (buffer_.size() == capacity_) Shrink();
  }
  void Shrink();

  size_t k_ = 0;
  size_t capacity_ = 0;
  // What stands before it may be among the best.
  ScoredRow worst_;
  AscendingRows seen_;
  AscendingRows excluded_;
  std::vector<ScoredRow> buffer_;
};

}  // namespace neumf
