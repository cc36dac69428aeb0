#pragma once

// One user's network in 8-bit numbers, and how far its scores can be off.
//
// THEOREM. For every item of the catalog, with the scores of CoarseKernel and
// of scorer.h,
//
//   |coarse score - float32 score| <= error().
//
// So when tau is the K-th best coarse score of the eligible items, each of the
// best K has a coarse score of at least tau - 2 error(): K items have float32
// scores of tau - error() or more.
//
// The proof goes along with the quantization: for each unit of a layer it holds
// where the unit's float32 value and its byte lie and how they are related
// (CoarseUnit), from the first layer to the head. Weights are quantized for
// each user anew, against the ranges that this user's units can reach, and the
// bytes of a layer are scaled to them: grids for all users would make the bound
// too wide to be of use.
//
// Everything is computed in double; its own rounding is far below the margins.

#include <vector>

#include "base/aligned_matrix.h"
#include "scoring/cpu/coarse_items.h"
#include "scoring/cpu/coarse_kernel.h"
#include "scoring/cpu/coarse_network.h"
#include "scoring/scorer.h"

namespace neumf {

// For every item: the unit's float32 value lies in [low, high], its byte in
// [least, most], and value = scale * byte + offset, give or take `error`.
struct CoarseUnit {
  double low = 0;
  double high = 0;
  double least = 0;
  double most = 0;
  double scale = 0;
  double offset = 0;
  double error = 0;
};

// Of the outputs of a layer, before their ReLU. [outputs] each.
struct CoarseSums {
  explicit CoarseSums(size_t widest);

  std::vector<double> low;
  std::vector<double> high;
  std::vector<double> magnitude;  // of all terms together
  std::vector<double> step;       // what 1 in the integer sum stands for
  std::vector<double> inverse_step;
  std::vector<double> bias;   // what the integer sum starts with, times step
  std::vector<double> error;  // |float32 sum - step * integer sum| at most
};

// Belongs to one thread at a time. Keeps its memory over Prepare().
class CoarseUser {
 public:
  // Both must outlive it.
  CoarseUser(const CoarseNetwork& network, const CoarseRanges& ranges);
  CoarseUser(CoarseUser&&) = default;  // a copy would point into the original

  // Takes the user of `query`, whose vectors must stay where they are. False
  // when there is no bound because numbers are not finite or float32 could
  // overflow; then nothing else means anything.
  bool Prepare(const RankQuery& query);

  double error() const { return error_; }
  // Sets what depends on the user alone.
  void Fill(CoarseInput* input) const;

 private:
  struct Layer {
    std::vector<int32_t> weight;
    std::vector<int32_t> bias;
    std::vector<int32_t> shift;
  };

  bool IsInRange() const;
  void QuantizeFirstLayer(const float* user);
  // From the units that a layer reads to its sums: bounds of the float32 values
  // and steps that weights allow; steps and shifts that fit the outputs; the
  // weights; the biases.
  void BoundSums(const CoarseWeights& weights);
  void FitSteps(const CoarseWeights& weights, Layer* layer);
  void QuantizeWeights(const CoarseWeights& weights, Layer* layer);
  void QuantizeBiases(bool is_last, Layer* layer);
  // From the sums to the units that the next layer reads, or to the score.
  void FinishUnits(const Layer& layer);
  void FinishHead();

  const CoarseNetwork& network_;
  const CoarseRanges& ranges_;
  const float* user_gmf_ = nullptr;
  std::vector<int32_t> offsets_;
  std::vector<Layer> layers_;
  std::vector<CoarseLayer> views_;  // of layers_
  std::vector<float> head_;
  double error_ = 0;

  // Of the layer at work.
  std::vector<CoarseUnit> units_;  // that it reads
  CoarseSums sums_;
  std::vector<int32_t> words_;  // [outputs] four weights each
  // All that is summed up on the way to a score, in magnitude.
  double magnitude_ = 0;
};

}  // namespace neumf
