#include "tests/trainer/model/model_zoo.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace neumf {
namespace {

constexpr uint32_t kNumUsers = 31;
constexpr uint32_t kNumItems = 37;

ModelSpec BaseSpec() {
  ModelSpec spec;
  spec.num_users = kNumUsers;
  spec.num_items = kNumItems;
  return spec;
}

ModelSpec WithTower(ModelSpec spec, std::vector<uint32_t> hidden,
                    Activation activation) {
  spec.user_tower_factors = 5;
  spec.item_tower_factors = 5;
  spec.hidden = std::move(hidden);
  spec.activation = activation;
  return spec;
}

ModelSpec WithFeatures(ModelSpec spec) {
  spec.num_user_features =
      static_cast<uint32_t>(ZooUserFeatures().num_values());
  spec.num_item_features =
      static_cast<uint32_t>(ZooItemFeatures().num_values());
  return spec;
}

std::vector<ModelCase> WithoutHistory() {
  ModelSpec mf = BaseSpec();
  mf.factors = 5;
  mf.user_bias = mf.item_bias = mf.global_bias = true;

  ModelSpec gmf = BaseSpec();
  gmf.factors = 6;
  gmf.learned_head = gmf.global_bias = true;

  ModelSpec mlp = WithTower(BaseSpec(), {6, 4}, Activation::kRelu);
  mlp.global_bias = true;

  ModelSpec biased_mlp = WithTower(BaseSpec(), {5}, Activation::kTanh);
  biased_mlp.user_bias = biased_mlp.item_bias = true;

  const ModelSpec relu = WithTower(gmf, {7, 5, 3}, Activation::kRelu);
  const ModelSpec tanh = WithTower(gmf, {7, 5, 3}, Activation::kTanh);
  const ModelSpec sigmoid = WithTower(gmf, {7, 5, 3}, Activation::kSigmoid);

  ModelSpec linear = relu;
  linear.linear_width = 4;

  ModelSpec cosine = BaseSpec();
  cosine.factors = 7;
  cosine.cosine = true;

  ModelSpec cosine_gmf = cosine;
  cosine_gmf.learned_head = cosine_gmf.item_bias = true;

  ModelSpec dot = BaseSpec();
  dot.factors = 7;

  ModelSpec deep = WithTower(BaseSpec(), {6}, Activation::kRelu);
  deep.user_tower_factors = 3;
  deep.item_tower_factors = 8;
  deep.global_bias = true;

  ModelSpec fm = WithFeatures(mf);
  fm.feature_interactions = true;

  return {{"Mf", mf},
          {"Gmf", gmf},
          {"Mlp", mlp},
          {"MlpWithBiases", biased_mlp},
          {"NeuMfRelu", relu},
          {"NeuMfTanh", tanh},
          {"NeuMfSigmoid", sigmoid},
          {"NeuMfWithLinearLayer", linear},
          {"NeuMfWithFeatures", WithFeatures(relu)},
          {"BilinearCosine", cosine},
          {"BilinearCosineWithHead", cosine_gmf},
          {"BilinearDot", dot},
          {"DeepTriplet", deep},
          {"Fm", fm}};
}

std::vector<double> Sum(const Parameters& parameters,
                        const ParameterBlock& table, const Bag& bag) {
  std::vector<double> sum(table.cols);
  for (size_t n = 0; n < bag.rows.size(); ++n) {
    for (uint64_t k = 0; k < table.cols; ++k) {
      sum[k] += double{bag.weights[n]} *
                double{parameters.row(table, bag.rows[n])[k]};
    }
  }
  return sum;
}

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

// Sum over pairs of rows of a bag of their products: what within() shortens.
double PairwiseProducts(const Parameters& parameters,
                        const ParameterBlock& table, const Bag& bag) {
  double sum = 0;
  for (size_t m = 0; m < bag.rows.size(); ++m) {
    for (size_t n = m + 1; n < bag.rows.size(); ++n) {
      for (uint64_t k = 0; k < table.cols; ++k) {
        sum += double{bag.weights[m]} * double{bag.weights[n]} *
               double{parameters.row(table, bag.rows[m])[k]} *
               double{parameters.row(table, bag.rows[n])[k]};
      }
    }
  }
  return sum;
}

double BiasSum(const Parameters& parameters, const ParameterBlock& table,
               const Bag& bag) {
  if (table.empty()) return 0;
  double sum = 0;
  for (uint32_t n = 0; n < bag.num_bias_rows; ++n) {
    sum +=
        double{bag.weights[n]} * double{parameters.row(table, bag.rows[n])[0]};
  }
  return sum;
}

// W x + b; an empty block adds nothing.
std::vector<double> Dense(const Parameters& parameters,
                          const ParameterBlock& weight,
                          const ParameterBlock& bias,
                          const std::vector<double>& x) {
  std::vector<double> y(weight.rows);
  for (uint64_t o = 0; o < weight.rows; ++o) {
    if (!bias.empty()) y[o] = double{parameters.row(bias, 0)[o]};
    for (uint64_t i = 0; i < weight.cols; ++i) {
      y[o] += double{parameters.row(weight, o)[i]} * x[i];
    }
  }
  return y;
}

void Activate(Activation activation, std::vector<double>& z) {
  for (double& x : z) {
    switch (activation) {
      case Activation::kRelu:
        x = x > 0 ? x : 0;
        break;
      case Activation::kTanh:
        x = std::tanh(x);
        break;
      case Activation::kSigmoid:
        x = 1 / (1 + std::exp(-x));
        break;
    }
  }
}

double ProductScore(const Parameters& parameters, const Bag& user,
                    const Bag& item) {
  const ParameterLayout& layout = parameters.layout();
  const std::vector<double> p = Sum(parameters, layout.user_gmf, user);
  const std::vector<double> q = Sum(parameters, layout.item_gmf, item);
  double score = 0;
  for (size_t k = 0; k < p.size(); ++k) {
    const double h = layout.gmf_head.empty()
                         ? 1
                         : double{parameters.row(layout.gmf_head, 0)[k]};
    score += h * p[k] * q[k];
  }
  if (!parameters.spec().cosine) return score;
  return score / (std::sqrt(Dot(p, p)) * std::sqrt(Dot(q, q)));
}

double TowerScore(const Parameters& parameters, const Bag& user,
                  const Bag& item) {
  const ParameterLayout& layout = parameters.layout();
  std::vector<double> z =
      Dense(parameters, layout.first_user_weight, layout.first_bias,
            Sum(parameters, layout.user_tower, user));
  const std::vector<double> item_half =
      Dense(parameters, layout.first_item_weight, ParameterBlock(),
            Sum(parameters, layout.item_tower, item));
  for (size_t o = 0; o < z.size(); ++o) z[o] += item_half[o];
  Activate(parameters.spec().activation, z);
  for (const ParameterLayout::Dense& layer : layout.layers) {
    z = Dense(parameters, layer.weight, layer.bias, z);
    Activate(parameters.spec().activation, z);
  }
  if (!layout.linear.weight.empty()) {
    z = Dense(parameters, layout.linear.weight, layout.linear.bias, z);
  }
  return Dense(parameters, layout.tower_head, ParameterBlock(), z)[0];
}

}  // namespace

std::vector<ModelCase> ModelZoo() {
  std::vector<ModelCase> zoo = WithoutHistory();
  for (ModelCase model_case : WithoutHistory()) {
    model_case.name += "WithHistory";
    model_case.spec.history_length = 6;
    model_case.spec.history_decay = 3;
    zoo.push_back(model_case);
  }
  return zoo;
}

ModelSpec FindInZoo(absl::string_view name) {
  for (const ModelCase& model_case : ModelZoo()) {
    if (model_case.name == name) return model_case.spec;
  }
  NEUMF_CHECK(false);
  return {};
}

void PrintTo(const ModelCase& model_case, std::ostream* stream) {
  *stream << model_case.name;
}

FeatureTable ZooUserFeatures() {
  std::vector<std::vector<std::string>> rows(kNumUsers);
  for (uint32_t user = 0; user < kNumUsers; ++user) {
    rows[user].push_back(absl::StrCat("age=", user % 4));
    if (user % 3 != 0) rows[user].push_back(absl::StrCat("job=", user % 7));
  }
  return FeatureTable(rows);
}

FeatureTable ZooItemFeatures() {
  std::vector<std::vector<std::string>> rows(kNumItems);
  for (uint32_t item = 0; item < kNumItems; ++item) {
    // Each fifth item has none.
    for (uint32_t n = 0; n < item % 5; ++n) {
      rows[item].push_back(absl::StrCat("genre=", (item + 3 * n) % 8));
    }
  }
  return FeatureTable(rows);
}

ItemSequences ZooSequences() {
  Random random(7);
  std::vector<Event> events;
  for (uint32_t user = 1; user < kNumUsers; ++user) {
    for (uint32_t n = 0; n < 1 + user % 12; ++n) {
      events.push_back({user, random.Below(kNumItems), 5, n});
    }
  }
  return ItemSequences(kNumUsers, events);
}

ZooModel::ZooModel(const ModelSpec& spec, uint64_t seed)
    : user_features_(ZooUserFeatures()),
      item_features_(ZooItemFeatures()),
      sequences_(ZooSequences()),
      parameters_(spec),
      item_bags_(spec.num_items,
                 spec.num_item_features > 0 ? &item_features_ : nullptr),
      user_bags_(spec, spec.num_user_features > 0 ? &user_features_ : nullptr,
                 &sequences_) {
  Random random(seed);
  for (float& value : parameters_.values()) {
    value = static_cast<float>(0.3 * random.Normal());
  }
}

double ZooModel::Score(const Bag& user, uint32_t item,
                       double* user_terms) const {
  const ParameterLayout& layout = parameters_.layout();
  const Bag item_bag = item_bags_.bag(item);
  double of_user = BiasSum(parameters_, layout.user_bias, user);
  double score = BiasSum(parameters_, layout.item_bias, item_bag);
  if (!layout.global_bias.empty()) {
    score += double{parameters_.row(layout.global_bias, 0)[0]};
  }
  if (spec().feature_interactions) {
    of_user += PairwiseProducts(parameters_, layout.user_gmf, user);
    score += PairwiseProducts(parameters_, layout.item_gmf, item_bag);
  }
  if (spec().has_product()) score += ProductScore(parameters_, user, item_bag);
  if (spec().has_tower()) score += TowerScore(parameters_, user, item_bag);
  if (user_terms != nullptr) *user_terms = of_user;
  return score + of_user;
}

Batch ZooModel::MakeGroups(uint32_t num_groups, Random& random) const {
  Batch batch;
  batch.num_groups = num_groups;
  batch.bag_offsets.push_back(0);
  for (uint32_t g = 0; g < num_groups; ++g) {
    const uint32_t user = random.Below(kNumUsers);
    const auto length = static_cast<uint32_t>(sequences_.row(user).size());
    batch.users.push_back(user);
    batch.num_bias_rows.push_back(user_bags_.Append(
        user, random.Below(length + 1), &batch.bag_rows, &batch.bag_weights));
    batch.bag_offsets.push_back(static_cast<uint32_t>(batch.bag_rows.size()));
  }
  return batch;
}

Batch ZooModel::MakePairs(uint32_t num_groups, uint32_t num_negatives,
                          uint64_t seed) const {
  Random random(seed);
  Batch batch = MakeGroups(num_groups, random);
  batch.num_negatives = num_negatives;
  for (uint32_t n = 0; n < num_groups * (1 + num_negatives); ++n) {
    batch.items.push_back(random.Below(kNumItems));
  }
  return batch;
}

Batch ZooModel::MakeCatalog(uint32_t num_groups, uint64_t seed) const {
  Random random(seed);
  Batch batch = MakeGroups(num_groups, random);
  for (uint32_t item = 0; item < kNumItems; ++item) {
    if (random.Below(3) > 0) batch.candidates.push_back(item);
  }
  const auto num_candidates = static_cast<uint32_t>(batch.candidates.size());
  batch.target_offsets.push_back(0);
  batch.masked_offsets.push_back(0);
  for (uint32_t g = 0; g < num_groups; ++g) {
    const uint32_t target = random.Below(num_candidates);
    for (uint32_t n = 0; n <= g % 3; ++n) {
      batch.targets.push_back((target + n) % num_candidates);
      batch.target_weights.push_back(static_cast<float>(n + 1) / 2);
    }
    if (g % 2 == 0) batch.masked.push_back((target + 5) % num_candidates);
    batch.target_offsets.push_back(static_cast<uint32_t>(batch.targets.size()));
    batch.masked_offsets.push_back(static_cast<uint32_t>(batch.masked.size()));
  }
  return batch;
}

std::vector<double> ZooModel::Scores(const Batch& batch) const {
  std::vector<double> scores;
  const uint32_t size = batch.group_size();
  for (uint32_t g = 0; g < batch.num_groups; ++g) {
    const Bag user = batch.user_bag(g);
    if (!batch.is_pairs()) {
      for (const uint32_t item : batch.candidates) {
        scores.push_back(Score(user, item, nullptr));
      }
      continue;
    }
    for (uint32_t n = 0; n < size; ++n) {
      scores.push_back(Score(user, batch.items[g * size + n], nullptr));
    }
  }
  return scores;
}

}  // namespace neumf
