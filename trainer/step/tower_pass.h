#pragma once

// Forward and backward through the tower. The first layer is a sum of two
// halves: the user's is computed once for a positive and its negatives, and the
// item's once for all groups when they share the candidates.
//
// Belongs to one thread at a time; a step has one a thread.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "trainer/model/parameters.h"
#include "trainer/step/gradient.h"

namespace neumf {

// The output weights that the tower's last layer meets: w, or A^T w when the
// tower ends in a linear layer, which therefore costs a pair nothing.
struct TowerHead {
  std::vector<float> weight;  // [HL]
  float bias = 0;             // w . a; 0 without the linear layer
};

TowerHead MakeTowerHead(const Parameters& parameters);

// Adds to the gradient of w, A and a what follows from that by the head's
// weight and bias.
void AddHeadGradient(const Parameters& parameters,
                     absl::Span<const float> d_weight, float d_bias,
                     Gradient* gradient);

// The embeddings of a chunk of a batch: B groups of S pairs each, N = B * S.
struct TowerChunk {
  size_t num_groups = 0;
  size_t group_size = 0;
  float* user = nullptr;  // [B, user_tower_factors]: dropout changes it
  float* item = nullptr;  // [N, item_tower_factors]: so does it this
  // Of the dropout masks; the place of the first group in the batch.
  uint64_t dropout_seed = 0;
  size_t first_group = 0;

  size_t num_pairs() const { return num_groups * group_size; }
};

// One group against C candidates whose item halves are known.
struct TowerRow {
  size_t num_candidates = 0;
  const float* user_half = nullptr;  // Wu e + b1 [H1]
  const float* item_half = nullptr;  // Wi f [C, H1]
  uint64_t dropout_seed = 0;
  size_t group = 0;  // its place in the batch
};

// Wu e + b1 of each row of `user` [rows, user_tower_factors], and Wi f of each
// row of `item`: [rows, H1].
void ComputeUserHalves(const Parameters& parameters, const float* user,
                       size_t rows, float* halves);
void ComputeItemHalves(const Parameters& parameters, const float* item,
                       size_t rows, float* halves);

// The gradients of the two: fill d_user or d_item and add to `d_dense`, which
// holds the gradient of the dense blocks: that of a block begins at its offset
// less `dense_begin`.
void UserHalvesGradient(const Parameters& parameters, const float* user,
                        const float* d_halves, size_t rows, float* d_user,
                        float* d_dense, size_t dense_begin);
void ItemHalvesGradient(const Parameters& parameters, const float* item,
                        const float* d_halves, size_t rows, float* d_item,
                        float* d_dense, size_t dense_begin);

class TowerPass {
 public:
  TowerPass(const Parameters* parameters, double dropout);

  // Adds the tower's scores, without the head's bias. scores [N] or [C].
  void Forward(const TowerChunk& chunk, const TowerHead& head, float* scores);
  void Forward(const TowerRow& row, const TowerHead& head, float* scores);

  // After Forward() of the same chunk. Fills d_user and d_item, shaped as the
  // chunk's, adds to d_head [HL] and to `d_dense`, as above.
  void Backward(const TowerChunk& chunk, const TowerHead& head,
                const float* d_scores, float* d_user, float* d_item,
                float* d_head, float* d_dense, size_t dense_begin);
  // After Forward() of the same row. Fills d_user_half [H1] and adds to
  // d_item_half [C, H1], d_head and `d_dense`.
  void Backward(const TowerRow& row, const TowerHead& head,
                const float* d_scores, float* d_user_half, float* d_item_half,
                float* d_head, float* d_dense, size_t dense_begin);

  // Drops from the inputs as training does; the same call on the gradients
  // undoes it. `first_row` is the place of the first row in the batch.
  void DropUsers(uint64_t seed, size_t first_row, size_t rows, float* x) const;
  void DropItems(uint64_t seed, size_t first_row, size_t rows, float* x) const;

 private:
  // Pairs that go through layers 2 .. L together, few enough to stay in a
  // core's cache from one layer to the next.
  struct Rows {
    size_t place = 0;  // in the batch, of the first
    size_t begin = 0;  // in values_
    size_t count = 0;
    uint64_t dropout_seed = 0;
  };

  static Rows RowsOf(const TowerRow& row, size_t begin);
  float* ValuesOf(const Rows& rows, size_t layer);
  void MakeRoom(size_t num_pairs);

  void ForwardLayers(const Rows& rows, const TowerHead& head, float* scores);
  // Leaves the gradient by what layer 1 activates in gradients_[0].
  void BackwardLayers(const Rows& rows, const TowerHead& head,
                      const float* d_scores, float* d_head, float* d_dense,
                      size_t dense_begin);
  void BackwardLayer(const Rows& rows, size_t layer, float* d_dense,
                     size_t dense_begin);
  void DropLayer(const Rows& rows, size_t layer, float* x) const;

  const Parameters* const parameters_;
  const double dropout_;
  std::vector<float> user_half_;               // [B, H1]
  std::vector<std::vector<float>> values_;     // of layer l, [N, Hl]
  std::vector<std::vector<float>> gradients_;  // by those of some rows
};

}  // namespace neumf
