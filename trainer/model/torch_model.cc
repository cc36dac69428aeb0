#include "trainer/model/torch_model.h"

// The operations one by one: all of LibTorch would take five times as long to
// build.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>

#include "base/logging.h"
#include "trainer/model/torch_network.h"
#include "trainer/step/catalog_loss.h"

namespace neumf {
namespace {

// Items that are scored at once in float64.
constexpr uint32_t kItemsPerPiece = 4096;

BagList UserBagsOf(const Batch& batch) {
  BagList bags;
  for (uint32_t g = 0; g < batch.num_groups; ++g) bags.Add(batch.user_bag(g));
  return bags;
}

BagList ItemBagsOf(const ItemBags& item_bags,
                   const std::vector<uint32_t>& items) {
  BagList bags;
  for (const uint32_t item : items) bags.Add(item_bags.bag(item));
  return bags;
}

// Marks as touched what the bags of a side hold.
void TouchRows(const BagList& bags, const ParameterBlock& gmf,
               const ParameterBlock& tower, const ParameterBlock& bias,
               Gradient* gradient) {
  for (size_t t = 0; t < gradient->num_tables(); ++t) {
    const std::string& name = gradient->table(t).name;
    const bool is_bias = name == bias.name;
    if (!is_bias && name != gmf.name && name != tower.name) continue;
    for (const int64_t row : is_bias ? bags.biases.rows : bags.all.rows) {
      gradient->Touch(t, static_cast<uint32_t>(row));
    }
  }
}

size_t ScoresAGroup(const Batch& batch) {
  return batch.is_pairs() ? batch.group_size() : batch.candidates.size();
}

// The sum of the groups' losses by GroupLoss, with its gradient by `scores`
// [B, 1 + n] in `d_scores`.
double ComputePairLosses(const Batch& batch, const StepOptions& options,
                         const std::vector<float>& scores, float* d_scores) {
  const GroupLoss loss(options.loss);
  const size_t stride = batch.group_size();
  std::vector<float> log_q;
  double sum = 0;
  for (size_t first = 0; first < scores.size(); first += stride) {
    log_q.clear();
    for (size_t n = 0; !options.log_q.empty() && n < stride; ++n) {
      log_q.push_back(options.log_q[batch.items[first + n]]);
    }
    sum += loss.Compute(&scores[first], log_q.empty() ? nullptr : log_q.data(),
                        stride - 1, d_scores + first);
  }
  return sum;
}

// The same by CatalogLoss, `scores` being [B, C].
double ComputeCatalogLosses(const Batch& batch, const StepOptions& options,
                            std::vector<float> scores, float* d_scores) {
  const CatalogLoss loss(options.loss);
  const size_t stride = batch.candidates.size();
  double sum = 0;
  for (uint32_t g = 0; g < batch.num_groups; ++g) {
    for (uint32_t m = batch.masked_offsets[g]; m < batch.masked_offsets[g + 1];
         ++m) {
      scores[g * stride + batch.masked[m]] =
          -std::numeric_limits<float>::infinity();
    }
    const uint32_t begin = batch.target_offsets[g];
    const uint32_t size = batch.target_offsets[g + 1] - begin;
    sum += loss.Compute(
        &scores[g * stride], stride,
        absl::MakeConstSpan(batch.targets).subspan(begin, size),
        absl::MakeConstSpan(batch.target_weights).subspan(begin, size),
        d_scores + g * stride);
  }
  return sum;
}

// How often the penalty of a user bag counts, [B].
std::vector<float> UserCounts(const Batch& batch) {
  std::vector<float> counts(batch.num_groups, batch.is_pairs() ? 1.0F : 0.0F);
  if (batch.is_pairs()) return counts;
  for (uint32_t g = 0; g < batch.num_groups; ++g) {
    for (uint32_t t = batch.target_offsets[g]; t < batch.target_offsets[g + 1];
         ++t) {
      counts[g] += batch.target_weights[t];
    }
  }
  return counts;
}

// The penalty's factor for half of |row|^2 of each item, [B * (1 + n)] or [C].
std::vector<float> ItemFactors(const Batch& batch, const StepOptions& options) {
  const auto l2 = static_cast<float>(options.l2);
  std::vector<float> factors;
  if (batch.is_pairs()) {
    factors.assign(batch.items.size(), static_cast<float>(options.l2_negative));
    for (size_t i = 0; i < factors.size(); i += batch.group_size()) {
      factors[i] = l2;
    }
    return factors;
  }
  factors.assign(batch.candidates.size(), 0);
  for (size_t t = 0; t < batch.targets.size(); ++t) {
    factors[batch.targets[t]] += l2 * batch.target_weights[t];
  }
  return factors;
}

std::vector<float> ToVector(const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().to(at::kCPU).contiguous();
  const float* const first = values.data_ptr<float>();
  return std::vector<float>(first, first + values.numel());
}

}  // namespace

// A batch on its way through the network, with what backward() still reads.
class TorchModel::Pass {
 public:
  Pass(const TorchNetwork& network, const ItemBags& item_bags,
       const Batch& batch, const StepOptions& options)
      : users_(UserBagsOf(batch)),
        items_(ItemBagsOf(item_bags,
                          batch.is_pairs() ? batch.items : batch.candidates)),
        user_counts_(UserCounts(batch)),
        item_factors_(ItemFactors(batch, options)) {
    const int64_t num_groups = batch.num_groups;
    const auto num_scores = static_cast<int64_t>(ScoresAGroup(batch));
    NEUMF_CHECK(!batch.is_pairs() || items_.size == num_groups * num_scores);
    const bool with_squares = options.l2 != 0 || options.l2_negative != 0;
    const Dropout dropout(options.dropout, batch.dropout_seed);
    const SideTensors users = network.Users(users_, dropout, with_squares);
    const SideTensors items = network.Items(items_, dropout, with_squares);
    scores_ = network.Score(users, items, num_groups, num_scores,
                            /*shared=*/!batch.is_pairs(), dropout);
    if (!with_squares) return;
    const at::Tensor user_counts =
        ViewOf(user_counts_).to(users.squares.device());
    const at::Tensor item_factors =
        ViewOf(item_factors_).to(items.squares.device());
    penalty_ = (users.squares * user_counts).sum() * (options.l2 / 2) +
               (items.squares * item_factors).sum() / 2;
  }

  const at::Tensor& scores() const { return scores_; }

  // Adds the gradients of the scores, weighted with `d_scores`, and of the
  // penalty, both times `scale`.
  void Backward(const std::vector<float>& d_scores, double scale) const {
    const at::Tensor d = ViewOf(d_scores).to(scores_.device()).view_as(scores_);
    at::Tensor objective = (scores_ * d).sum();
    if (penalty_.defined()) objective = objective + penalty_;
    (objective * scale).backward();
  }

  void Touch(const ParameterLayout& layout, Gradient* gradient) const {
    TouchRows(users_, layout.user_gmf, layout.user_tower, layout.user_bias,
              gradient);
    TouchRows(items_, layout.item_gmf, layout.item_tower, layout.item_bias,
              gradient);
  }

 private:
  const BagList users_, items_;
  const std::vector<float> user_counts_, item_factors_;
  at::Tensor scores_;   // [B, 1 + n] or [B, C]
  at::Tensor penalty_;  // of the batch, not scaled; undefined without
};

TorchModel::TorchModel(Parameters* parameters, const ItemBags* items)
    : parameters_(parameters),
      items_(items),
      network_(TorchNetwork::WithGradient(parameters)) {
  NEUMF_CHECK(items->num_items() == parameters->spec().num_items);
}

TorchModel::TorchModel(Parameters* parameters, const ItemBags* items,
                       const std::string& device)
    : parameters_(parameters),
      items_(items),
      network_(TorchNetwork::WithGradientOn(at::Device(device), parameters)),
      copies_(true) {
  NEUMF_CHECK(items->num_items() == parameters->spec().num_items);
  // The same run again gives the same bits. Where LibTorch cannot, it warns.
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
}

TorchModel::~TorchModel() = default;

std::string TorchModel::GpuName() {
  return at::hasCUDA() && at::getNumGPUs() > 0 ? "cuda" : "";
}

double TorchModel::ComputeGradient(const Batch& batch,
                                   const StepOptions& options,
                                   Gradient* gradient) {
  NEUMF_CHECK(batch.num_groups > 0);
  if (copies_) network_->Refresh(parameters_);
  const Pass pass(*network_, *items_, batch, options);
  const std::vector<float> scores = ToVector(pass.scores());
  std::vector<float> d_scores(scores.size());
  const double loss =
      batch.is_pairs()
          ? ComputePairLosses(batch, options, scores, d_scores.data())
          : ComputeCatalogLosses(batch, options, scores, d_scores.data());
  const double scale = options.sum_over_groups ? 1.0 : 1.0 / batch.num_groups;
  gradient->Clear();
  if (!copies_) network_->SetGradient(gradient);
  pass.Backward(d_scores, scale);
  if (copies_) network_->TakeGradient(gradient);
  network_->SetGradient(nullptr);
  pass.Touch(parameters_->layout(), gradient);
  return loss * scale;
}

void TorchModel::Score(const Batch& batch, std::vector<float>* scores) const {
  const at::NoGradGuard no_grad;
  if (copies_) network_->Refresh(parameters_);
  const Pass pass(*network_, *items_, batch, StepOptions());
  *scores = ToVector(pass.scores());
}

std::vector<double> TorchModel::ScoreAllItems(const Bag& user) const {
  const std::unique_ptr<TorchNetwork> network =
      TorchNetwork::InFloat64(parameters_);
  const Dropout no_dropout(0, 0);
  BagList user_bag;
  user_bag.Add(user);
  const SideTensors users = network->Users(user_bag, no_dropout, false);
  const auto num_items = static_cast<uint32_t>(items_->num_items());
  std::vector<double> all;
  all.reserve(num_items);
  for (uint32_t first = 0; first < num_items; first += kItemsPerPiece) {
    const uint32_t last = std::min(num_items, first + kItemsPerPiece);
    BagList bags;
    for (uint32_t item = first; item < last; ++item) {
      bags.Add(items_->bag(item));
    }
    const at::Tensor scores =
        network
            ->Score(users, network->Items(bags, no_dropout, false), 1,
                    last - first, /*shared=*/true, no_dropout)
            .contiguous();
    const double* const values = scores.data_ptr<double>();
    all.insert(all.end(), values, values + (last - first));
  }
  return all;
}

}  // namespace neumf
