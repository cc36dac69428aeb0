#pragma once

// The coarse scan: one level of the catalog for all users of a pass, on the
// tensor cores, from the items' and users' halves to candidates. No activation
// and no score is ever written to memory: those of 16 items lie in a warp's
// registers from the first layer to the comparison with the threshold.
//
// A warp takes kTiles tiles of 16 items at a time and goes through the users,
// eight at a time:
//
//   scores [16, 8]  = what the items start with
//                   + items' gmf [16, Gp] x the users' gmf [Gp, 8]
//   of each user j of the eight:
//     h1 [16, Hp]   = relu(item + user)          straight into A fragments
//     h2, h3        = relu(W h + b)              sums into A fragments
//     scores       += h [16, HL] x head in column j, zeros elsewhere
//
// so that the head, too, is a product, and no lane needs another's numbers
// (device/fragments.h).
//
// Weights stay in registers, or in shared memory where they are too many; the
// users' halves lie in shared memory. Their order is that of views.h.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/coarse_scan.h"
#include "scoring/cuda/kernels/tower_parts.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/towers.h"

namespace neumf::cuda {

// How the registers of a multiprocessor are spent on a tower: products that do
// not wait for each other against blocks at once.
template <typename Shape>
struct ScanTuning {
  static constexpr uint32_t kTiles = 2;
  static constexpr uint32_t kUsersAtOnce = 2;  // divides kGroupUsers
  static constexpr uint32_t kMinBlocks = 2;
  static constexpr bool kSharedWeights = false;
};
template <>
struct ScanTuning<TowerB> {
  static constexpr uint32_t kTiles = 2;
  static constexpr uint32_t kUsersAtOnce = 2;
  static constexpr uint32_t kMinBlocks = 1;
  static constexpr bool kSharedWeights = false;
};
template <>
struct ScanTuning<TowerC> {
  static constexpr uint32_t kTiles = 2;
  static constexpr uint32_t kUsersAtOnce = 1;
  static constexpr uint32_t kMinBlocks = 1;
  static constexpr bool kSharedWeights = true;
};

template <typename Shape>
struct ScanTower : CoarseScan {
  static constexpr uint32_t kThreads = 256;
  static constexpr uint32_t kMinBlocks = ScanTuning<Shape>::kMinBlocks;

  // Dynamic shared memory for passes of `max_users`.
  static uint32_t SharedBytes(uint32_t max_users, uint32_t gmf_steps) {
    return sizeof(uint32_t) *
           (kWeightWords +
            UserWords(max_users, Shape::kInput, gmf_steps, kTiles, kThreads));
  }

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    auto* const words = reinterpret_cast<uint32_t*>(thread.shared());
    if constexpr (kSharedWeights) {
      Copy<kThreads>(thread,
                     reinterpret_cast<const uint32_t*>(model.layers[0].weight),
                     kWeightWords, words);
    }
    const SharedUsers users =
        ShareUsers<kThreads>(thread, words + kWeightWords);
    thread.SyncBlock();
    Weights weights;
    LoadWeights(thread, reinterpret_cast<const Words2*>(words), &weights);

    constexpr uint32_t kWarps = kThreads / kLanes;
    ForEachStep(thread, thread.block() * kWarps + thread.warp(),
                thread.num_blocks() * kWarps, kTiles,
                [&](uint32_t tile, uint32_t begin, uint32_t end) {
                  ScanTiles(thread, users, weights, tile, begin, end);
                });
  }

 private:
  static constexpr uint32_t kTiles = ScanTuning<Shape>::kTiles;
  static constexpr uint32_t kUsersAtOnce = ScanTuning<Shape>::kUsersAtOnce;
  static constexpr bool kSharedWeights = ScanTuning<Shape>::kSharedWeights;
  // Sizes of layers 2 and 3 in products: k16 steps and n8 columns. At least 1,
  // so that there is an array.
  static constexpr bool kHasTower = Shape::kInput > 0;
  static constexpr uint32_t kSteps2 = kHasTower ? Shape::kInput / 16 : 1;
  static constexpr uint32_t kOuts2 = kHasTower ? Shape::kWidths[1] / 8 : 1;
  static constexpr bool kHasLayer3 = Shape::kLayers == 2;
  static constexpr uint32_t kSteps3 = kHasLayer3 ? Shape::kWidths[1] / 16 : 1;
  static constexpr uint32_t kOuts3 = kHasLayer3 ? Shape::kWidths[2] / 8 : 1;
  static constexpr uint32_t kWeightWords =
      kSharedWeights ? kSteps2 * kOuts2 * kLanes * 2 : 0;
  static_assert(!kSharedWeights || !kHasLayer3);

  // What a lane keeps of the network.
  struct Weights {
    const Words2* shared;  // layer 2: [outs, steps, lanes], where it is there
    Words2 layer2[kSharedWeights ? 1 : kOuts2][kSharedWeights ? 1 : kSteps2];
    Words2 layer3[kOuts3][kSteps3];
    float bias2[kOuts2][4];
    float bias3[kOuts3][4];
    HeadWords<Shape::kHead> head;
  };
  using TowerItems = Words4[kTiles][kSteps2];

  template <typename Thread>
  NEUMF_DEVICE void LoadWeights(Thread& thread, const Words2* shared,
                                Weights* weights) const {
    if constexpr (kHasTower) {
      weights->shared = shared;
      LoadBias(thread, model.layers[0].bias, weights->bias2);
      if constexpr (!kSharedWeights) {
        LoadLayer(thread, model.layers[0].weight, weights->layer2);
      }
      if constexpr (kHasLayer3) {
        LoadBias(thread, model.layers[1].bias, weights->bias3);
        LoadLayer(thread, model.layers[1].weight, weights->layer3);
      }
      LoadHead(thread, model.head, &weights->head);
    }
  }

  // All users of groups [begin, end) with kTiles tiles from `tile` on.
  template <typename Thread>
  NEUMF_DEVICE void ScanTiles(Thread& thread, const SharedUsers& users,
                              const Weights& weights, uint32_t tile,
                              uint32_t begin, uint32_t end) const {
    TowerItems items;
    float start[kTiles][2];
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kTiles; ++i) {
      LoadStart(thread, tile + i, start[i]);
      if constexpr (kHasTower) {
        LoadItems(thread, model.item_tower, Existing(tile + i), items[i]);
      }
    }
    const uint32_t num_users = pass.header().num_users;
    for (uint32_t group = begin; group < end; ++group) {
      TileScores<kTiles> scores;
      StartScores<kTiles>(thread, users, start, tile, group, scores);
      if constexpr (kHasTower) {
        const uint32_t left = num_users - group * kGroupUsers;
        const uint32_t count = left < kGroupUsers ? left : kGroupUsers;
        // A user beyond the last one has zeros, and nobody takes the scores.
        NEUMF_NO_UNROLL
        for (uint32_t j = 0; j < count; j += kUsersAtOnce) {
          NEUMF_UNROLL
          for (uint32_t u = 0; u < kUsersAtOnce; ++u) {
            AddTower(thread, users.tower, weights, items,
                     group * kGroupUsers + j + u, j + u, scores);
          }
        }
      }
      Filter<kThreads, kTiles>(thread, users, tile, group, scores);
    }
  }

  // Adds the tower's part of `user`, who is column `column` of the scores.
  template <typename Thread>
  NEUMF_DEVICE void AddTower(Thread& thread, const uint32_t* users,
                             const Weights& weights, const TowerItems& items,
                             uint32_t user, uint32_t column,
                             TileScores<kTiles>& scores) const {
    Words2 pairs[kSteps2];
    LoadUser(thread, users, user, pairs);
    float sums2[kTiles][kOuts2][4];
    NEUMF_UNROLL
    for (uint32_t s = 0; s < kSteps2; ++s) {
      uint32_t h[kTiles][4];
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kTiles; ++i) {
        FirstLayer(thread, items[i][s], pairs[s], h[i]);
      }
      NEUMF_UNROLL
      for (uint32_t n = 0; n < kOuts2; ++n) {
        const Words2 weight = Weight2(thread, weights, n, s);
        NEUMF_UNROLL
        for (uint32_t i = 0; i < kTiles; ++i) {
          MultiplyStep(thread, s, h[i], weight, weights.bias2[n], sums2[i][n]);
        }
      }
    }
    if constexpr (kHasLayer3) {
      float sums3[kTiles][kOuts3][4];
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kTiles; ++i) {
        MultiplyActivated(thread, sums2[i], weights.layer3, weights.bias3,
                          sums3[i]);
        AddHead(thread, sums3[i], weights.head, column, scores[i]);
      }
    } else {
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kTiles; ++i) {
        AddHead(thread, sums2[i], weights.head, column, scores[i]);
      }
    }
  }

  template <typename Thread>
  NEUMF_DEVICE static Words2 Weight2(Thread& thread, const Weights& weights,
                                     uint32_t n, uint32_t s) {
    if constexpr (kSharedWeights) {
      return weights.shared[(n * kSteps2 + s) * kLanes + thread.lane()];
    } else {
      return weights.layer2[n][s];
    }
  }
};

}  // namespace neumf::cuda
