#pragma once

// From the exact item tables to the coarse ones (views.h): halves in the order
// of the tensor cores, zeros past the last column and the last row, and for each
// column how far its halves are off at most.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/fragments.h"
#include "scoring/cuda/device/half.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/coarse_numbers.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// A fragments of kWords words a lane: 4 for Mma16, 2 for Mma8. Any number of
// blocks. REQUIRES: finite numbers; `ranges` have an error of 0, or that of an
// earlier run.
template <uint32_t kWords>
struct PackFragments {
  static constexpr uint32_t kThreads = 256;
  static constexpr uint32_t kMinBlocks = 1;
  static constexpr uint32_t kStepColumns = 4 * kWords;

  const float* values = nullptr;  // [num_rows, width]
  uint32_t num_rows = 0;
  uint32_t width = 0;
  uint32_t num_steps = 0;  // ceil(width / kStepColumns) or more
  float scale = 1;
  uint32_t* words = nullptr;  // [ceil(num_rows / 16), num_steps, 32, kWords]
  ColumnRange* ranges = nullptr;  // [num_steps * kStepColumns]: error

  // A warp goes through tiles step by step, so that the columns of a lane stay.
  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const uint32_t num_tiles = (num_rows - 1) / kTileItems + 1;
    const uint32_t num_warps = thread.num_blocks() * (kThreads / kLanes);
    const uint32_t warp = thread.block() * (kThreads / kLanes) + thread.warp();
    for (uint32_t step = 0; step < num_steps; ++step) {
      // Of the columns of this lane: a half's of the even words, then of the odd.
      float error[kWords] = {};
      for (uint32_t tile = warp; tile < num_tiles; tile += num_warps) {
        PackLane(thread.lane(), tile, step, error);
      }
      RaiseErrors(thread, step, error);
    }
  }

 private:
  NEUMF_DEVICE void PackLane(uint32_t lane, uint32_t tile, uint32_t step,
                             float (&error)[kWords]) const {
    uint32_t* const to =
        words + ((uint64_t{tile} * num_steps + step) * kLanes + lane) * kWords;
    NEUMF_UNROLL
    for (uint32_t w = 0; w < kWords; ++w) {
      uint32_t word = 0;
      NEUMF_UNROLL
      for (uint32_t half = 0; half < 2; ++half) {
        const Place place = PlaceInA(lane, w, half);
        const uint64_t row = uint64_t{tile} * kTileItems + place.row;
        const uint32_t column = step * kStepColumns + place.column;
        if (row >= num_rows || column >= width) continue;
        const CoarseNumber number =
            MakeCoarse(values[row * width + column] * scale);
        word |= uint32_t{number.bits} << (16 * half);
        // Words w and w + 1 are rows g and g + 8 of the same columns.
        float& largest = error[w / 2 * 2 + half];
        const float distance = number.error < 0 ? -number.error : number.error;
        if (distance > largest) largest = distance;
      }
      to[w] = word;
    }
  }

  // The lanes of the same t have the same columns.
  template <typename Thread>
  NEUMF_DEVICE void RaiseErrors(Thread& thread, uint32_t step,
                                const float (&error)[kWords]) const {
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kWords; ++i) {
      uint32_t largest = BitsOfFloat(error[i]);  // ascend: none is negative
      NEUMF_UNROLL
      for (uint32_t apart = 4; apart < kLanes; apart *= 2) {
        const uint32_t other = thread.Shuffle(largest, thread.lane() ^ apart);
        if (other > largest) largest = other;
      }
      if (thread.lane() >= 4) continue;
      const uint32_t column = PlaceInA(thread.lane(), i / 2 * 2, i % 2).column;
      thread.AtomicMax(reinterpret_cast<uint32_t*>(
                           &ranges[step * kStepColumns + column].error),
                       largest);
    }
  }
};

using PackTowerItems = PackFragments<4>;
using PackGmfItems = PackFragments<2>;

// What scores start with; 0 past the last row. Any number of blocks.
struct PackItemStarts {
  static constexpr uint32_t kThreads = 256;
  static constexpr uint32_t kMinBlocks = 1;

  const float* item_bias = nullptr;  // [num_items]; null: none
  float head_bias = 0;
  uint32_t num_items = 0;
  float scale = 1;
  float* starts = nullptr;  // [ceil(num_items / 16) * 16]

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const uint64_t num_starts =
        (uint64_t{num_items} + kTileItems - 1) / kTileItems * kTileItems;
    for (uint64_t i = uint64_t{thread.block()} * kThreads + thread.thread();
         i < num_starts; i += uint64_t{thread.num_blocks()} * kThreads) {
      const float bias =
          item_bias != nullptr && i < num_items ? item_bias[i] : 0;
      starts[i] = i < num_items ? CoarseStart(head_bias, bias, scale) : 0;
    }
  }
};

}  // namespace neumf::cuda
