#pragma once

// The trained numbers of a model, as one flat float32 vector: an optimizer sees
// one array, LibTorch sees tensors over its pieces, and the fold to the serving
// form needs neither.
//
// The blocks that hold a row an entity are tables; a batch touches few of their
// rows. The others are dense: a batch touches all of them.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "trainer/model/model_spec.h"
#include "trainer/random.h"

namespace neumf {

// A row-major matrix within the flat vector. Empty (rows or cols 0) when the
// model has no such part.
struct ParameterBlock {
  std::string name;
  size_t offset = 0;
  uint64_t rows = 0;
  uint64_t cols = 0;
  bool is_table = false;

  size_t size() const { return rows * cols; }
  bool empty() const { return size() == 0; }
};

// Where the pieces lie, in the order in which they lie.
struct ParameterLayout {
  struct Dense {
    ParameterBlock weight;  // [out, in]
    ParameterBlock bias;    // [1, out]
  };

  explicit ParameterLayout(const ModelSpec& spec);

  // Tables. Rows of the user's: U users, Fu features, then I items as history
  // (none without it; the bias has no history rows). Of the item's: I items, Fi
  // features.
  ParameterBlock user_gmf;    // p [U + Fu + I, k]
  ParameterBlock item_gmf;    // q [I + Fi, k]
  ParameterBlock user_tower;  // e [U + Fu + I, user_tower_factors]
  ParameterBlock item_tower;  // f [I + Fi, item_tower_factors]
  ParameterBlock user_bias;   // bu [U + Fu, 1]
  ParameterBlock item_bias;   // bi [I + Fi, 1]

  // Dense.
  ParameterBlock first_user_weight;  // Wu [H1, user_tower_factors]
  ParameterBlock first_item_weight;  // Wi [H1, item_tower_factors]
  ParameterBlock first_bias;         // b1 [1, H1]
  std::vector<Dense> layers;         // layers 2 .. L
  Dense linear;                      // A, a
  ParameterBlock gmf_head;           // h [1, k]
  ParameterBlock tower_head;         // w [1, linear_width or HL]
  ParameterBlock global_bias;        // b [1, 1]

  size_t size = 0;

  // All that are not empty, in the order in which they lie.
  std::vector<const ParameterBlock*> Blocks() const;
};

// How weights start. Everything else is a matter of the table below.
enum class Initialization {
  kD2l,     // weights N(0, .01), biases U(+-1/sqrt(in)): "Dive into Deep
            // Learning". Zero biases would not do: with weights this small the
            // tower stays dead
  kNcf,     // embeddings N(0, .01), hidden layers Glorot uniform, output
            // U(+-sqrt(3/in)), biases 0: He et al. 2017
  kTorch,   // embeddings N(0, 1), dense weights and biases U(+-1/sqrt(in))
  kKeras,   // embeddings U(+-.05), dense Glorot uniform, biases 0
  kNormal,  // embeddings N(0, .1 / sqrt(width)), dense as kNcf
};

// Belongs to one thread while it is written to.
class Parameters {
 public:
  // All zero.
  explicit Parameters(const ModelSpec& spec);

  const ModelSpec& spec() const { return spec_; }
  const ParameterLayout& layout() const { return layout_; }

  // The vector never moves.
  absl::Span<float> values() { return absl::MakeSpan(values_); }
  absl::Span<const float> values() const { return values_; }
  absl::Span<float> block(const ParameterBlock& block) {
    return values().subspan(block.offset, block.size());
  }
  absl::Span<const float> block(const ParameterBlock& block) const {
    return values().subspan(block.offset, block.size());
  }
  // Row `row` of a block, [cols].
  absl::Span<const float> row(const ParameterBlock& block, uint64_t row) const {
    return values().subspan(block.offset + row * block.cols, block.cols);
  }

  // `embedding_scale` > 0 replaces the spread of the embeddings. Bias tables,
  // the global bias and history rows start at 0, a learned h as the output
  // layer does; with kNormal h starts at 1.
  void Initialize(Initialization how, double embedding_scale, Random& random);

 private:
  ModelSpec spec_;
  ParameterLayout layout_;
  std::vector<float> values_;
};

}  // namespace neumf
