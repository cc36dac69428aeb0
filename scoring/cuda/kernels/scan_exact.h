#pragma once

// The scan in float32, for towers that have no tuned coarse scan and users whom
// halves cannot hold.
//
// Work is cut into pieces of kThreads items of one user. Pieces of the same
// items are next to each other, so that all users read them while they are in
// the cache; and there are enough of them to fill the GPU whether the catalog
// is large or the users are many.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/exact_score.h"
#include "scoring/cuda/kernels/offer.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/levels.h"

namespace neumf::cuda {

// The items of a level, scored for `num_users` users. Any number of blocks, of
// kThreads each, which divides kChunkItems.
//
// user_of(i) is the i-th user, or kNone for one who needs no scores. Then
// take(i, user, row, score, exists) is called by all threads of a warp, with
// the same i and user; where an item does not exist its row and score mean
// nothing.
template <uint32_t kThreads, typename Thread, typename UserOf, typename Take>
NEUMF_DEVICE void ScoreLevel(Thread& thread, const ExactModel& model,
                             const Pass& pass, const Level& level,
                             const ExactScratch& scratch, uint32_t num_users,
                             const UserOf& user_of, const Take& take) {
  constexpr uint32_t kPieces = kChunkItems / kThreads;
  static_assert(kPieces * kThreads == kChunkItems);
  const uint32_t num_chunks =
      model.num_items / kChunkItems + (model.num_items % kChunkItems != 0);
  const uint64_t num_pieces = uint64_t{level.NumChunks(num_chunks)} * kPieces;
  float* const column = scratch.Column<kThreads>(thread, model);
  for (uint64_t work = thread.block(); work < num_pieces * num_users;
       work += thread.num_blocks()) {
    const auto i = static_cast<uint32_t>(work % num_users);
    const uint32_t user = user_of(i);
    if (user == kNone) continue;
    const auto piece = static_cast<uint32_t>(work / num_users);
    const uint32_t row = level.Chunk(piece / kPieces) * kChunkItems +
                         piece % kPieces * kThreads + thread.thread();
    const bool exists = row < model.num_items;
    float score = 0;
    if (exists) {
      score = ExactScore<kThreads>(
          thread, model,
          pass.user_gmf_values() + uint64_t{user} * model.gmf_width,
          pass.user_tower_values() + uint64_t{user} * model.tower_width, row,
          column);
    }
    take(i, user, row, score, exists);
  }
}

// What a pass without a coarse scan starts with: everything passes, and the
// error is 0. One block.
struct StartExact {
  static constexpr uint32_t kThreads = 256;
  static constexpr uint32_t kMinBlocks = 1;

  Pass pass;

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    for (uint32_t user = thread.thread(); user < pass.max_users;
         user += kThreads) {
      pass.threshold[user] = -__builtin_huge_valf();
      pass.margin[user] = 0;
      pass.count[user] = 0;
      pass.outcome[user] = Outcome::kReady;
    }
  }
};

// One level of the catalog for all users of a pass, into their lists.
// Thresholds and keys are of exact scores. Any number of blocks.
struct ScanExact {
  static constexpr uint32_t kThreads = 128;
  static constexpr uint32_t kMinBlocks = 4;

  ExactModel model;
  Pass pass;
  Level level;
  ExactScratch scratch;

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    // Not by the threshold: +infinity is also a score.
    const auto user_of = [&](uint32_t user) {
      const bool scans = pass.queries()[user].kind == QueryKind::kScan &&
                         pass.outcome[user] == Outcome::kReady;
      return scans ? user : kNone;
    };
    ScoreLevel<kThreads>(
        thread, model, pass, level, scratch, pass.header().num_users, user_of,
        [&](uint32_t /*i*/, uint32_t user, uint32_t row, float score,
            bool exists) {
          const bool passes = exists && score >= pass.threshold[user];
          if (!thread.AnyInWarp(passes)) return;
          Offer(thread, pass, ~uint32_t{0}, user, row, score, passes);
        });
  }
};

}  // namespace neumf::cuda
