#pragma once

// The first kernel of a pass: makes the users of its queries coarse, bounds the
// error of their coarse scores (error_bound.h), and sets what a scan starts
// from: thresholds, margins, empty lists.
//
// Users who do not scan, and those whose error has no bound (kUnbounded), get
// numbers that cannot harm the others of their eight: their tower is so low
// that no unit of layer 1 is active, whatever the item. A number that overflowed
// to infinity would meet the zeros of the head's other columns, and be NaN in
// every one of them.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/fragments.h"
#include "scoring/cuda/device/half.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/coarse_numbers.h"
#include "scoring/cuda/kernels/error_bound.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// A block a user: grid.blocks = pass.max_users. A thread an output of a layer.
struct PrepareUsers {
  static constexpr uint32_t kThreads = 128;
  static constexpr uint32_t kMinBlocks = 4;

  CoarseModel model;
  Pass pass;
  uint32_t gmf_width = 0;    // G
  uint32_t tower_width = 0;  // H

  // Dynamic shared memory.
  static uint32_t SharedBytes(const CoarseModel& model) {
    return kThreads * sizeof(Share) +
           2 * sizeof(CoarseUnit) * WidestLayer(model);
  }

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const uint32_t user = thread.block();
    bool scans = user < pass.header().num_users &&
                 pass.queries()[user].kind == QueryKind::kScan;
    Outcome outcome = Outcome::kReady;
    float margin = 0;
    if (scans) {
      Share bound = Bound(thread, user);
      FinishScore(model, &bound.score);
      // A NaN is not below either.
      scans = bound.total + bound.score.magnitude < kLargestTotal;
      if (scans) {
        margin = MarginOf(bound.score);
      } else {
        outcome = Outcome::kUnbounded;
      }
    }
    WriteTower(thread, user, scans);
    WriteGmf(thread, user, scans);
    if (thread.thread() == 0) {
      pass.threshold[user] =
          scans ? -__builtin_huge_valf() : __builtin_huge_valf();
      pass.margin[user] = margin;
      pass.count[user] = 0;
      pass.outcome[user] = outcome;
    }
  }

 private:
  // A thread's part of what the block sums up.
  struct Share {
    CoarseSum score;
    double total = 0;  // the magnitude of all sums before

    NEUMF_HOST_DEVICE void Add(const Share& other) {
      score.under += other.score.under;
      score.over += other.score.over;
      score.magnitude += other.score.magnitude;
      total += other.total;
    }
  };

  NEUMF_HOST_DEVICE static uint32_t WidestLayer(const CoarseModel& model) {
    uint32_t widest = model.tower_width;
    for (uint32_t l = 0; l < model.num_layers; ++l) {
      if (model.layers[l].out > widest) widest = model.layers[l].out;
    }
    return widest;
  }

  NEUMF_DEVICE CoarseNumber TowerNumber(uint32_t user, uint32_t column) const {
    if (column >= tower_width) return {};
    const float* const values =
        pass.user_tower_values() + uint64_t{user} * tower_width;
    return MakeCoarse(values[column] * model.tower_scale);
  }

  NEUMF_DEVICE CoarseNumber GmfNumber(uint32_t user, uint32_t column) const {
    if (column >= gmf_width) return {};
    const float* const values =
        pass.user_gmf_values() + uint64_t{user} * gmf_width;
    return MakeCoarse(values[column] * model.user_gmf_scale);
  }

  // By all threads; each gets the sums of all.
  template <typename Thread>
  NEUMF_DEVICE Share Bound(Thread& thread, uint32_t user) const {
    auto* const shares = reinterpret_cast<Share*>(thread.shared());
    Share share;
    if (model.tower_width > 0) {
      auto* const units = reinterpret_cast<CoarseUnit*>(shares + kThreads);
      AddTower(thread, user, units, &share);
    }
    for (uint32_t k = thread.thread(); k < gmf_width; k += kThreads) {
      const CoarseNumber number = GmfNumber(user, k);
      share.score.Add(number.value, number.error, UnitOf(model.gmf_range[k]));
    }
    shares[thread.thread()] = share;
    for (uint32_t half = kThreads / 2; half > 0; half /= 2) {
      thread.SyncBlock();
      if (thread.thread() < half) {
        shares[thread.thread()].Add(shares[thread.thread() + half]);
      }
    }
    thread.SyncBlock();
    return shares[0];
  }

  // From the user's vector through the layers, between two places for units, to
  // the head's terms of the score.
  template <typename Thread>
  NEUMF_DEVICE void AddTower(Thread& thread, uint32_t user, CoarseUnit* units,
                             Share* share) const {
    for (uint32_t k = thread.thread(); k < model.tower_width; k += kThreads) {
      units[k] =
          Reached(FirstSum(TowerNumber(user, k), model.tower_range[k]), share);
    }
    CoarseUnit* outputs = units + WidestLayer(model);
    for (uint32_t l = 0; l < model.num_layers; ++l) {
      thread.SyncBlock();
      const CoarseLayer& layer = model.layers[l];
      for (uint32_t o = thread.thread(); o < layer.out; o += kThreads) {
        outputs[o] = Reached(LayerSum(layer, o, units), share);
      }
      CoarseUnit* const inputs = units;
      units = outputs;
      outputs = inputs;
    }
    // Each thread takes the units that are its own.
    for (uint32_t k = thread.thread(); k < model.head_width; k += kThreads) {
      share->score.Add(model.head_value[k], model.head_error[k], units[k]);
    }
  }

  // The sum's unit, when halves hold it.
  NEUMF_DEVICE static CoarseUnit Reached(const CoarseSum& sum, Share* share) {
    const CoarseUnit unit = Activate(sum);
    share->total += unit.reach <= kLargestHalf ? sum.magnitude : kLargestTotal;
    return unit;
  }

  template <typename Thread>
  NEUMF_DEVICE void WriteTower(Thread& thread, uint32_t user,
                               bool scans) const {
    constexpr uint32_t kLowest = 0xFBFFFBFF;  // -65504 twice
    const uint32_t num_words = model.tower_width / 2;
    uint32_t* const to = pass.user_tower + uint64_t{user} * num_words;
    for (uint32_t p = thread.thread(); p < num_words; p += kThreads) {
      uint32_t word = kLowest;
      if (scans) {
        word = TowerNumber(user, 2 * p).bits |
               uint32_t{TowerNumber(user, 2 * p + 1).bits} << 16;
      }
      to[UserTowerWord(p)] = word;
    }
  }

  // The user is a column of its group's fragments: four lanes of each step.
  template <typename Thread>
  NEUMF_DEVICE void WriteGmf(Thread& thread, uint32_t user, bool scans) const {
    const uint32_t group = user / kGroupUsers;
    const uint32_t lane = user % kGroupUsers * 4;
    for (uint32_t i = thread.thread(); i < model.gmf_steps * 4; i += kThreads) {
      const uint32_t step = i / 4;
      const uint32_t t = i % 4;
      uint32_t word = 0;
      if (scans) {
        const uint32_t column = step * 8 + PlaceInB(lane + t, 0, 0).row;
        word = GmfNumber(user, column).bits |
               uint32_t{GmfNumber(user, column + 1).bits} << 16;
      }
      pass.user_gmf[(group * model.gmf_steps + step) * kLanes + lane + t] =
          word;
    }
  }
};

}  // namespace neumf::cuda
