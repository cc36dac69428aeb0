#include "tests/scoring/float64_twin.h"

#include <cmath>
#include <vector>

namespace neumf {
namespace {

// A value and the sum of the magnitudes that it was made of.
struct Term {
  double value = 0;
  double magnitude = 0;

  void Add(double weight, const Term& x) {
    value += weight * x.value;
    magnitude += std::fabs(weight) * x.magnitude;
  }
};

Term Exact(double value) { return {value, std::fabs(value)}; }

// Activations do not enlarge differences; a sigmoid is of the order of 1 where
// its input is 0.
Term Act(Activation activation, const Term& x) {
  switch (activation) {
    case Activation::kRelu:
      return {x.value > 0 ? x.value : 0, x.magnitude};
    case Activation::kTanh:
      return {std::tanh(x.value), x.magnitude};
    case Activation::kSigmoid:
      return {1 / (1 + std::exp(-x.value)), 1 + x.magnitude};
  }
  return {};
}

}  // namespace

TwinScore ScoreInFloat64(const TinyModel& tiny, uint64_t user, uint64_t item) {
  const ServingModel& model = tiny.model;
  const ScoreNetwork& network = model.network;
  size_t num_terms = 16 + model.shape.gmf_width;
  Term score = Exact(network.head_bias);
  for (uint32_t k = 0; k < model.shape.gmf_width; ++k) {
    score.Add(model.users.gmf.row(user)[k], Exact(tiny.items.gmf.row(item)[k]));
  }

  std::vector<Term> h(model.shape.tower_width());
  for (size_t k = 0; k < h.size(); ++k) {
    h[k] = Exact(model.users.tower.row(user)[k]);
    h[k].Add(1, Exact(tiny.items.tower.row(item)[k]));
    h[k] = Act(network.activation, h[k]);
  }
  for (const DenseLayer& layer : network.layers) {
    std::vector<Term> out;
    for (size_t o = 0; o < layer.out; ++o) {
      Term sum = Exact(layer.bias[o]);
      for (size_t k = 0; k < layer.in; ++k) {
        sum.Add(layer.weight[o * layer.in + k], h[k]);
      }
      out.push_back(Act(network.activation, sum));
    }
    num_terms += layer.in + 8;
    h = out;
  }
  num_terms += h.size();
  for (size_t k = 0; k < h.size(); ++k) {
    score.Add(network.head_weight[k], h[k]);
  }
  if (!tiny.items.bias.empty()) score.Add(1, Exact(tiny.items.bias[item]));
  constexpr double kUnitRoundoff = 0x1p-24;
  return {score.value, num_terms * kUnitRoundoff * score.magnitude};
}

}  // namespace neumf
