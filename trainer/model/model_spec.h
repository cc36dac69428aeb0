#pragma once

// What is trained: one function of which every model of the family is a case.
//
// A user in its context and an item are each a bag of rows (bags.h): the own
// row, the rows of its features, and for the user the rows of the items seen
// last. With the sums over the bags, p, e of the user and q, f of the item,
//
//   score = h . (p * q)                    k wide; h learned or all ones;
//                                          p / |p|, q / |q| with `cosine`
//         + w . (A zL + a)                 A, a: `linear_width` rows, or none
//         + bu + bi + b                    sums of bias rows, and one number
//         + within(p) + within(q)          with `feature_interactions`
//
//   z1 = act(Wu e + Wi f + b1),  zl = act(Wl z(l-1) + bl)  for l = 2 .. L
//   within(p) = (|p|^2 - sum over the bag of |weight * row|^2) / 2
//
// mf: k with biases. gmf: k with h and b. mlp: the tower. neumf: gmf and tower.
// bilinear-triplet: k with `cosine`. deep-triplet: the tower on embeddings of
// two widths. fm: k with biases, features and `feature_interactions` (Rendle
// 2010). ARCHITECTURE of the serving form: docs/architecture.md.

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "model/serving_model.h"

namespace neumf {

struct ModelSpec {
  uint64_t num_users = 0;  // U
  uint64_t num_items = 0;  // I

  // The product. 0: none.
  uint32_t factors = 0;       // k
  bool learned_head = false;  // h
  bool cosine = false;

  // The tower. No hidden layer: none.
  uint32_t user_tower_factors = 0;  // width of e
  uint32_t item_tower_factors = 0;  // width of f
  std::vector<uint32_t> hidden;     // H1 .. HL
  Activation activation = Activation::kRelu;
  uint32_t linear_width = 0;  // rows of A; 0: w is applied to zL

  bool user_bias = false;
  bool item_bias = false;
  bool global_bias = false;  // b

  uint32_t num_user_features = 0;  // Fu
  uint32_t num_item_features = 0;  // Fi
  bool feature_interactions = false;

  // The items seen last: how many (0: none), and how their weight decays: the
  // n-th last one, n = 1, 2, ..., weighs exp(-(n - 1) / history_decay).
  uint32_t history_length = 0;
  double history_decay = 5;

  bool has_product() const { return factors > 0; }
  bool has_tower() const { return !hidden.empty(); }
  bool has_history() const { return history_length > 0; }
};

// INVALID_ARGUMENT that says which setting is missing, out of range or at odds
// with another.
absl::Status ValidateSpec(const ModelSpec& spec);

}  // namespace neumf
