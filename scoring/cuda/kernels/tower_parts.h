#pragma once

// The steps of a tower in a warp's registers, for the coarse scans: fragments of
// halves in, fragments of halves or sums out (device/fragments.h). kSteps counts
// k16 steps of a product, kOuts its n8 columns.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"

namespace neumf::cuda {

// ---- What is loaded once a block, or once a tile ----------------------------

// Of a layer's [kOuts, kSteps, lanes] B fragments, this lane's.
template <uint32_t kOuts, uint32_t kSteps, typename Thread>
NEUMF_DEVICE void LoadLayer(Thread& thread, const Words2* weight,
                            Words2 (&own)[kOuts][kSteps]) {
  NEUMF_UNROLL
  for (uint32_t n = 0; n < kOuts; ++n) {
    NEUMF_UNROLL
    for (uint32_t s = 0; s < kSteps; ++s) {
      own[n][s] = weight[(n * kSteps + s) * kLanes + thread.lane()];
    }
  }
}

// As the sums of a product begin: a fragment of C, all rows alike. The tensor
// cores take it from four neighbouring registers, so it stays in four.
template <uint32_t kOuts, typename Thread>
NEUMF_DEVICE void LoadBias(Thread& thread, const float* bias,
                           float (&own)[kOuts][4]) {
  NEUMF_UNROLL
  for (uint32_t n = 0; n < kOuts; ++n) {
    own[n][0] = own[n][2] = bias[8 * n + thread.lane() % 4 * 2];
    own[n][1] = own[n][3] = bias[8 * n + thread.lane() % 4 * 2 + 1];
  }
}

// The head as a B fragment all of whose columns are alike.
template <uint32_t kHead>
struct HeadWords {
  static constexpr uint32_t kSteps = kHead < 16 ? 1 : kHead / 16;
  Words2 step[kSteps];
};

template <uint32_t kHead, typename Thread>
NEUMF_DEVICE void LoadHead(Thread& thread, const Words2* head,
                           HeadWords<kHead>* own) {
  NEUMF_UNROLL
  for (uint32_t s = 0; s < HeadWords<kHead>::kSteps; ++s) {
    own->step[s] = head[4 * s + thread.lane() % 4];
  }
}

// A tile's A fragments.
template <uint32_t kSteps, typename Thread>
NEUMF_DEVICE void LoadItems(Thread& thread, const Words4* items, uint32_t tile,
                            Words4 (&own)[kSteps]) {
  NEUMF_UNROLL
  for (uint32_t s = 0; s < kSteps; ++s) {
    const uint64_t at = uint64_t{tile} * kSteps + s;
    own[s] = thread.Load4(&items[at * kLanes + thread.lane()]);
  }
}

// ---- From layer to layer ----------------------------------------------------

// What layer 1 adds to the words of all items: w[0] of step s to words 0 and 1.
template <uint32_t kSteps, typename Thread>
NEUMF_DEVICE void LoadUser(Thread& thread, const uint32_t* users, uint32_t user,
                           Words2 (&own)[kSteps]) {
  const auto* const fours =
      reinterpret_cast<const Words4*>(users + user * (kSteps * 8)) +
      thread.lane() % 4;
  NEUMF_UNROLL
  for (uint32_t s = 0; s < kSteps; s += 2) {
    const Words4 four = fours[s / 2 * 4];
    own[s] = {{four.w[0], four.w[1]}};
    own[s + 1] = {{four.w[2], four.w[3]}};
  }
}

template <typename Thread>
NEUMF_DEVICE void FirstLayer(Thread& thread, const Words4& item,
                             const Words2& user, uint32_t (&h)[4]) {
  h[0] = thread.AddRelu(item.w[0], user.w[0]);
  h[1] = thread.AddRelu(item.w[1], user.w[0]);
  h[2] = thread.AddRelu(item.w[2], user.w[1]);
  h[3] = thread.AddRelu(item.w[3], user.w[1]);
}

// The sums of two neighbouring columns of eight, activated, are the A fragment
// of a step.
template <typename Thread>
NEUMF_DEVICE void Activate(Thread& thread, const float (&left)[4],
                           const float (&right)[4], uint32_t (&h)[4]) {
  h[0] = thread.PackRelu(left[0], left[1]);
  h[1] = thread.PackRelu(left[2], left[3]);
  h[2] = thread.PackRelu(right[0], right[1]);
  h[3] = thread.PackRelu(right[2], right[3]);
}

// sums = bias + W h of step s, or their share of it from the second step on.
template <typename Thread>
NEUMF_DEVICE void MultiplyStep(Thread& thread, uint32_t s,
                               const uint32_t (&h)[4], const Words2& weight,
                               const float (&bias)[4], float (&sums)[4]) {
  if (s == 0) {
    thread.Mma16(sums, h, weight.w, bias);
  } else {
    thread.Mma16(sums, h, weight.w);
  }
}

// sums = bias + W relu(in)
template <uint32_t kIns, uint32_t kOuts, uint32_t kSteps, typename Thread>
NEUMF_DEVICE void MultiplyActivated(Thread& thread, const float (&in)[kIns][4],
                                    const Words2 (&weight)[kOuts][kSteps],
                                    const float (&bias)[kOuts][4],
                                    float (&sums)[kOuts][4]) {
  static_assert(kIns == 2 * kSteps);
  NEUMF_UNROLL
  for (uint32_t s = 0; s < kSteps; ++s) {
    uint32_t h[4];
    Activate(thread, in[2 * s], in[2 * s + 1], h);
    NEUMF_UNROLL
    for (uint32_t n = 0; n < kOuts; ++n) {
      MultiplyStep(thread, s, h, weight[n][s], bias[n], sums[n]);
    }
  }
}

// scores[:, column] += head . relu(in): a product whose other columns are zero,
// so that one user's scores end beside those of the seven others.
template <uint32_t kIns, uint32_t kHead, typename Thread>
NEUMF_DEVICE void AddHead(Thread& thread, const float (&in)[kIns][4],
                          const HeadWords<kHead>& head, uint32_t column,
                          float (&scores)[4]) {
  static_assert(kHead == 8 * kIns);
  const bool is_mine = thread.lane() / 4 == column;
  if constexpr (kIns == 1) {
    const uint32_t h[2] = {thread.PackRelu(in[0][0], in[0][1]),
                           thread.PackRelu(in[0][2], in[0][3])};
    thread.Mma8(scores, h, is_mine ? head.step[0].w[0] : 0);
  } else {
    NEUMF_UNROLL
    for (uint32_t s = 0; s < kIns / 2; ++s) {
      uint32_t h[4];
      Activate(thread, in[2 * s], in[2 * s + 1], h);
      const uint32_t words[2] = {is_mine ? head.step[s].w[0] : 0,
                                 is_mine ? head.step[s].w[1] : 0};
      thread.Mma16(scores, h, words);
    }
  }
}

}  // namespace neumf::cuda
