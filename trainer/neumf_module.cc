#include "trainer/neumf_module.h"

// The operations one by one: all of LibTorch would take five times as long to
// build.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/sum.h>
#include <dlfcn.h>

#include <algorithm>
#include <numeric>

namespace neumf {
namespace {

at::Tensor ViewOf(float* values, const NeuMfBlock& block) {
  return at::from_blob(
      values + block.offset,
      {static_cast<int64_t>(block.rows), static_cast<int64_t>(block.cols)},
      at::kFloat);
}

// LibTorch takes pointers to what it only reads as mutable ones.
at::Tensor ViewOf(const std::vector<int64_t>& rows) {
  return at::from_blob(const_cast<int64_t*>(rows.data()),
                       {static_cast<int64_t>(rows.size())}, at::kLong);
}

}  // namespace

struct NeuMfModule::Tensors {
  struct Dense {
    at::Tensor weight, bias;
  };

  // Leaves over `values`; backward() adds to `gradient`, in the same layout,
  // because each leaf has its piece of it from the start.
  static Tensors WithGradient(const NeuMfLayout& layout, float* values,
                              float* gradient) {
    return Tensors(layout, [=](const NeuMfBlock& block) {
      at::Tensor leaf = ViewOf(values, block).requires_grad_();
      leaf.mutable_grad() = ViewOf(gradient, block);
      return leaf;
    });
  }

  static Tensors InFloat64(const NeuMfLayout& layout, float* values) {
    return Tensors(layout, [=](const NeuMfBlock& block) {
      return ViewOf(values, block).to(at::kDouble);
    });
  }

  // `users` [B], `items` [N * B]: item n * B + b is scored for user b, so the
  // user's half of the first layer is computed once for N items. [N, B]
  at::Tensor Score(const at::Tensor& users, const at::Tensor& items) const {
    const int64_t num_users = users.size(0);
    const at::Tensor p = at::embedding(user_gmf, users);
    const at::Tensor q =
        at::embedding(item_gmf, items).view({-1, num_users, p.size(1)});
    const at::Tensor user_half =
        at::linear(at::embedding(user_mlp, users), first_user_weight,
                   first_bias.view({-1}));
    const at::Tensor item_half =
        at::linear(at::embedding(item_mlp, items), first_item_weight)
            .view({-1, num_users, user_half.size(1)});
    at::Tensor z = at::relu(user_half + item_half).flatten(0, 1);
    for (const Dense& layer : layers) {
      z = at::relu(at::linear(z, layer.weight, layer.bias.view({-1})));
    }
    return at::matmul(p * q, gmf_head.view({-1})) +
           at::matmul(z, mlp_head.view({-1})).view({-1, num_users});
  }

  at::Tensor user_gmf, item_gmf, user_mlp, item_mlp;
  at::Tensor first_user_weight, first_item_weight, first_bias;
  std::vector<Dense> layers;
  at::Tensor gmf_head, mlp_head;

 private:
  template <typename MakeTensor>
  Tensors(const NeuMfLayout& layout, const MakeTensor& make)
      : user_gmf(make(layout.user_gmf)),
        item_gmf(make(layout.item_gmf)),
        user_mlp(make(layout.user_mlp)),
        item_mlp(make(layout.item_mlp)),
        first_user_weight(make(layout.first_user_weight)),
        first_item_weight(make(layout.first_item_weight)),
        first_bias(make(layout.first_bias)),
        gmf_head(make(layout.gmf_head)),
        mlp_head(make(layout.mlp_head)) {
    for (const NeuMfLayout::Dense& layer : layout.layers) {
      layers.push_back({make(layer.weight), make(layer.bias)});
    }
  }
};

NeuMfModule::NeuMfModule(NeuMfParameters* parameters)
    : parameters_(parameters),
      gradient_(parameters->values().size()),
      tensors_(std::make_unique<Tensors>(Tensors::WithGradient(
          parameters->layout(), parameters->values().data(),
          gradient_.data()))) {}

NeuMfModule::~NeuMfModule() = default;

double NeuMfModule::ComputeBprGradient(const PairBatch& batch) {
  std::fill(gradient_.begin(), gradient_.end(), 0.0F);
  const at::Tensor scores = tensors_->Score(
      ViewOf(batch.users),
      at::cat({ViewOf(batch.positives), ViewOf(batch.negatives)}));
  const at::Tensor loss = at::softplus(scores[1] - scores[0]).sum();
  loss.backward();
  return loss.item<double>();
}

std::vector<double> NeuMfModule::ScoreAllItems(uint32_t user) const {
  std::vector<int64_t> items(parameters_->shape().num_items);
  std::iota(items.begin(), items.end(), 0);
  const Tensors tensors =
      Tensors::InFloat64(parameters_->layout(), parameters_->values().data());
  const at::Tensor scores =
      tensors.Score(ViewOf(std::vector<int64_t>{user}), ViewOf(items))
          .contiguous();
  const double* first = scores.data_ptr<double>();
  return std::vector<double>(first, first + items.size());
}

void SetTorchThreads(int num_threads) {
  at::set_num_threads(num_threads);
  // OpenBLAS keeps threads of its own, of which LibTorch knows nothing. They
  // wait busily, and on layers this narrow two of them take three times as long
  // as one. Another BLAS has no such function.
  using SetThreads = void (*)(int);
  const auto set_blas_threads = reinterpret_cast<SetThreads>(
      dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  if (set_blas_threads != nullptr) set_blas_threads(1);
}

}  // namespace neumf
