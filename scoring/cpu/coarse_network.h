#pragma once

// The weights of a ScoreNetwork as the first pass reads them when it quantizes
// them for a user.
//
// Immutable after construction: any number of threads may read.

#include <cstdint>
#include <vector>

#include "base/aligned_matrix.h"
#include "model/serving_model.h"

namespace neumf {

// Tower layer 2, 3, ..., padded with zeros.
struct CoarseWeights {
  size_t in = 0;   // a multiple of kCoarseQuad
  size_t out = 0;  // a multiple of kCoarseGroup
  // [in, out]: a loop over outputs is one over vectors, without sums across
  // lanes.
  AlignedBuffer weight;
  std::vector<double> bias;  // [out]
};

struct CoarseNetwork {
  // REQUIRES: `network` fits `shape` and has a layer.
  CoarseNetwork(const ModelShape& shape, const ScoreNetwork& network);

  uint64_t resident_bytes() const;
  // What it takes of the system.
  static uint64_t MappedBytes(const ModelShape& shape,
                              const ScoreNetwork& network);

  size_t gmf_width;    // G
  size_t tower_width;  // H
  std::vector<CoarseWeights> layers;
  std::vector<double> head_weight;  // [out of the last layer]
  double head_bias;
  size_t widest_layer;  // inputs of the first layer included
};

}  // namespace neumf
