#pragma once

// Decides in float32: each candidate's coarse score gives way to its exact one.
// Lists of allowed rows come in here, too: they are not scanned, their rows are
// the candidates.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/eligible.h"
#include "scoring/cuda/kernels/exact_score.h"
#include "scoring/cuda/kernels/rank_keys.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// max_users * parts blocks; `parts` blocks share a user's candidates.
struct Rescore {
  static constexpr uint32_t kThreads = 128;
  static constexpr uint32_t kMinBlocks = 4;

  ExactModel model;
  Pass pass;
  ExactScratch scratch;
  uint32_t parts = 1;
  // After a scan in float32, whose candidates have exact scores.
  bool lists_only = false;

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const uint32_t user = thread.block() / parts;
    if (user >= pass.header().num_users) return;
    const PassQuery& query = pass.queries()[user];
    const uint32_t first = thread.block() % parts * kThreads + thread.thread();
    if (query.kind == QueryKind::kList) {
      ScoreList(thread, user, query, first);
    } else if (query.kind == QueryKind::kScan && !lists_only &&
               pass.outcome[user] == Outcome::kReady) {
      ScoreCandidates(thread, user, first);
    }
  }

 private:
  NEUMF_DEVICE uint64_t* Candidates(uint32_t user) const {
    return pass.candidates + uint64_t{user} * pass.capacity;
  }

  template <typename Thread>
  NEUMF_DEVICE uint64_t Key(Thread& thread, uint32_t user, uint32_t row) const {
    const float score = ExactScore<kThreads>(
        thread, model,
        pass.user_gmf_values() + uint64_t{user} * model.gmf_width,
        pass.user_tower_values() + uint64_t{user} * model.tower_width, row,
        scratch.Column<kThreads>(thread, model));
    return ExactKey(score, row);
  }

  template <typename Thread>
  NEUMF_DEVICE void ScoreCandidates(Thread& thread, uint32_t user,
                                    uint32_t first) const {
    uint64_t* const keys = Candidates(user);
    const uint32_t count = pass.count[user];
    if (count > pass.capacity) return;  // Finish tells
    for (uint32_t i = first; i < count; i += parts * kThreads) {
      keys[i] = Key(thread, user, RowOfKey(keys[i]));
    }
  }

  template <typename Thread>
  NEUMF_DEVICE void ScoreList(Thread& thread, uint32_t user,
                              const PassQuery& query, uint32_t first) const {
    uint64_t* const keys = Candidates(user);
    for (uint32_t i = first; i < query.list_count; i += parts * kThreads) {
      const uint32_t row = pass.rows()[query.list_begin + i];
      keys[i] = IsEligible(pass, query, row) ? Key(thread, user, row) : 0;
    }
    if (first == 0) pass.count[user] = query.list_count;
  }
};

}  // namespace neumf::cuda
