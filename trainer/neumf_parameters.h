#pragma once

// The trained numbers of a NeuMF model, as one flat vector.
//
// The model (He et al. 2017, in the form of "Dive into Deep Learning"): with
// the user's vectors p, e and the item's q, f, where p, q are k and e, f are m
// wide,
//
//   z1 = relu(Wu e + Wi f + b1)      [Wu Wi] is the first layer's weight
//   zl = relu(Wl z(l-1) + bl)        l = 2 .. L
//   score = hg . (p * q) + hz . zL   (hg hz) is the output layer's weight,
//                                    which has no bias
//
// Everything is float32, so an optimizer sees one array, LibTorch sees tensors
// over its pieces, and the fold to the serving form needs neither.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "trainer/random.h"

namespace neumf {

struct NeuMfShape {
  uint64_t num_users = 0;        // U
  uint64_t num_items = 0;        // I
  uint32_t factors = 0;          // k
  uint32_t tower_factors = 0;    // m
  std::vector<uint32_t> hidden;  // H1 .. HL, at least one
};

// A row-major matrix within the flat vector.
struct NeuMfBlock {
  size_t offset = 0;
  uint64_t rows = 0;
  uint64_t cols = 0;

  size_t size() const { return rows * cols; }
};

// Where the pieces lie, in the order in which they lie.
struct NeuMfLayout {
  struct Dense {
    NeuMfBlock weight;  // [out, in]
    NeuMfBlock bias;    // [1, out]
  };

  explicit NeuMfLayout(const NeuMfShape& shape);

  NeuMfBlock user_gmf;           // p [U, k]
  NeuMfBlock item_gmf;           // q [I, k]
  NeuMfBlock user_mlp;           // e [U, m]
  NeuMfBlock item_mlp;           // f [I, m]
  NeuMfBlock first_user_weight;  // Wu [H1, m]
  NeuMfBlock first_item_weight;  // Wi [H1, m]
  NeuMfBlock first_bias;         // b1 [1, H1]
  std::vector<Dense> layers;     // layers 2 .. L
  NeuMfBlock gmf_head;           // hg [1, k]
  NeuMfBlock mlp_head;           // hz [1, HL]
  size_t size = 0;
};

// Belongs to one thread while it is written to.
class NeuMfParameters {
 public:
  // All zero.
  explicit NeuMfParameters(const NeuMfShape& shape)
      : shape_(shape), layout_(shape), values_(layout_.size) {}

  const NeuMfShape& shape() const { return shape_; }
  const NeuMfLayout& layout() const { return layout_; }

  // The vector never moves.
  absl::Span<float> values() { return absl::MakeSpan(values_); }
  absl::Span<const float> values() const { return values_; }
  // Row `row` of a block, [cols].
  absl::Span<const float> row(const NeuMfBlock& block, uint64_t row) const {
    return values().subspan(block.offset + row * block.cols, block.cols);
  }

  // Weights and embeddings N(0, .01), biases U(-1/sqrt(in), 1/sqrt(in)) with
  // `in` the inputs of the layer. Zero biases would not do: with weights this
  // small the tower stays dead.
  void Initialize(Random& random);

 private:
  absl::Span<float> values_of(const NeuMfBlock& block) {
    return values().subspan(block.offset, block.size());
  }

  NeuMfShape shape_;
  NeuMfLayout layout_;
  std::vector<float> values_;
};

}  // namespace neumf
