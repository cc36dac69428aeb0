#include "trainer/fold.h"

#include <algorithm>

#include "absl/types/span.h"

namespace neumf {
namespace {

std::vector<float> Copy(const NeuMfParameters& parameters,
                        const NeuMfBlock& block) {
  const absl::Span<const float> values =
      parameters.values().subspan(block.offset, block.size());
  return std::vector<float>(values.begin(), values.end());
}

// Row r is weight * embedding[r] + bias; an empty bias is 0. [rows, H1]
AlignedMatrix FoldTower(const NeuMfParameters& parameters,
                        const NeuMfBlock& embedding, const NeuMfBlock& weight,
                        absl::Span<const float> bias) {
  AlignedMatrix tower(embedding.rows, static_cast<uint32_t>(weight.rows));
  for (uint64_t r = 0; r < embedding.rows; ++r) {
    const absl::Span<const float> in = parameters.row(embedding, r);
    const absl::Span<float> out = tower.row(r);
    for (uint64_t o = 0; o < weight.rows; ++o) {
      const absl::Span<const float> weights = parameters.row(weight, o);
      double sum = bias.empty() ? 0.0 : double{bias[o]};
      for (uint64_t k = 0; k < weight.cols; ++k) {
        sum += double{weights[k]} * double{in[k]};
      }
      out[o] = static_cast<float>(sum);
    }
  }
  return tower;
}

// Row r is embedding[r], column k times scale[k].
AlignedMatrix FoldGmf(const NeuMfParameters& parameters,
                      const NeuMfBlock& embedding,
                      absl::Span<const float> scale) {
  AlignedMatrix gmf(embedding.rows, static_cast<uint32_t>(embedding.cols));
  for (uint64_t r = 0; r < embedding.rows; ++r) {
    const absl::Span<const float> in = parameters.row(embedding, r);
    const absl::Span<float> out = gmf.row(r);
    for (uint64_t k = 0; k < embedding.cols; ++k) {
      out[k] = static_cast<float>(double{in[k]} * double{scale[k]});
    }
  }
  return gmf;
}

DenseLayer FoldLayer(const NeuMfParameters& parameters,
                     const NeuMfLayout::Dense& layer) {
  DenseLayer folded;
  folded.in = static_cast<uint32_t>(layer.weight.cols);
  folded.out = static_cast<uint32_t>(layer.weight.rows);
  folded.weight = Copy(parameters, layer.weight);
  folded.bias = Copy(parameters, layer.bias);
  return folded;
}

}  // namespace

FoldedModel Fold(const NeuMfParameters& parameters) {
  const NeuMfShape& shape = parameters.shape();
  const NeuMfLayout& layout = parameters.layout();

  FoldedModel folded;
  folded.shape.num_users = shape.num_users;
  folded.shape.num_items = shape.num_items;
  folded.shape.gmf_width = shape.factors;
  folded.shape.tower_widths = shape.hidden;

  const std::vector<float> ones(shape.factors, 1.0F);
  folded.users.gmf = FoldGmf(parameters, layout.user_gmf, ones);
  folded.items.gmf =
      FoldGmf(parameters, layout.item_gmf, parameters.row(layout.gmf_head, 0));
  folded.users.tower =
      FoldTower(parameters, layout.user_mlp, layout.first_user_weight,
                parameters.row(layout.first_bias, 0));
  folded.items.tower = FoldTower(parameters, layout.item_mlp,
                                 layout.first_item_weight, /*bias=*/{});

  for (const NeuMfLayout::Dense& layer : layout.layers) {
    folded.network.layers.push_back(FoldLayer(parameters, layer));
  }
  folded.network.head_weight = Copy(parameters, layout.mlp_head);
  return folded;
}

}  // namespace neumf
