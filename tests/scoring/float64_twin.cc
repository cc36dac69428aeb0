#include "tests/scoring/float64_twin.h"

#include <cmath>
#include <vector>

namespace neumf {
namespace {

double Act(Activation activation, double x) {
  switch (activation) {
    case Activation::kRelu:
      return x > 0 ? x : 0;
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return 0;
}

double Dot(const float* weights, const std::vector<double>& x) {
  double sum = 0;
  for (size_t k = 0; k < x.size(); ++k) sum += weights[k] * x[k];
  return sum;
}

std::vector<double> TowerInFloat64(const TinyModel& tiny, uint64_t user,
                                   uint64_t item) {
  const ServingModel& model = tiny.model;
  const Activation activation = model.network.activation;
  std::vector<double> h(model.shape.tower_width());
  for (size_t k = 0; k < h.size(); ++k) {
    h[k] = Act(activation, double{model.users.tower.row(user)[k]} +
                               double{tiny.items.tower.row(item)[k]});
  }
  for (const DenseLayer& layer : model.network.layers) {
    std::vector<double> out;
    for (size_t o = 0; o < layer.out; ++o) {
      const double sum = Dot(layer.weight.data() + o * layer.in, h);
      out.push_back(Act(activation, sum + layer.bias[o]));
    }
    h = out;
  }
  return h;
}

}  // namespace

double ScoreInFloat64(const TinyModel& tiny, uint64_t user, uint64_t item) {
  const ServingModel& model = tiny.model;
  double score = model.network.head_bias;
  for (uint32_t k = 0; k < model.shape.gmf_width; ++k) {
    score += double{model.users.gmf.row(user)[k]} * tiny.items.gmf.row(item)[k];
  }
  if (model.shape.has_tower()) {
    score +=
        Dot(model.network.head_weight.data(), TowerInFloat64(tiny, user, item));
  }
  if (!tiny.items.bias.empty()) score += tiny.items.bias[item];
  return score;
}

}  // namespace neumf
