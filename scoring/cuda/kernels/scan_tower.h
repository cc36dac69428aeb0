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
// so that the head, too, is a product, and each lane ends with four scores of
// its own (fragments.h, C): two items of two users.
//
// Weights stay in registers, or in shared memory where they are too many; the
// users' halves lie in shared memory. Their order is that of views.h.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/fragments.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/offer.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/levels.h"
#include "scoring/cuda/towers.h"

namespace neumf::cuda {

// How the registers of a multiprocessor are spent on a tower.
template <typename Shape>
struct ScanTuning {
  static constexpr uint32_t kTiles = 2;
  static constexpr uint32_t kMinBlocks = 2;
  static constexpr bool kSharedWeights = false;
};
template <>
struct ScanTuning<TowerB> {
  static constexpr uint32_t kTiles = 2;
  static constexpr uint32_t kMinBlocks = 1;
  static constexpr bool kSharedWeights = false;
};
template <>
struct ScanTuning<TowerC> {
  static constexpr uint32_t kTiles = 2;
  static constexpr uint32_t kMinBlocks = 1;
  static constexpr bool kSharedWeights = true;
};

template <typename Shape>
struct ScanTower {
  static constexpr uint32_t kThreads = 256;
  static constexpr uint32_t kMinBlocks = ScanTuning<Shape>::kMinBlocks;

  CoarseModel model;
  Pass pass;
  Level level;

  // Dynamic shared memory for passes of `max_users`.
  static uint32_t SharedBytes(uint32_t max_users, uint32_t gmf_steps) {
    return sizeof(uint32_t) * (kWeightWords + max_users * kUserWords +
                               max_users / kGroupUsers * gmf_steps * kLanes +
                               max_users + kOffered * kThreads);
  }

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const Shared shared = FillShared(thread);
    thread.SyncBlock();
    Weights weights;
    LoadWeights(thread, &weights);

    const uint32_t num_chunks =
        (model.num_tiles + kTilesPerChunk - 1) / kTilesPerChunk;
    const uint32_t num_steps =
        level.NumChunks(num_chunks) * (kTilesPerChunk / kTiles);
    const uint32_t num_groups =
        (pass.header().num_users + kGroupUsers - 1) / kGroupUsers;
    // Where there are fewer steps than warps, several warps share the users.
    const uint32_t num_warps = thread.num_blocks() * (kThreads / kLanes);
    const uint32_t wanted = num_steps == 0 ? 1 : num_warps / num_steps;
    const uint32_t num_slices = wanted < 1            ? 1
                                : wanted > num_groups ? num_groups
                                                      : wanted;
    for (uint32_t work = thread.block() * (kThreads / kLanes) + thread.warp();
         work < num_steps * num_slices; work += num_warps) {
      const uint32_t step = work / num_slices;
      const uint32_t slice = work % num_slices;
      const uint32_t tile =
          level.Chunk(step / kStepsPerChunk) * kTilesPerChunk +
          step % kStepsPerChunk * kTiles;
      if (tile >= model.num_tiles) continue;
      ScanTiles(thread, shared, weights, tile, num_groups * slice / num_slices,
                num_groups * (slice + 1) / num_slices);
    }
  }

 private:
  static constexpr uint32_t kTiles = ScanTuning<Shape>::kTiles;
  static constexpr uint32_t kStepsPerChunk = kTilesPerChunk / kTiles;
  static constexpr bool kSharedWeights = ScanTuning<Shape>::kSharedWeights;
  // Sizes of layers 2 and 3 in products: k16 steps and n8 columns. At least 1,
  // so that there is an array.
  static constexpr bool kHasTower = Shape::kInput > 0;
  static constexpr uint32_t kSteps2 = kHasTower ? Shape::kInput / 16 : 1;
  static constexpr uint32_t kOuts2 = kHasTower ? Shape::kWidths[1] / 8 : 1;
  static constexpr bool kHasLayer3 = Shape::kLayers == 2;
  static constexpr uint32_t kSteps3 = kHasLayer3 ? Shape::kWidths[1] / 16 : 1;
  static constexpr uint32_t kOuts3 = kHasLayer3 ? Shape::kWidths[2] / 8 : 1;
  static constexpr uint32_t kHeadSteps =
      Shape::kHead < 16 ? 1 : Shape::kHead / 16;
  static constexpr uint32_t kUserWords = Shape::kInput / 2;
  static constexpr uint32_t kWeightWords =
      kSharedWeights ? kSteps2 * kOuts2 * kLanes * 2 : 0;
  static constexpr uint32_t kOffered = kTiles * 4;  // scores of a lane
  static_assert(!kSharedWeights || !kHasLayer3);

  // In shared memory, one after the other.
  struct Shared {
    Words2* weights;       // layer 2: [outs, steps, lanes]; or nothing
    uint32_t* user_tower;  // [U', kUserWords]
    uint32_t* user_gmf;    // [U' / 8, gmf_steps, lanes]
    float* threshold;      // [U']
    float* offered;        // [kOffered, kThreads]
  };

  // What a lane keeps of the network.
  struct Weights {
    Words2 layer2[kSharedWeights ? 1 : kOuts2][kSharedWeights ? 1 : kSteps2];
    Words2 layer3[kOuts3][kSteps3];
    float bias2[kOuts2][2];
    float bias3[kOuts3][2];
    Words2 head[kHeadSteps];
  };

  // Of kTiles tiles.
  struct Items {
    Words4 tower[kTiles][kSteps2];
  };
  using Scores = float[kTiles][4];

  // The words of `from` to `to`, by all threads of a block.
  template <typename Thread>
  NEUMF_DEVICE static void Copy(Thread& thread, const uint32_t* from,
                                uint32_t count, uint32_t* to) {
    for (uint32_t i = thread.thread(); i < count; i += kThreads) {
      to[i] = from[i];
    }
  }

  template <typename Thread>
  NEUMF_DEVICE Shared FillShared(Thread& thread) const {
    auto* const words = reinterpret_cast<uint32_t*>(thread.shared());
    const uint32_t gmf_words =
        pass.max_users / kGroupUsers * model.gmf_steps * kLanes;
    Shared shared;
    shared.weights = reinterpret_cast<Words2*>(words);
    shared.user_tower = words + kWeightWords;
    shared.user_gmf = shared.user_tower + pass.max_users * kUserWords;
    shared.threshold = reinterpret_cast<float*>(shared.user_gmf + gmf_words);
    if constexpr (kSharedWeights) {
      Copy(thread, reinterpret_cast<const uint32_t*>(model.layers[0].weight),
           kWeightWords, words);
    }
    shared.offered = shared.threshold + pass.max_users;
    Copy(thread, pass.user_tower, pass.max_users * kUserWords,
         shared.user_tower);
    Copy(thread, pass.user_gmf, gmf_words, shared.user_gmf);
    Copy(thread, reinterpret_cast<const uint32_t*>(pass.threshold),
         pass.max_users, reinterpret_cast<uint32_t*>(shared.threshold));
    return shared;
  }

  template <typename Thread>
  NEUMF_DEVICE void LoadWeights(Thread& thread, Weights* weights) const {
    if constexpr (kHasTower) {
      const uint32_t lane = thread.lane();
      const uint32_t t = lane % 4;
      NEUMF_UNROLL
      for (uint32_t n = 0; n < kOuts2; ++n) {
        weights->bias2[n][0] = model.layers[0].bias[8 * n + 2 * t];
        weights->bias2[n][1] = model.layers[0].bias[8 * n + 2 * t + 1];
        if constexpr (!kSharedWeights) {
          NEUMF_UNROLL
          for (uint32_t s = 0; s < kSteps2; ++s) {
            weights->layer2[n][s] =
                model.layers[0].weight[(n * kSteps2 + s) * kLanes + lane];
          }
        }
      }
      if constexpr (kHasLayer3) {
        NEUMF_UNROLL
        for (uint32_t n = 0; n < kOuts3; ++n) {
          weights->bias3[n][0] = model.layers[1].bias[8 * n + 2 * t];
          weights->bias3[n][1] = model.layers[1].bias[8 * n + 2 * t + 1];
          NEUMF_UNROLL
          for (uint32_t s = 0; s < kSteps3; ++s) {
            weights->layer3[n][s] =
                model.layers[1].weight[(n * kSteps3 + s) * kLanes + lane];
          }
        }
      }
      NEUMF_UNROLL
      for (uint32_t s = 0; s < kHeadSteps; ++s) {
        weights->head[s] = model.head[4 * s + t];
      }
    }
  }

  // All users of groups [begin, end) with kTiles tiles from `tile` on.
  template <typename Thread>
  NEUMF_DEVICE void ScanTiles(Thread& thread, const Shared& shared,
                              const Weights& weights, uint32_t tile,
                              uint32_t begin, uint32_t end) const {
    Items items;
    float start[kTiles][2];
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kTiles; ++i) {
      const uint32_t at = Existing(tile + i);
      if constexpr (kHasTower) {
        NEUMF_UNROLL
        for (uint32_t s = 0; s < kSteps2; ++s) {
          items.tower[i][s] = thread.Load4(
              &model.item_tower[(uint64_t{at} * kSteps2 + s) * kLanes +
                                thread.lane()]);
        }
      }
      const float* const starts =
          model.item_start + uint64_t{at} * kTileItems + thread.lane() / 4;
      start[i][0] = starts[0];
      start[i][1] = starts[8];
    }
    const uint32_t num_users = pass.header().num_users;
    for (uint32_t group = begin; group < end; ++group) {
      Scores scores;
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kTiles; ++i) {
        scores[i][0] = scores[i][1] = start[i][0];
        scores[i][2] = scores[i][3] = start[i][1];
      }
      AddGmf(thread, shared, tile, group, scores);
      if constexpr (kHasTower) {
        const uint32_t left = num_users - group * kGroupUsers;
        const uint32_t count = left < kGroupUsers ? left : kGroupUsers;
        NEUMF_UNROLL_BY_2
        for (uint32_t j = 0; j < count; ++j) {
          AddTower(thread, shared, weights, items, group * kGroupUsers + j, j,
                   scores);
        }
      }
      Filter(thread, shared, tile, group, scores);
    }
  }

  // The last step may reach past the last tile; it scores that one again, and
  // no row of it counts.
  NEUMF_DEVICE uint32_t Existing(uint32_t tile) const {
    return tile < model.num_tiles ? tile : model.num_tiles - 1;
  }

  // The tile's gmf comes from the cache each time: registers are scarce, and
  // this is done once for eight users.
  template <typename Thread>
  NEUMF_DEVICE void AddGmf(Thread& thread, const Shared& shared, uint32_t tile,
                           uint32_t group, Scores& scores) const {
    for (uint32_t s = 0; s < model.gmf_steps; ++s) {
      const uint32_t user =
          shared
              .user_gmf[(group * model.gmf_steps + s) * kLanes + thread.lane()];
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kTiles; ++i) {
        const Words2 item = thread.Load2(
            &model.item_gmf[(uint64_t{Existing(tile + i)} * model.gmf_steps +
                             s) *
                                kLanes +
                            thread.lane()]);
        thread.Mma8(scores[i], item.w, user);
      }
    }
  }

  // Adds the tower's part of `user`, who is column `column` of the scores.
  template <typename Thread>
  NEUMF_DEVICE void AddTower(Thread& thread, const Shared& shared,
                             const Weights& weights, const Items& items,
                             uint32_t user, uint32_t column,
                             Scores& scores) const {
    const uint32_t t = thread.lane() % 4;
    const auto* const words = reinterpret_cast<const Words4*>(
        shared.user_tower + user * kUserWords + t * (kUserWords / 4));
    float sums2[kTiles][kOuts2][4];
    StartSums<kOuts2>(weights.bias2, sums2);
    NEUMF_UNROLL
    for (uint32_t s = 0; s < kSteps2; ++s) {
      const Words4 four = words[s / 2];
      const uint32_t low = four.w[s % 2 * 2];
      const uint32_t high = four.w[s % 2 * 2 + 1];
      uint32_t h[kTiles][4];
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kTiles; ++i) {
        h[i][0] = thread.AddRelu(items.tower[i][s].w[0], low);
        h[i][1] = thread.AddRelu(items.tower[i][s].w[1], low);
        h[i][2] = thread.AddRelu(items.tower[i][s].w[2], high);
        h[i][3] = thread.AddRelu(items.tower[i][s].w[3], high);
      }
      NEUMF_UNROLL
      for (uint32_t n = 0; n < kOuts2; ++n) {
        Words2 weight;
        if constexpr (kSharedWeights) {
          weight = shared.weights[(n * kSteps2 + s) * kLanes + thread.lane()];
        } else {
          weight = weights.layer2[n][s];
        }
        NEUMF_UNROLL
        for (uint32_t i = 0; i < kTiles; ++i) {
          thread.Mma16(sums2[i][n], h[i], weight.w);
        }
      }
    }
    if constexpr (kHasLayer3) {
      float sums3[kTiles][kOuts3][4];
      StartSums<kOuts3>(weights.bias3, sums3);
      NEUMF_UNROLL
      for (uint32_t s = 0; s < kSteps3; ++s) {
        NEUMF_UNROLL
        for (uint32_t i = 0; i < kTiles; ++i) {
          uint32_t h[4];
          Activate16(thread, sums2[i][2 * s], sums2[i][2 * s + 1], h);
          NEUMF_UNROLL
          for (uint32_t n = 0; n < kOuts3; ++n) {
            thread.Mma16(sums3[i][n], h, weights.layer3[n][s].w);
          }
        }
      }
      AddHead<kOuts3>(thread, weights, sums3, column, scores);
    } else {
      AddHead<kOuts2>(thread, weights, sums2, column, scores);
    }
  }

  template <uint32_t kOuts>
  NEUMF_DEVICE static void StartSums(const float (&bias)[kOuts][2],
                                     float (&sums)[kTiles][kOuts][4]) {
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kTiles; ++i) {
      NEUMF_UNROLL
      for (uint32_t n = 0; n < kOuts; ++n) {
        sums[i][n][0] = sums[i][n][2] = bias[n][0];
        sums[i][n][1] = sums[i][n][3] = bias[n][1];
      }
    }
  }

  // The activations of two neighbouring products are the A fragment of a step.
  template <typename Thread>
  NEUMF_DEVICE static void Activate16(Thread& thread, const float (&left)[4],
                                      const float (&right)[4],
                                      uint32_t (&h)[4]) {
    h[0] = thread.PackRelu(left[0], left[1]);
    h[1] = thread.PackRelu(left[2], left[3]);
    h[2] = thread.PackRelu(right[0], right[1]);
    h[3] = thread.PackRelu(right[2], right[3]);
  }

  template <uint32_t kOuts, typename Thread>
  NEUMF_DEVICE static void AddHead(Thread& thread, const Weights& weights,
                                   const float (&sums)[kTiles][kOuts][4],
                                   uint32_t column, Scores& scores) {
    const bool is_mine = thread.lane() / 4 == column;
    if constexpr (kOuts == 1) {
      const uint32_t head = is_mine ? weights.head[0].w[0] : 0;
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kTiles; ++i) {
        const uint32_t h[2] = {thread.PackRelu(sums[i][0][0], sums[i][0][1]),
                               thread.PackRelu(sums[i][0][2], sums[i][0][3])};
        thread.Mma8(scores[i], h, head);
      }
    } else {
      NEUMF_UNROLL
      for (uint32_t s = 0; s < kOuts / 2; ++s) {
        const uint32_t head[2] = {is_mine ? weights.head[s].w[0] : 0,
                                  is_mine ? weights.head[s].w[1] : 0};
        NEUMF_UNROLL
        for (uint32_t i = 0; i < kTiles; ++i) {
          uint32_t h[4];
          Activate16(thread, sums[i][2 * s], sums[i][2 * s + 1], h);
          thread.Mma16(scores[i], h, head);
        }
      }
    }
  }

  // Most tiles have nothing that passes: one vote.
  template <typename Thread>
  NEUMF_DEVICE void Filter(Thread& thread, const Shared& shared, uint32_t tile,
                           uint32_t group, const Scores& scores) const {
    const uint32_t user = group * kGroupUsers + thread.lane() % 4 * 2;
    const float threshold[2] = {shared.threshold[user],
                                shared.threshold[user + 1]};
    bool any = false;
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kTiles; ++i) {
      NEUMF_UNROLL
      for (uint32_t c = 0; c < 4; ++c) {
        any = any || scores[i][c] >= threshold[c % 2];
      }
    }
    if (!thread.AnyInWarp(any)) return;
    Offers(thread, shared, tile, user, threshold, scores);
  }

  // Few come here, so the code is short rather than quick: the scores go
  // through shared memory, where a loop can count them.
  template <typename Thread>
  NEUMF_DEVICE void Offers(Thread& thread, const Shared& shared, uint32_t tile,
                           uint32_t user, const float (&threshold)[2],
                           const Scores& scores) const {
    float* const own = shared.offered + thread.thread();
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kOffered; ++i) {
      own[i * kThreads] = scores[i / 4][i % 4];
    }
    // The lanes with the same t have the same two users.
    const uint32_t peers = 0x11111111U << (thread.lane() % 4);
    NEUMF_NO_UNROLL
    for (uint32_t i = 0; i < kOffered; ++i) {
      const uint32_t row =
          (tile + i / 4) * kTileItems + PlaceInC(thread.lane(), i % 4).row;
      const float score = own[i * kThreads];
      const bool passes = score >= (i % 2 == 0 ? threshold[0] : threshold[1]);
      Offer(thread, pass, peers, user + i % 2, row, score,
            passes && row < model.num_items);
    }
  }
};

}  // namespace neumf::cuda
