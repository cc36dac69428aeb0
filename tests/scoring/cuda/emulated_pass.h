#pragma once

// A pass of queries and its buffers, in the emulator's memory.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "model/serving_model.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/pass_input.h"
#include "scoring/scorer.h"

namespace neumf::cuda {

// Bits, so that -0.0 and NaN cannot pass for something else.
std::vector<std::pair<uint32_t, uint32_t>> RowsAndBits(
    const std::vector<ScoredRow>& items);

// All users are ready to scan with a threshold of -infinity and no margin,
// their lists empty; what lists hold beyond their counts is nonsense. The
// queries must outlive the constructor only.
class EmulatedPass {
 public:
  // More users than queries are absent.
  EmulatedPass(absl::Span<const RankQuery> queries, const ModelShape& shape,
               uint32_t capacity);
  EmulatedPass(const EmulatedPass&) = delete;
  EmulatedPass& operator=(const EmulatedPass&) = delete;

  const Pass& pass() const { return pass_; }

  // Appends; beyond the capacity it only counts.
  void Push(uint32_t user, absl::Span<const ScoredRow> candidates);
  // The list, as far as it was stored, in the order of rank.
  std::vector<ScoredRow> Candidates(uint32_t user) const;

  float& threshold(uint32_t user) { return thresholds_[user]; }
  float& margin(uint32_t user) { return margins_[user]; }
  uint32_t& count(uint32_t user) { return counts_[user]; }
  Outcome& outcome(uint32_t user) { return outcomes_[user]; }
  const PassResult& result(uint32_t user) const { return results_[user]; }

  // As result() has it.
  std::vector<ScoredRow> Answer(uint32_t user) const;

 private:
  Pass pass_;
  std::vector<Words4> input_;
  std::vector<float> thresholds_;
  std::vector<float> margins_;
  std::vector<uint32_t> counts_;
  std::vector<Outcome> outcomes_;
  std::vector<uint64_t> candidates_;
  std::vector<PassResult> results_;
  std::vector<PassEntry> entries_;
};

}  // namespace neumf::cuda
