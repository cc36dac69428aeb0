#pragma once

// In which order a catalog is scanned. A threshold that is raised only after a
// while lets many candidates pass, and raising it while all blocks run takes a
// word between them with every candidate. So the catalog is scanned in LEVELS, a
// kernel each, between which the thresholds are raised: first a sample, then a
// sample some times larger, at last the rest. A level's K-th best, less the
// margin, bounds what the next ones need to keep; with a ratio r a level keeps
// about K (r - 1) of an unordered catalog.
//
// A chunk is 256 consecutive items. Level 0 takes the chunks that are multiples
// of stride(0), level n those that are multiples of stride(n) and of no larger
// stride; the last stride is 1. So every chunk is scanned once, each level in
// ascending order, and samples are spread over all rows.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"

namespace neumf::cuda {

// Strides grow by this.
constexpr uint32_t kLevelRatio = 16;

// The chunks of one level.
struct Level {
  uint32_t stride = 1;
  uint32_t parent_stride = 0;  // of the level before; 0: there is none

  // Of `num_chunks`, how many are in this level.
  NEUMF_HOST_DEVICE uint32_t NumChunks(uint32_t num_chunks) const {
    const uint32_t multiples = (num_chunks + stride - 1) / stride;
    if (parent_stride == 0) return multiples;
    return multiples - (num_chunks + parent_stride - 1) / parent_stride;
  }

  // The index-th of them.
  NEUMF_HOST_DEVICE uint32_t Chunk(uint32_t index) const {
    if (parent_stride == 0) return index * stride;
    // Of each `ratio` multiples the first belongs to a level before.
    const uint32_t ratio = parent_stride / stride;
    return stride * (index + index / (ratio - 1) + 1);
  }
};

struct Levels {
  static constexpr uint32_t kMax = 8;
  uint32_t count = 0;
  Level level[kMax];
};

// Levels for a catalog of `num_chunks` of which the first takes at most
// `first_chunks` (> 0), or all when they are no more.
inline Levels MakeLevels(uint32_t num_chunks, uint32_t first_chunks) {
  Levels levels;
  uint32_t stride = 1;
  while ((num_chunks + stride - 1) / stride > first_chunks) stride *= 2;
  uint32_t parent = 0;
  while (true) {
    levels.level[levels.count++] = {stride, parent};
    if (stride == 1) return levels;
    parent = stride;
    stride = stride > kLevelRatio ? stride / kLevelRatio : 1;
  }
}

}  // namespace neumf::cuda
