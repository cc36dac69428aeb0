#include "tests/trainer/step/step_world.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace neumf {
namespace {

ModelSpec Product(uint32_t factors) {
  ModelSpec spec;
  spec.factors = factors;
  return spec;
}

ModelSpec Tower(uint32_t user_width, uint32_t item_width,
                std::vector<uint32_t> hidden, Activation activation) {
  ModelSpec spec;
  spec.user_tower_factors = user_width;
  spec.item_tower_factors = item_width;
  spec.hidden = std::move(hidden);
  spec.activation = activation;
  return spec;
}

ModelSpec NeuMf(Activation activation) {
  ModelSpec spec = Tower(6, 6, {16, 9, 5}, activation);
  spec.factors = 4;
  spec.learned_head = true;
  spec.global_bias = true;
  return spec;
}

// A random permutation's first `count` numbers below `bound`.
std::vector<uint32_t> Draw(uint32_t bound, uint32_t count, Random* random) {
  std::vector<uint32_t> all(bound);
  std::iota(all.begin(), all.end(), 0U);
  for (uint32_t i = 0; i < count; ++i) {
    std::swap(all[i], all[i + random->Below(bound - i)]);
  }
  all.resize(count);
  return all;
}

// Row 0 has no feature, the others up to three.
FeatureTable MakeFeatures(uint32_t num_rows, Random* random) {
  std::vector<std::vector<std::string>> rows(num_rows);
  for (uint32_t row = 1; row < num_rows; ++row) {
    for (const uint32_t value : Draw(7, random->Below(4), random)) {
      rows[row].push_back(absl::StrCat("kind=", value));
    }
  }
  return FeatureTable(rows);
}

std::unique_ptr<ItemSequences> MakeSequences(uint32_t num_users,
                                             uint32_t num_items,
                                             Random* random) {
  std::vector<Event> events;
  for (uint32_t user = 0; user < num_users; ++user) {
    const uint32_t count = 1 + random->Below(9);
    for (uint32_t n = 0; n < count; ++n) {
      Event event;
      event.user = user;
      event.item = random->Below(num_items);
      events.push_back(event);
    }
  }
  return std::make_unique<ItemSequences>(num_users, events);
}

std::vector<NamedSpec> ShapesWithoutHistory() {
  std::vector<NamedSpec> shapes;
  ModelSpec mf = Product(8);
  mf.user_bias = mf.item_bias = mf.global_bias = true;
  shapes.push_back({"Mf", mf});
  ModelSpec gmf = Product(5);
  gmf.learned_head = gmf.global_bias = true;
  shapes.push_back({"Gmf", gmf});
  shapes.push_back({"Mlp", Tower(8, 8, {16, 8}, Activation::kRelu)});
  shapes.push_back({"OneLayer", Tower(3, 3, {7}, Activation::kTanh)});
  shapes.push_back({"NeumfRelu", NeuMf(Activation::kRelu)});
  shapes.push_back({"NeumfTanh", NeuMf(Activation::kTanh)});
  shapes.push_back({"NeumfSigmoid", NeuMf(Activation::kSigmoid)});
  ModelSpec linear = NeuMf(Activation::kRelu);
  linear.linear_width = 3;
  shapes.push_back({"NeumfLinearTail", linear});
  ModelSpec cosine = Product(6);
  cosine.cosine = true;
  shapes.push_back({"BilinearCosine", cosine});
  shapes.push_back({"BilinearDot", Product(6)});
  shapes.push_back({"DeepTriplet", Tower(7, 4, {12, 6}, Activation::kRelu)});
  ModelSpec fm = Product(5);
  fm.user_bias = fm.item_bias = fm.global_bias = true;
  fm.feature_interactions = true;
  shapes.push_back({"Fm", fm, true, true});
  ModelSpec metadata = NeuMf(Activation::kRelu);
  metadata.item_bias = true;
  shapes.push_back({"Metadata", metadata, false, true});
  ModelSpec all = NeuMf(Activation::kTanh);
  all.user_bias = all.item_bias = all.feature_interactions = true;
  all.linear_width = 2;
  shapes.push_back({"Everything", all, true, true});
  ModelSpec wide = Tower(40, 40, {64, 32, 16, 8}, Activation::kRelu);
  wide.factors = 64;
  shapes.push_back({"Wide", wide});
  return shapes;
}

}  // namespace

std::vector<NamedSpec> AllShapes() {
  std::vector<NamedSpec> shapes = ShapesWithoutHistory();
  const size_t count = shapes.size();
  for (size_t s = 0; s < count; ++s) {
    NamedSpec with_history = shapes[s];
    with_history.name += "History";
    with_history.spec.history_length = 4;
    with_history.spec.history_decay = 2;
    shapes.push_back(with_history);
  }
  return shapes;
}

NamedSpec ShapeNamed(const std::string& name) {
  for (const NamedSpec& shape : AllShapes()) {
    if (shape.name == name) return shape;
  }
  NEUMF_CHECK(false);
  return {};
}

StepWorld::StepWorld(const NamedSpec& shape, uint64_t seed) : random_(seed) {
  ModelSpec spec = shape.spec;
  spec.num_users = kNumUsers;
  spec.num_items = kNumItems;
  if (shape.user_features) {
    user_features_ = MakeFeatures(kNumUsers, &random_);
    spec.num_user_features = user_features_.num_values();
  }
  if (shape.item_features) {
    item_features_ = MakeFeatures(kNumItems, &random_);
    spec.num_item_features = item_features_.num_values();
  }
  NEUMF_CHECK(ValidateSpec(spec).ok());
  sequences_ = MakeSequences(kNumUsers, kNumItems, &random_);
  items_ = std::make_unique<ItemBags>(
      kNumItems, shape.item_features ? &item_features_ : nullptr);
  users_ = std::make_unique<UserBags>(
      spec, shape.user_features ? &user_features_ : nullptr, sequences_.get());
  parameters_ = std::make_unique<Parameters>(spec);
  for (float& value : parameters_->values()) {
    value = static_cast<float>(0.3 * random_.Normal());
  }
}

void StepWorld::AddUser(Batch* batch) {
  const uint32_t user = random_.Below(kNumUsers);
  const auto length = static_cast<uint32_t>(sequences_->row(user).size());
  batch->users.push_back(user);
  batch->num_bias_rows.push_back(users_->Append(
      user, random_.Below(length + 1), &batch->bag_rows, &batch->bag_weights));
  batch->bag_offsets.push_back(static_cast<uint32_t>(batch->bag_rows.size()));
}

Batch StepWorld::MakePairs(uint32_t num_groups, uint32_t num_negatives) {
  Batch batch;
  batch.num_groups = num_groups;
  batch.num_negatives = num_negatives;
  batch.bag_offsets = {0};
  for (uint32_t g = 0; g < num_groups; ++g) {
    AddUser(&batch);
    for (uint32_t n = 0; n <= num_negatives; ++n) {
      batch.items.push_back(random_.Below(kNumItems));
    }
  }
  return batch;
}

Batch StepWorld::MakeCatalog(uint32_t num_groups, uint32_t num_candidates) {
  Batch batch;
  batch.num_groups = num_groups;
  batch.candidates = Draw(kNumItems, num_candidates, &random_);
  std::sort(batch.candidates.begin(), batch.candidates.end());
  batch.bag_offsets = batch.target_offsets = batch.masked_offsets = {0};
  for (uint32_t g = 0; g < num_groups; ++g) {
    AddUser(&batch);
    AddTargetsAndMasks(&batch);
  }
  return batch;
}

void StepWorld::AddTargetsAndMasks(Batch* batch) {
  const auto count = static_cast<uint32_t>(batch->candidates.size());
  const uint32_t num_targets = std::min(count, 1 + random_.Below(3));
  const uint32_t num_masked = std::min(count - num_targets, random_.Below(6));
  const std::vector<uint32_t> places =
      Draw(count, num_targets + num_masked, &random_);
  for (uint32_t n = 0; n < num_targets; ++n) {
    batch->targets.push_back(places[n]);
    batch->target_weights.push_back(
        static_cast<float>(random_.Uniform(0.5, 2)));
  }
  for (uint32_t n = 0; n < num_masked; ++n) {
    batch->masked.push_back(places[num_targets + n]);
  }
  batch->target_offsets.push_back(static_cast<uint32_t>(batch->targets.size()));
  batch->masked_offsets.push_back(static_cast<uint32_t>(batch->masked.size()));
}

std::vector<float> StepWorld::MakeLogQ() {
  std::vector<float> log_q(kNumItems);
  for (float& value : log_q) {
    value = static_cast<float>(std::log(random_.Uniform(0.01, 0.2)));
  }
  return log_q;
}

}  // namespace neumf
