#pragma once

// All of a model's coarse form (kernels/views.h) but the items: the network in
// halves, with how far each of them is off, and the ranges of the items. It is
// one run of bytes, which a single copy takes to the device.
//
//   std::optional<CoarseNetwork> network =
//       CoarseNetwork::Make(tower, shape, score_network, ranges);
//   ... allocate what CoarseBytesOf() says, copy network->image() there ...
//   Launch(stream, grid, network->PackTower(places, item_tower));
//   Launch(stream, grid, network->PackGmf(places, item_gmf));
//   Launch(stream, grid, network->PackStarts(places, item_bias));
//   const CoarseModel model = network->ModelAt(places);
//
// Immutable once made.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "model/serving_model.h"
#include "scoring/cuda/coarse_scales.h"
#include "scoring/cuda/kernels/pack_items.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/tower_fit.h"

namespace neumf::cuda {

// Of the parts of a coarse form; 0 for parts that it does not have.
struct CoarseBytes {
  uint64_t image = 0;
  uint64_t item_tower = 0;
  uint64_t item_gmf = 0;
  uint64_t item_start = 0;

  uint64_t total() const { return image + item_tower + item_gmf + item_start; }
};
// REQUIRES: `tower` is FitTower()'s, not kUntuned.
CoarseBytes CoarseBytesOf(TunedTower tower, const ModelShape& shape);

// Where they lie on the device, each aligned to 16 bytes; null for parts of no
// bytes.
struct CoarsePlaces {
  std::byte* image = nullptr;
  Words4* item_tower = nullptr;
  Words2* item_gmf = nullptr;
  float* item_start = nullptr;
};

// Where the parts of an image lie, in bytes from its start.
struct CoarseLayout {
  struct Layer {
    uint32_t in = 0;
    uint32_t out = 0;
    size_t weight = 0, bias = 0, value = 0, error = 0;
  };

  CoarseLayout(TunedTower tower, uint32_t gmf_width);

  uint32_t head_width = 0;  // 0 without a tower
  std::vector<Layer> layers;
  size_t head = 0, head_value = 0, head_error = 0;
  size_t tower_range = 0, gmf_range = 0;
  size_t bytes = 0;  // of the image
};

class CoarseNetwork {
 public:
  // None where the network's own numbers are too far apart for halves: what it
  // makes of activations that are all 0 would overflow them, and would reach
  // other users' scores as NaN. REQUIRES: `tower` is FitTower()'s, not kUntuned;
  // all numbers are finite.
  static std::optional<CoarseNetwork> Make(TunedTower tower,
                                           const ModelShape& shape,
                                           const ScoreNetwork& network,
                                           const ItemRanges& ranges);

  const CoarseScales& scales() const { return scales_; }
  // [CoarseBytesOf().image]
  absl::Span<const std::byte> image() const { return image_; }

  // What writes the items, from their exact tables [I, H], [I, G] and [I] on the
  // device; `item_bias` may be null. After the image is in its place, in any
  // order, with any number of blocks; where the part has no bytes, not at all.
  PackTowerItems PackTower(const CoarsePlaces& places,
                           const float* item_tower) const;
  PackGmfItems PackGmf(const CoarsePlaces& places, const float* item_gmf) const;
  PackItemStarts PackStarts(const CoarsePlaces& places,
                            const float* item_bias) const;

  CoarseModel ModelAt(const CoarsePlaces& places) const;

 private:
  CoarseNetwork(TunedTower tower, const ModelShape& shape,
                const ScoreNetwork& network, const ItemRanges& ranges);

  // False where zeros become too much.
  bool PackTowerWeights(const ScoreNetwork& network);

  uint32_t gmf_steps() const { return (gmf_width_ + 7) / 8; }

  CoarseLayout layout_;
  CoarseScales scales_;
  uint32_t num_items_;
  uint32_t tuned_width_;  // Hp
  uint32_t tower_width_;  // H
  uint32_t gmf_width_;    // G
  float head_bias_;
  float start_magnitude_ = 0;
  std::vector<std::byte> image_;
};

}  // namespace neumf::cuda
