#include "trainer/step/tower_pass.h"

#include <algorithm>

#include "trainer/step/blas.h"
#include "trainer/step/dropout.h"
#include "trainer/step/row_kernels.h"

namespace neumf {
namespace {

// The masks of a batch's user inputs, item inputs and layers from the first.
enum MaskNumber : uint64_t { kUserMask, kItemMask, kFirstLayerMask };

// Far from the seeds of other batches, which may follow one another.
uint64_t MaskSeed(uint64_t batch_seed, uint64_t mask) {
  return batch_seed + mask * 0xD1B54A32D192ED03;
}

// Candidates that go through the layers together.
constexpr size_t kRowsAPass = 512;

Matrix WeightOf(const Parameters& parameters, const ParameterBlock& block) {
  return {parameters.block(block).data(), block.rows, block.cols};
}

void GrowTo(size_t size, std::vector<float>* values) {
  if (values->size() < size) values->resize(size);
}

}  // namespace

TowerHead MakeTowerHead(const Parameters& parameters) {
  const ParameterLayout& layout = parameters.layout();
  const absl::Span<const float> w = parameters.block(layout.tower_head);
  TowerHead head;
  if (layout.linear.weight.empty()) {
    head.weight.assign(w.begin(), w.end());
    return head;
  }
  const absl::Span<const float> a = parameters.block(layout.linear.bias);
  head.weight.assign(layout.linear.weight.cols, 0.0F);
  for (uint64_t r = 0; r < layout.linear.weight.rows; ++r) {
    AddScaled(w[r], parameters.row(layout.linear.weight, r).data(),
              head.weight.size(), head.weight.data());
    head.bias += w[r] * a[r];
  }
  return head;
}

void AddHeadGradient(const Parameters& parameters,
                     absl::Span<const float> d_weight, float d_bias,
                     Gradient* gradient) {
  const ParameterLayout& layout = parameters.layout();
  float* const d_w = gradient->block(layout.tower_head);
  if (layout.linear.weight.empty()) {
    AddScaled(1.0F, d_weight.data(), d_weight.size(), d_w);
    return;
  }
  const absl::Span<const float> w = parameters.block(layout.tower_head);
  const absl::Span<const float> a = parameters.block(layout.linear.bias);
  const size_t width = layout.linear.weight.cols;
  float* const d_matrix = gradient->block(layout.linear.weight);
  float* const d_a = gradient->block(layout.linear.bias);
  for (uint64_t r = 0; r < layout.linear.weight.rows; ++r) {
    AddScaled(w[r], d_weight.data(), width, d_matrix + r * width);
    AddHeadScores(d_weight.data(),
                  parameters.row(layout.linear.weight, r).data(), 1, width,
                  d_w + r);
    d_w[r] += a[r] * d_bias;
    d_a[r] += w[r] * d_bias;
  }
}

void ComputeUserHalves(const Parameters& parameters, const float* user,
                       size_t rows, float* halves) {
  const ParameterLayout& layout = parameters.layout();
  const ParameterBlock& weight = layout.first_user_weight;
  const absl::Span<const float> bias = parameters.block(layout.first_bias);
  for (size_t r = 0; r < rows; ++r) {
    std::copy(bias.begin(), bias.end(), halves + r * weight.rows);
  }
  MatMul({user, rows, weight.cols}, Transpose(WeightOf(parameters, weight)),
         /*accumulate=*/true, halves, weight.rows);
}

void ComputeItemHalves(const Parameters& parameters, const float* item,
                       size_t rows, float* halves) {
  const ParameterBlock& weight = parameters.layout().first_item_weight;
  MatMul({item, rows, weight.cols}, Transpose(WeightOf(parameters, weight)),
         /*accumulate=*/false, halves, weight.rows);
}

void UserHalvesGradient(const Parameters& parameters, const float* user,
                        const float* d_halves, size_t rows, float* d_user,
                        float* d_dense, size_t dense_begin) {
  const ParameterLayout& layout = parameters.layout();
  const ParameterBlock& weight = layout.first_user_weight;
  const Matrix d(d_halves, rows, weight.rows);
  AddColumnSums(d_halves, rows, weight.rows,
                d_dense + layout.first_bias.offset - dense_begin);
  MatMul(Transpose(d), {user, rows, weight.cols}, /*accumulate=*/true,
         d_dense + weight.offset - dense_begin, weight.cols);
  MatMul(d, WeightOf(parameters, weight), /*accumulate=*/false, d_user,
         weight.cols);
}

void ItemHalvesGradient(const Parameters& parameters, const float* item,
                        const float* d_halves, size_t rows, float* d_item,
                        float* d_dense, size_t dense_begin) {
  const ParameterBlock& weight = parameters.layout().first_item_weight;
  const Matrix d(d_halves, rows, weight.rows);
  MatMul(Transpose(d), {item, rows, weight.cols}, /*accumulate=*/true,
         d_dense + weight.offset - dense_begin, weight.cols);
  MatMul(d, WeightOf(parameters, weight), /*accumulate=*/false, d_item,
         weight.cols);
}

TowerPass::TowerPass(const Parameters* parameters, double dropout)
    : parameters_(parameters),
      dropout_(dropout),
      values_(parameters->spec().hidden.size()),
      gradients_(parameters->spec().hidden.size()) {}

void TowerPass::DropUsers(uint64_t seed, size_t first_row, size_t rows,
                          float* x) const {
  const size_t width = parameters_->spec().user_tower_factors;
  ApplyDropout(dropout_, MaskSeed(seed, kUserMask), first_row * width,
               rows * width, x);
}

void TowerPass::DropItems(uint64_t seed, size_t first_row, size_t rows,
                          float* x) const {
  const size_t width = parameters_->spec().item_tower_factors;
  ApplyDropout(dropout_, MaskSeed(seed, kItemMask), first_row * width,
               rows * width, x);
}

void TowerPass::DropLayer(const Rows& rows, size_t layer, float* x) const {
  const size_t width = parameters_->spec().hidden[layer];
  ApplyDropout(dropout_, MaskSeed(rows.dropout_seed, kFirstLayerMask + layer),
               rows.place * width, rows.count * width, x);
}

float* TowerPass::ValuesOf(const Rows& rows, size_t layer) {
  return values_[layer].data() + rows.begin * parameters_->spec().hidden[layer];
}

void TowerPass::MakeRoom(size_t num_pairs) {
  for (size_t l = 0; l < values_.size(); ++l) {
    GrowTo(num_pairs * parameters_->spec().hidden[l], &values_[l]);
  }
}

void TowerPass::ForwardLayers(const Rows& rows, const TowerHead& head,
                              float* scores) {
  const ModelSpec& spec = parameters_->spec();
  DropLayer(rows, 0, ValuesOf(rows, 0));
  for (size_t l = 1; l < spec.hidden.size(); ++l) {
    const ParameterLayout::Dense& layer = parameters_->layout().layers[l - 1];
    const size_t out = spec.hidden[l];
    float* const values = ValuesOf(rows, l);
    MatMul({ValuesOf(rows, l - 1), rows.count, spec.hidden[l - 1]},
           Transpose(WeightOf(*parameters_, layer.weight)),
           /*accumulate=*/false, values, out);
    ShiftAndActivate(values, parameters_->block(layer.bias).data(), 1,
                     rows.count, out, spec.activation, values);
    DropLayer(rows, l, values);
  }
  AddHeadScores(ValuesOf(rows, spec.hidden.size() - 1), head.weight.data(),
                rows.count, spec.hidden.back(), scores + rows.begin);
}

void TowerPass::BackwardLayer(const Rows& rows, size_t layer, float* d_dense,
                              size_t dense_begin) {
  const ModelSpec& spec = parameters_->spec();
  const ParameterBlock& weight = parameters_->layout().layers[layer - 1].weight;
  const size_t in = spec.hidden[layer - 1];
  const Matrix d_out(gradients_[layer].data(), rows.count, spec.hidden[layer]);
  MatMul(Transpose(d_out), {ValuesOf(rows, layer - 1), rows.count, in},
         /*accumulate=*/true, d_dense + weight.offset - dense_begin, in);
  GrowTo(rows.count * in, &gradients_[layer - 1]);
  MatMul(d_out, WeightOf(*parameters_, weight), /*accumulate=*/false,
         gradients_[layer - 1].data(), in);
}

void TowerPass::BackwardLayers(const Rows& rows, const TowerHead& head,
                               const float* d_scores, float* d_head,
                               float* d_dense, size_t dense_begin) {
  const ModelSpec& spec = parameters_->spec();
  const size_t last = spec.hidden.size() - 1;
  // A kept value was divided by the share of the kept; the derivative wants it
  // as the activation gave it.
  const auto kept = static_cast<float>(1 - dropout_);
  GrowTo(rows.count * spec.hidden[last], &gradients_[last]);
  HeadGradient(ValuesOf(rows, last), head.weight.data(), d_scores + rows.begin,
               rows.count, spec.hidden[last], gradients_[last].data(), d_head);
  for (size_t l = last + 1; l-- > 0;) {
    float* const d_values = gradients_[l].data();
    DropLayer(rows, l, d_values);
    float* d_bias = nullptr;  // the first layer's is the user half's matter
    if (l > 0) {
      d_bias = d_dense + parameters_->layout().layers[l - 1].bias.offset -
               dense_begin;
    }
    ActivationGradient(ValuesOf(rows, l), kept, rows.count, spec.hidden[l],
                       spec.activation, d_values, d_bias);
    if (l > 0) BackwardLayer(rows, l, d_dense, dense_begin);
  }
}

void TowerPass::Forward(const TowerChunk& chunk, const TowerHead& head,
                        float* scores) {
  const size_t first_pair = chunk.first_group * chunk.group_size;
  const Rows rows = {first_pair, 0, chunk.num_pairs(), chunk.dropout_seed};
  DropUsers(chunk.dropout_seed, chunk.first_group, chunk.num_groups,
            chunk.user);
  DropItems(chunk.dropout_seed, first_pair, rows.count, chunk.item);
  const size_t h1 = parameters_->spec().hidden[0];
  GrowTo(chunk.num_groups * h1, &user_half_);
  MakeRoom(rows.count);
  float* const first = values_[0].data();
  ComputeUserHalves(*parameters_, chunk.user, chunk.num_groups,
                    user_half_.data());
  ComputeItemHalves(*parameters_, chunk.item, rows.count, first);
  ShiftAndActivate(first, user_half_.data(), chunk.num_groups, chunk.group_size,
                   h1, parameters_->spec().activation, first);
  ForwardLayers(rows, head, scores);
}

void TowerPass::Backward(const TowerChunk& chunk, const TowerHead& head,
                         const float* d_scores, float* d_user, float* d_item,
                         float* d_head, float* d_dense, size_t dense_begin) {
  const size_t h1 = parameters_->spec().hidden[0];
  const size_t first_pair = chunk.first_group * chunk.group_size;
  const Rows rows = {first_pair, 0, chunk.num_pairs(), chunk.dropout_seed};
  BackwardLayers(rows, head, d_scores, d_head, d_dense, dense_begin);
  const float* const d_first = gradients_[0].data();
  SumGroups(d_first, chunk.num_groups, chunk.group_size, h1, user_half_.data());
  UserHalvesGradient(*parameters_, chunk.user, user_half_.data(),
                     chunk.num_groups, d_user, d_dense, dense_begin);
  ItemHalvesGradient(*parameters_, chunk.item, d_first, rows.count, d_item,
                     d_dense, dense_begin);
  DropUsers(chunk.dropout_seed, chunk.first_group, chunk.num_groups, d_user);
  DropItems(chunk.dropout_seed, first_pair, rows.count, d_item);
}

void TowerPass::Forward(const TowerRow& row, const TowerHead& head,
                        float* scores) {
  const size_t h1 = parameters_->spec().hidden[0];
  MakeRoom(row.num_candidates);
  for (size_t c = 0; c < row.num_candidates; c += kRowsAPass) {
    const Rows rows = RowsOf(row, c);
    ShiftAndActivate(row.item_half + c * h1, row.user_half, 1, rows.count, h1,
                     parameters_->spec().activation, ValuesOf(rows, 0));
    ForwardLayers(rows, head, scores);
  }
}

void TowerPass::Backward(const TowerRow& row, const TowerHead& head,
                         const float* d_scores, float* d_user_half,
                         float* d_item_half, float* d_head, float* d_dense,
                         size_t dense_begin) {
  const size_t h1 = parameters_->spec().hidden[0];
  std::fill_n(d_user_half, h1, 0.0F);
  for (size_t c = 0; c < row.num_candidates; c += kRowsAPass) {
    const Rows rows = RowsOf(row, c);
    BackwardLayers(rows, head, d_scores, d_head, d_dense, dense_begin);
    const float* const d_first = gradients_[0].data();
    AddColumnSums(d_first, rows.count, h1, d_user_half);
    AddScaled(1.0F, d_first, rows.count * h1, d_item_half + c * h1);
  }
}

TowerPass::Rows TowerPass::RowsOf(const TowerRow& row, size_t begin) {
  return {row.group * row.num_candidates + begin, begin,
          std::min(kRowsAPass, row.num_candidates - begin), row.dropout_seed};
}

}  // namespace neumf
