#pragma once

// Every model of the family, small, with random parameters of order 1, and the
// function that it should be, in plain loops.

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "data/features.h"
#include "data/item_sequences.h"
#include "trainer/model/bags.h"
#include "trainer/model/model_spec.h"
#include "trainer/model/parameters.h"
#include "trainer/step/batch.h"

namespace neumf {

struct ModelCase {
  std::string name;
  ModelSpec spec;
};

// Each kind without history, then with it. 31 users, 37 items.
std::vector<ModelCase> ModelZoo();

// The spec of the case of that name.
ModelSpec FindInZoo(absl::string_view name);

// For GoogleTest, which would print bytes.
void PrintTo(const ModelCase& model_case, std::ostream* stream);

FeatureTable ZooUserFeatures();
FeatureTable ZooItemFeatures();
// User 0 has no event, the others up to 12, some items more than once.
ItemSequences ZooSequences();

// A model with what it is made of. Parameters are N(0, .3).
class ZooModel {
 public:
  ZooModel(const ModelSpec& spec, uint64_t seed);

  const ModelSpec& spec() const { return parameters_.spec(); }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  const ItemBags& item_bags() const { return item_bags_; }
  const UserBags& user_bags() const { return user_bags_; }

  // The score by its definition, in float64. `user_terms` may be null: what of
  // it depends on the user alone.
  double Score(const Bag& user, uint32_t item, double* user_terms) const;

  // Random groups, at random places of their users' sequences.
  Batch MakePairs(uint32_t num_groups, uint32_t num_negatives,
                  uint64_t seed) const;
  // The same with targets among random candidates, and some masked.
  Batch MakeCatalog(uint32_t num_groups, uint64_t seed) const;

  // Scores by their definition: [B, 1 + n] or [B, C].
  std::vector<double> Scores(const Batch& batch) const;

 private:
  Batch MakeGroups(uint32_t num_groups, Random& random) const;

  const FeatureTable user_features_, item_features_;
  const ItemSequences sequences_;
  Parameters parameters_;
  const ItemBags item_bags_;
  const UserBags user_bags_;
};

// A bag with its memory: the latest one of a user.
struct OwnedBag {
  OwnedBag(const UserBags& bags, uint32_t user)
      : num_bias_rows(bags.AppendLatest(user, &rows, &weights)) {}

  Bag bag() const { return {rows, weights, num_bias_rows}; }

  std::vector<uint32_t> rows;
  std::vector<float> weights;
  uint32_t num_bias_rows;
};

}  // namespace neumf
