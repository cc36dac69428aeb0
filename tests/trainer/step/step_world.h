#pragma once

// A small world with features, histories and random parameters, and batches of
// it, for tests of what computes a step.

#include <memory>
#include <string>
#include <vector>

#include "data/features.h"
#include "data/item_sequences.h"
#include "trainer/model/bags.h"
#include "trainer/model/model_spec.h"
#include "trainer/model/parameters.h"
#include "trainer/random.h"
#include "trainer/step/batch.h"
#include "trainer/step/step_options.h"

namespace neumf {

// A model of the family by its name in a test.
struct NamedSpec {
  std::string name;
  ModelSpec spec;
  bool user_features = false;
  bool item_features = false;
};

// Every shape that the family has, each without and with a history.
std::vector<NamedSpec> AllShapes();
// The one of that name; there is one.
NamedSpec ShapeNamed(const std::string& name);

class StepWorld {
 public:
  static constexpr uint32_t kNumUsers = 13;
  static constexpr uint32_t kNumItems = 29;

  // Parameters N(0, .3), a function of the seed.
  StepWorld(const NamedSpec& shape, uint64_t seed);
  StepWorld(const StepWorld&) = delete;
  StepWorld& operator=(const StepWorld&) = delete;

  Parameters& parameters() { return *parameters_; }
  const ItemBags& items() const { return *items_; }

  // Random groups of users somewhere in their history.
  Batch MakePairs(uint32_t num_groups, uint32_t num_negatives);

  // The same over `num_candidates` distinct items, with up to three weighted
  // targets and up to five masked candidates a group.
  Batch MakeCatalog(uint32_t num_groups, uint32_t num_candidates);

  // log of a distribution over the items.
  std::vector<float> MakeLogQ();

 private:
  void AddUser(Batch* batch);
  void AddTargetsAndMasks(Batch* batch);

  Random random_;
  FeatureTable user_features_, item_features_;
  std::unique_ptr<ItemSequences> sequences_;
  std::unique_ptr<ItemBags> items_;
  std::unique_ptr<UserBags> users_;
  std::unique_ptr<Parameters> parameters_;
};

}  // namespace neumf
