#pragma once

// The coarse scan on sm_90a: as ScanTower, but layer 2, most of the work, is
// multiplied by the tensor cores of a whole warpgroup (wgmma), which read the
// weights from shared memory by themselves, so that neither registers nor loads
// are spent on them. Only the activations, from registers, are the warps' own.
//
// A warpgroup, four warps, takes four tiles, a tile a warp; what a lane holds of
// its tile is what ScanTower has (device/fragments.h), and everything but layer
// 2 is the same.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/coarse_scan.h"
#include "scoring/cuda/kernels/tower_parts.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/towers.h"

namespace neumf::cuda {

// Threads of a block, which has a multiprocessor for itself: as many warpgroups
// as their registers allow, so that one activates while another multiplies.
template <typename Shape>
constexpr uint32_t kWideThreads = 512;
template <>
inline constexpr uint32_t kWideThreads<TowerC> = 384;  // one in a program

template <typename Shape>
struct ScanWide : CoarseScan {
  static constexpr uint32_t kThreads = kWideThreads<Shape>;
  static constexpr uint32_t kMinBlocks = 1;

  static uint32_t SharedBytes(uint32_t max_users, uint32_t gmf_steps) {
    return sizeof(uint32_t) *
           (kWeightWords +
            UserWords(max_users, Shape::kInput, gmf_steps, 1, kThreads));
  }

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    if constexpr (Thread::kHasWideMma) {
      auto* const words = reinterpret_cast<uint32_t*>(thread.shared());
      ShareWeights(thread, words);
      const SharedUsers users =
          ShareUsers<kThreads>(thread, words + kWeightWords);
      thread.PublishShared();
      thread.SyncBlock();
      Weights weights;
      weights.layer2 = words;
      NEUMF_UNROLL
      for (uint32_t n = 0; n < kOuts2; ++n) {
        const float* const bias =
            model.layers[0].bias + 8 * n + thread.lane() % 4 * 2;
        weights.bias2[n][0] = bias[0];
        weights.bias2[n][1] = bias[1];
      }
      if constexpr (kHasLayer3) {
        LoadBias(thread, model.layers[1].bias, weights.bias3);
        LoadLayer(thread, model.layers[1].weight, weights.layer3);
      }
      LoadHead(thread, model.head, &weights.head);

      constexpr uint32_t kGroups = kThreads / kLanes / kWarpsOfGroup;
      ForEachStep(thread,
                  thread.block() * kGroups + thread.warp() / kWarpsOfGroup,
                  thread.num_blocks() * kGroups, kWarpsOfGroup,
                  [&](uint32_t tile, uint32_t begin, uint32_t end) {
                    ScanTile(thread, users, weights,
                             tile + thread.warp() % kWarpsOfGroup, begin, end);
                  });
    }
  }

 private:
  static constexpr uint32_t kWarpsOfGroup = 4;
  static constexpr uint32_t kSteps2 = Shape::kInput / 16;
  static constexpr uint32_t kOuts2 = Shape::kWidths[1] / 8;
  static constexpr bool kHasLayer3 = Shape::kLayers == 2;
  // At least 1, so that there is an array.
  static constexpr uint32_t kSteps3 = kHasLayer3 ? Shape::kWidths[1] / 16 : 1;
  static constexpr uint32_t kOuts3 = kHasLayer3 ? Shape::kWidths[2] / 8 : 1;
  static constexpr uint32_t kWeightWords = kSteps2 * kOuts2 * 2 * kLanes;

  struct Weights {
    const uint32_t* layer2;  // in shared memory, as WideMma() reads it
    Words2 layer3[kOuts3][kSteps3];
    float bias2[kOuts2][2];  // to both rows of a lane
    float bias3[kOuts3][4];
    HeadWords<Shape::kHead> head;
  };

  // A word of all lanes' B fragments is just what WideMma() calls a core matrix:
  // 8 columns, of each 8 halves one after the other.
  template <typename Thread>
  NEUMF_DEVICE void ShareWeights(Thread& thread, uint32_t* words) const {
    const auto* const weight =
        reinterpret_cast<const uint32_t*>(model.layers[0].weight);
    for (uint32_t i = thread.thread(); i < kWeightWords; i += kThreads) {
      const uint32_t word = i % 2;
      const uint32_t lane = i / 2 % kLanes;
      const uint32_t s = i / (2 * kLanes) % kSteps2;
      const uint32_t n = i / (2 * kLanes) / kSteps2;
      words[((s * kOuts2 + n) * 2 + word) * kLanes + lane] = weight[i];
    }
  }

  template <typename Thread>
  NEUMF_DEVICE void ScanTile(Thread& thread, const SharedUsers& users,
                             const Weights& weights, uint32_t tile,
                             uint32_t begin, uint32_t end) const {
    Words4 items[kSteps2];
    LoadItems(thread, model.item_tower, Existing(tile), items);
    float start[1][2];
    LoadStart(thread, tile, start[0]);
    const uint32_t num_users = pass.header().num_users;
    for (uint32_t group = begin; group < end; ++group) {
      TileScores<1> scores;
      StartScores<1>(thread, users, start, tile, group, scores);
      const uint32_t left = num_users - group * kGroupUsers;
      const uint32_t count = left < kGroupUsers ? left : kGroupUsers;
      NEUMF_NO_UNROLL
      for (uint32_t j = 0; j < count; ++j) {
        AddTower(thread, users.tower, weights, items, group * kGroupUsers + j,
                 j, scores[0]);
      }
      Filter<kThreads, 1>(thread, users, tile, group, scores);
    }
  }

  template <typename Thread>
  NEUMF_DEVICE void AddTower(Thread& thread, const uint32_t* users,
                             const Weights& weights,
                             const Words4 (&items)[kSteps2], uint32_t user,
                             uint32_t column, float (&scores)[4]) const {
    Words2 pairs[kSteps2];
    LoadUser(thread, users, user, pairs);
    float sums[kOuts2][4];
    NEUMF_UNROLL
    for (uint32_t n = 0; n < kOuts2; ++n) {
      sums[n][0] = sums[n][2] = weights.bias2[n][0];
      sums[n][1] = sums[n][3] = weights.bias2[n][1];
    }
    uint32_t h[kSteps2][4];
    NEUMF_UNROLL
    for (uint32_t s = 0; s < kSteps2; ++s) {
      FirstLayer(thread, items[s], pairs[s], h[s]);
    }
    thread.WideMma(sums, h, weights.layer2);
    if constexpr (kHasLayer3) {
      float sums3[kOuts3][4];
      MultiplyActivated(thread, sums, weights.layer3, weights.bias3, sums3);
      AddHead(thread, sums3, weights.head, column, scores);
    } else {
      AddHead(thread, sums, weights.head, column, scores);
    }
  }
};

}  // namespace neumf::cuda
