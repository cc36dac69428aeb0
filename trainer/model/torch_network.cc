#include "trainer/model/torch_network.h"

// The operations one by one: all of LibTorch would take five times as long to
// build.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include "base/logging.h"

namespace neumf {
namespace {

// As LibTorch's normalize(): a zero vector stays one.
constexpr double kMinNorm = 1e-12;

// LibTorch takes pointers to what it only reads as mutable ones.
template <typename T>
at::Tensor ViewOf(const std::vector<T>& values, at::ScalarType type) {
  return at::from_blob(const_cast<T*>(values.data()),
                       {static_cast<int64_t>(values.size())}, type);
}

at::Tensor ViewOf(float* values, const ParameterBlock& block) {
  return at::from_blob(
      values + block.offset,
      {static_cast<int64_t>(block.rows), static_cast<int64_t>(block.cols)},
      at::kFloat);
}

void AddTo(const at::Tensor& part, at::Tensor* sum) {
  *sum = sum->defined() ? *sum + part : part;
}

}  // namespace

at::Tensor ViewOf(const std::vector<float>& values) {
  return ViewOf(values, at::kFloat);
}

Dropout::Dropout(double rate, uint64_t seed)
    : rate_(rate), generator_(at::detail::createCPUGenerator(seed)) {}

at::Tensor Dropout::operator()(const at::Tensor& x) const {
  if (rate_ == 0) return x;
  // Drawn here, so that every device drops the same.
  const at::Tensor mask =
      at::empty_like(x, x.options().device(at::kCPU).requires_grad(false))
          .bernoulli_(1 - rate_, generator_);
  return x * mask.to(x.device()) / (1 - rate_);
}

std::unique_ptr<TorchNetwork> TorchNetwork::WithGradient(
    Parameters* parameters) {
  float* const values = parameters->values().data();
  return std::unique_ptr<TorchNetwork>(new TorchNetwork(
      *parameters, at::kFloat, at::kCPU, [&](const ParameterBlock& block) {
        return ViewOf(values, block).requires_grad_();
      }));
}

std::unique_ptr<TorchNetwork> TorchNetwork::WithGradientOn(
    const at::Device& device, Parameters* parameters) {
  float* const values = parameters->values().data();
  return std::unique_ptr<TorchNetwork>(new TorchNetwork(
      *parameters, at::kFloat, device, [&](const ParameterBlock& block) {
        return at::empty_like(ViewOf(values, block), at::TensorOptions(device))
            .requires_grad_();
      }));
}

std::unique_ptr<TorchNetwork> TorchNetwork::InFloat64(Parameters* parameters) {
  float* const values = parameters->values().data();
  return std::unique_ptr<TorchNetwork>(new TorchNetwork(
      *parameters, at::kDouble, at::kCPU, [&](const ParameterBlock& block) {
        const at::Tensor view = ViewOf(values, block);
        return block.is_table ? view : view.to(at::kDouble);
      }));
}

TorchNetwork::TorchNetwork(const Parameters& parameters, at::ScalarType dtype,
                           const at::Device& device, MakeTensor make_tensor)
    : spec_(parameters.spec()),
      dtype_(dtype),
      options_(at::TensorOptions(device).dtype(dtype)) {
  const ParameterLayout& layout = parameters.layout();
  const auto make = [&](const ParameterBlock& block) {
    if (block.empty()) return at::Tensor();
    leaves_.push_back({block, make_tensor(block)});
    return leaves_.back().tensor;
  };
  user_ = {make(layout.user_gmf), make(layout.user_tower),
           make(layout.user_bias), make(layout.first_user_weight)};
  item_ = {make(layout.item_gmf), make(layout.item_tower),
           make(layout.item_bias), make(layout.first_item_weight)};
  first_bias_ = make(layout.first_bias);
  for (const ParameterLayout::Dense& layer : layout.layers) {
    layers_.push_back({make(layer.weight), make(layer.bias)});
  }
  linear_ = {make(layout.linear.weight), make(layout.linear.bias)};
  gmf_head_ = make(layout.gmf_head);
  tower_head_ = make(layout.tower_head);
  global_bias_ = make(layout.global_bias);
}

void TorchNetwork::SetGradient(Gradient* gradient) {
  for (Leaf& leaf : leaves_) {
    leaf.tensor.mutable_grad() =
        gradient == nullptr ? at::Tensor()
                            : ViewOf(gradient->values().data(), leaf.block);
  }
}

void TorchNetwork::Refresh(Parameters* parameters) {
  const at::NoGradGuard no_grad;
  for (Leaf& leaf : leaves_) {
    leaf.tensor.copy_(ViewOf(parameters->values().data(), leaf.block));
    leaf.tensor.mutable_grad() = at::Tensor();
  }
}

void TorchNetwork::TakeGradient(Gradient* gradient) const {
  for (const Leaf& leaf : leaves_) {
    if (!leaf.tensor.grad().defined()) continue;
    ViewOf(gradient->values().data(), leaf.block).copy_(leaf.tensor.grad());
  }
}

SideTensors TorchNetwork::Users(const BagList& bags, const Dropout& dropout,
                                bool with_squares) const {
  SideTensors users = Gather(user_, bags, dropout, with_squares);
  if (users.hidden.defined()) users.hidden = users.hidden + first_bias_;
  return users;
}

SideTensors TorchNetwork::Items(const BagList& bags, const Dropout& dropout,
                                bool with_squares) const {
  return Gather(item_, bags, dropout, with_squares);
}

at::Tensor TorchNetwork::Score(const SideTensors& users,
                               const SideTensors& items, int64_t num_users,
                               int64_t num_items, bool shared,
                               const Dropout& dropout) const {
  at::Tensor scores = at::zeros({num_users, num_items}, options_);
  if (spec_.has_product()) {
    at::Tensor p = users.gmf;
    if (gmf_head_.defined()) p = p * gmf_head_;
    scores = scores + (shared ? p.matmul(items.gmf.t())
                              : items.gmf.view({num_users, num_items, -1})
                                    .matmul(p.unsqueeze(2))
                                    .squeeze(2));
  }
  if (spec_.has_tower()) {
    const at::Tensor hidden = items.hidden.view(
        {shared ? 1 : num_users, num_items, items.hidden.size(1)});
    scores = scores + Tower(users.hidden.unsqueeze(1) + hidden, dropout);
  }
  if (users.terms.defined()) scores = scores + users.terms.unsqueeze(1);
  if (items.terms.defined()) {
    scores = scores + items.terms.view({shared ? 1 : num_users, num_items});
  }
  if (global_bias_.defined()) scores = scores + global_bias_;
  return scores;
}

SideTensors TorchNetwork::Gather(const SideTables& tables, const BagList& bags,
                                 const Dropout& dropout,
                                 bool with_squares) const {
  SideTensors side;
  at::Tensor* const squares = with_squares ? &side.squares : nullptr;
  if (tables.bias.defined()) {
    side.terms =
        SumBags(tables.bias, bags.biases, bags.size, squares).squeeze(1);
  }
  if (tables.gmf.defined()) {
    side.gmf = SumBags(tables.gmf, bags.all, bags.size, squares);
    if (spec_.feature_interactions) {
      AddTo(Within(tables.gmf, bags, side.gmf), &side.terms);
    }
    if (spec_.cosine) {
      side.gmf =
          side.gmf / side.gmf.norm(2, 1, /*keepdim=*/true).clamp_min(kMinNorm);
    }
  }
  if (tables.tower.defined()) {
    const at::Tensor sum = SumBags(tables.tower, bags.all, bags.size, squares);
    side.hidden = at::linear(dropout(sum), tables.first_weight);
  }
  return side;
}

at::Tensor TorchNetwork::Here(const at::Tensor& view) const {
  return view.to(options_.device());
}

at::Tensor TorchNetwork::Rows(const at::Tensor& table,
                              const WeightedRows& rows) const {
  return table.index_select(0, Here(ViewOf(rows.rows, at::kLong))).to(dtype_);
}

at::Tensor TorchNetwork::SumByOwner(const at::Tensor& parts,
                                    const WeightedRows& rows,
                                    int64_t size) const {
  if (rows.is_identity) return parts;
  std::vector<int64_t> shape = parts.sizes().vec();
  shape[0] = size;
  return at::zeros(shape, options_)
      .index_add(0, Here(ViewOf(rows.owners, at::kLong)), parts);
}

at::Tensor TorchNetwork::Weigh(const at::Tensor& parts,
                               const WeightedRows& rows) const {
  if (rows.is_identity) return parts;
  return parts * Here(ViewOf(rows.weights, at::kFloat)).unsqueeze(1);
}

at::Tensor TorchNetwork::SumBags(const at::Tensor& table,
                                 const WeightedRows& rows, int64_t size,
                                 at::Tensor* squares) const {
  const at::Tensor parts = Rows(table, rows);
  if (squares != nullptr) {
    const at::Tensor norms = Weigh(parts.square().sum(1, true), rows);
    AddTo(SumByOwner(norms, rows, size).squeeze(1), squares);
  }
  return SumByOwner(Weigh(parts, rows), rows, size);
}

at::Tensor TorchNetwork::Within(const at::Tensor& table, const BagList& bags,
                                const at::Tensor& sum) const {
  const at::Tensor parts = Weigh(Rows(table, bags.all), bags.all);
  return (sum.square().sum(1) -
          SumByOwner(parts.square().sum(1), bags.all, bags.size)) /
         2;
}

at::Tensor TorchNetwork::Activate(const at::Tensor& x) const {
  switch (spec_.activation) {
    case Activation::kRelu:
      return x.relu();
    case Activation::kTanh:
      return x.tanh();
    case Activation::kSigmoid:
      return x.sigmoid();
  }
  NEUMF_CHECK(false);
  return x;
}

at::Tensor TorchNetwork::Tower(const at::Tensor& first,
                               const Dropout& dropout) const {
  at::Tensor z = dropout(Activate(first));
  for (const Dense& layer : layers_) {
    z = dropout(Activate(at::linear(z, layer.weight, layer.bias.view({-1}))));
  }
  if (linear_.weight.defined()) {
    z = at::linear(z, linear_.weight, linear_.bias.view({-1}));
  }
  return z.matmul(tower_head_.view({-1}));
}

}  // namespace neumf
