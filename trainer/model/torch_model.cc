#include "trainer/model/torch_model.h"

// The operations one by one: all of LibTorch would take five times as long to
// build.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "base/logging.h"
#include "trainer/step/catalog_loss.h"

namespace neumf {
namespace {

// Items that are scored at once in float64.
constexpr uint32_t kItemsPerPiece = 4096;
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

// Bags one behind the other: row rows[n] counts weights[n] times for entity
// owners[n].
struct WeightedRows {
  void Add(const Bag& bag, size_t num_rows, int64_t owner) {
    rows.insert(rows.end(), bag.rows.begin(), bag.rows.begin() + num_rows);
    weights.insert(weights.end(), bag.weights.begin(),
                   bag.weights.begin() + num_rows);
    owners.insert(owners.end(), num_rows, owner);
    is_identity = is_identity && num_rows == 1 && bag.weights[0] == 1;
  }

  std::vector<int64_t> rows;
  std::vector<float> weights;
  std::vector<int64_t> owners;
  // Every entity has one row, with weight 1.
  bool is_identity = true;
};

// The bags of some users or items.
struct BagList {
  void Add(const Bag& bag) {
    all.Add(bag, bag.rows.size(), size);
    biases.Add(bag, bag.num_bias_rows, size);
    ++size;
  }

  int64_t size = 0;
  WeightedRows all;
  WeightedRows biases;  // without history
};

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

// Zeroes a share `rate` of what it is given, with a generator of its own.
class Dropout {
 public:
  Dropout(double rate, uint64_t seed)
      : rate_(rate), generator_(at::detail::createCPUGenerator(seed)) {}

  at::Tensor operator()(const at::Tensor& x) const {
    if (rate_ == 0) return x;
    // Drawn here, so that every device drops the same.
    const at::Tensor mask =
        at::empty_like(x, x.options().device(at::kCPU).requires_grad(false))
            .bernoulli_(1 - rate_, generator_);
    return x * mask.to(x.device()) / (1 - rate_);
  }

 private:
  const double rate_;
  const at::Generator generator_;
};

// What scores need of N users or N items. Undefined where the model has no such
// part.
struct SideTensors {
  at::Tensor gmf;      // p or q [N, k], normalized with `cosine`
  at::Tensor hidden;   // the side's half of the first layer [N, H1]
  at::Tensor terms;    // biases and products within the bag [N]
  at::Tensor squares;  // sums of weight * |row|^2 [N], where asked for
};

void AddTo(const at::Tensor& part, at::Tensor* sum) {
  *sum = sum->defined() ? *sum + part : part;
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

// The model as tensors over the parameters.
class TorchModel::Network {
 public:
  // Computes in float32, with gradients.
  static std::unique_ptr<Network> WithGradient(Parameters* parameters) {
    float* const values = parameters->values().data();
    return std::unique_ptr<Network>(new Network(
        *parameters, at::kFloat, at::kCPU, [&](const ParameterBlock& block) {
          return ViewOf(values, block).requires_grad_();
        }));
  }

  // The same over copies on a device, which Refresh() fills.
  static std::unique_ptr<Network> WithGradientOn(const at::Device& device,
                                                 Parameters* parameters) {
    float* const values = parameters->values().data();
    return std::unique_ptr<Network>(new Network(
        *parameters, at::kFloat, device, [&](const ParameterBlock& block) {
          return at::empty_like(ViewOf(values, block),
                                at::TensorOptions(device))
              .requires_grad_();
        }));
  }

  // Computes in float64. Rows of tables are widened when they are taken.
  static std::unique_ptr<Network> InFloat64(Parameters* parameters) {
    float* const values = parameters->values().data();
    return std::unique_ptr<Network>(new Network(
        *parameters, at::kDouble, at::kCPU, [&](const ParameterBlock& block) {
          const at::Tensor view = ViewOf(values, block);
          return block.is_table ? view : view.to(at::kDouble);
        }));
  }

  // backward() adds to `gradient` from now on; null: to nothing that lasts.
  void SetGradient(Gradient* gradient) {
    for (Leaf& leaf : leaves_) {
      leaf.tensor.mutable_grad() =
          gradient == nullptr ? at::Tensor()
                              : ViewOf(gradient->values().data(), leaf.block);
    }
  }

  // The parameters as they are now, onto the device.
  void Refresh(Parameters* parameters) {
    const at::NoGradGuard no_grad;
    for (Leaf& leaf : leaves_) {
      leaf.tensor.copy_(ViewOf(parameters->values().data(), leaf.block));
      leaf.tensor.mutable_grad() = at::Tensor();
    }
  }

  // What backward() has left there since.
  void TakeGradient(Gradient* gradient) const {
    for (const Leaf& leaf : leaves_) {
      if (!leaf.tensor.grad().defined()) continue;
      ViewOf(gradient->values().data(), leaf.block).copy_(leaf.tensor.grad());
    }
  }

  // `bags` must outlive what is computed of the result, backward() included.
  SideTensors Users(const BagList& bags, const Dropout& dropout,
                    bool with_squares) const {
    SideTensors users = Gather(user_, bags, dropout, with_squares);
    if (users.hidden.defined()) users.hidden = users.hidden + first_bias_;
    return users;
  }
  SideTensors Items(const BagList& bags, const Dropout& dropout,
                    bool with_squares) const {
    return Gather(item_, bags, dropout, with_squares);
  }

  // Scores of B users: [B, N]. `items` are N of each user, one user behind the
  // other; with `shared` they are the same N for all.
  at::Tensor Score(const SideTensors& users, const SideTensors& items,
                   int64_t num_users, int64_t num_items, bool shared,
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

 private:
  struct Dense {
    at::Tensor weight, bias;
  };
  struct SideTables {
    at::Tensor gmf, tower, bias, first_weight;
  };
  struct Leaf {
    ParameterBlock block;
    at::Tensor tensor;
  };

  template <typename MakeTensor>
  Network(const Parameters& parameters, at::ScalarType dtype,
          const at::Device& device, const MakeTensor& make_tensor)
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

  SideTensors Gather(const SideTables& tables, const BagList& bags,
                     const Dropout& dropout, bool with_squares) const {
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
        side.gmf = side.gmf /
                   side.gmf.norm(2, 1, /*keepdim=*/true).clamp_min(kMinNorm);
      }
    }
    if (tables.tower.defined()) {
      const at::Tensor sum =
          SumBags(tables.tower, bags.all, bags.size, squares);
      side.hidden = at::linear(dropout(sum), tables.first_weight);
    }
    return side;
  }

  // What lies in the host's memory, on the device.
  at::Tensor Here(const at::Tensor& view) const {
    return view.to(options_.device());
  }

  at::Tensor Rows(const at::Tensor& table, const WeightedRows& rows) const {
    return table.index_select(0, Here(ViewOf(rows.rows, at::kLong))).to(dtype_);
  }

  // The sum of what belongs to each of `size` entities.
  at::Tensor SumByOwner(const at::Tensor& parts, const WeightedRows& rows,
                        int64_t size) const {
    if (rows.is_identity) return parts;
    std::vector<int64_t> shape = parts.sizes().vec();
    shape[0] = size;
    return at::zeros(shape, options_)
        .index_add(0, Here(ViewOf(rows.owners, at::kLong)), parts);
  }

  at::Tensor Weigh(const at::Tensor& parts, const WeightedRows& rows) const {
    if (rows.is_identity) return parts;
    return parts * Here(ViewOf(rows.weights, at::kFloat)).unsqueeze(1);
  }

  // The weighted sums of rows, [size, cols]. Adds the weighted sums
  // of |row|^2 to `squares`, if it is not null.
  at::Tensor SumBags(const at::Tensor& table, const WeightedRows& rows,
                     int64_t size, at::Tensor* squares) const {
    const at::Tensor parts = Rows(table, rows);
    if (squares != nullptr) {
      const at::Tensor norms = Weigh(parts.square().sum(1, true), rows);
      AddTo(SumByOwner(norms, rows, size).squeeze(1), squares);
    }
    return SumByOwner(Weigh(parts, rows), rows, size);
  }

  // The products within each bag, whose sum is `sum`. [N]
  at::Tensor Within(const at::Tensor& table, const BagList& bags,
                    const at::Tensor& sum) const {
    const at::Tensor parts = Weigh(Rows(table, bags.all), bags.all);
    return (sum.square().sum(1) -
            SumByOwner(parts.square().sum(1), bags.all, bags.size)) /
           2;
  }

  at::Tensor Activate(const at::Tensor& x) const {
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

  // From what the first layer's activation is applied to, [B, N, H1], to its
  // share in the scores, [B, N].
  at::Tensor Tower(const at::Tensor& first, const Dropout& dropout) const {
    at::Tensor z = dropout(Activate(first));
    for (const Dense& layer : layers_) {
      z = dropout(Activate(at::linear(z, layer.weight, layer.bias.view({-1}))));
    }
    if (linear_.weight.defined()) {
      z = at::linear(z, linear_.weight, linear_.bias.view({-1}));
    }
    return z.matmul(tower_head_.view({-1}));
  }

  const ModelSpec spec_;
  const at::ScalarType dtype_;
  const at::TensorOptions options_;
  std::vector<Leaf> leaves_;
  SideTables user_, item_;
  at::Tensor first_bias_;
  std::vector<Dense> layers_;
  Dense linear_;
  at::Tensor gmf_head_, tower_head_, global_bias_;
};

// A batch on its way through the network, with what backward() still reads.
class TorchModel::Pass {
 public:
  Pass(const Network& network, const ItemBags& item_bags, const Batch& batch,
       const StepOptions& options)
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
        ViewOf(user_counts_, at::kFloat).to(users.squares.device());
    const at::Tensor item_factors =
        ViewOf(item_factors_, at::kFloat).to(items.squares.device());
    penalty_ = (users.squares * user_counts).sum() * (options.l2 / 2) +
               (items.squares * item_factors).sum() / 2;
  }

  const at::Tensor& scores() const { return scores_; }

  // Adds the gradients of the scores, weighted with `d_scores`, and of the
  // penalty, both times `scale`.
  void Backward(const std::vector<float>& d_scores, double scale) const {
    const at::Tensor d =
        ViewOf(d_scores, at::kFloat).to(scores_.device()).view_as(scores_);
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
      network_(Network::WithGradient(parameters)) {
  NEUMF_CHECK(items->num_items() == parameters->spec().num_items);
}

TorchModel::TorchModel(Parameters* parameters, const ItemBags* items,
                       const std::string& device)
    : parameters_(parameters),
      items_(items),
      network_(Network::WithGradientOn(at::Device(device), parameters)),
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
  const std::unique_ptr<Network> network = Network::InFloat64(parameters_);
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
