#include "model/score_bound.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/float16.h"

namespace neumf {
namespace {

// Half of FLT_MAX: sums in float32 round, and at the widths that ModelLimits
// allows they stay well within a factor of two of the exact sum.
constexpr double kLimit = FLT_MAX / 2.0;

// Raises `largest` [width] to the largest |value| of each column of `values`
// [rows, width] row-major.
void RaiseToColumnMaxima(const float* values, uint64_t rows,
                         std::vector<double>& largest) {
  const size_t width = largest.size();
  std::vector<float> block(width);  // in float the loop is twice as fast
  float* const block_data = block.data();
  for (uint64_t row = 0; row < rows; ++row) {
    const float* const row_values = values + row * width;
    for (size_t i = 0; i < width; ++i) {
      const float magnitude = std::fabs(row_values[i]);
      block_data[i] = magnitude > block_data[i] ? magnitude : block_data[i];
    }
  }
  for (size_t i = 0; i < width; ++i) {
    largest[i] = std::max(largest[i], double{block[i]});
  }
}

// In integers, which stand in the order of the magnitudes.
void RaiseToColumnMaxima(const Float16* values, uint64_t rows,
                         std::vector<double>& largest) {
  const size_t width = largest.size();
  std::vector<Float16> block(width);
  for (uint64_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < width; ++i) {
      const uint16_t magnitude = values[row * width + i].magnitude();
      block[i].bits = std::max(block[i].bits, magnitude);
    }
  }
  for (size_t i = 0; i < width; ++i) {
    largest[i] = std::max(largest[i], double{ToFloat(block[i])});
  }
}

void Raise(const std::vector<double>& from, std::vector<double>& largest) {
  for (size_t i = 0; i < largest.size(); ++i) {
    largest[i] = std::max(largest[i], from[i]);
  }
}

// The bound on |weights . x| where |x[i]| <= bounds[i]. A bound may already be
// infinite, and a weight of 0 times that must not become NaN.
double BoundDot(const float* weights, absl::Span<const double> bounds) {
  double sum = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    if (weights[i] != 0) sum += std::fabs(double{weights[i]}) * bounds[i];
  }
  return sum;
}

void Activate(Activation activation, std::vector<double>& bounds) {
  for (double& bound : bounds) {
    switch (activation) {
      case Activation::kRelu:
        break;
      case Activation::kTanh:
        bound = std::min(bound, 1.0);
        break;
      case Activation::kSigmoid:
        bound = 1;  // sigmoid(0) is not 0
        break;
    }
  }
}

std::vector<double> BoundFirstLayer(absl::Span<const double> users,
                                    absl::Span<const double> items) {
  std::vector<double> bounds(users.size());
  for (size_t i = 0; i < bounds.size(); ++i) bounds[i] = users[i] + items[i];
  return bounds;
}

std::vector<double> BoundLayer(const DenseLayer& layer,
                               absl::Span<const double> inputs) {
  std::vector<double> bounds(layer.out);
  for (size_t i = 0; i < bounds.size(); ++i) {
    bounds[i] = BoundDot(layer.weight.data() + i * layer.in, inputs) +
                std::fabs(double{layer.bias[i]});
  }
  return bounds;
}

double Largest(const std::vector<double>& bounds) {
  return *std::max_element(bounds.begin(), bounds.end());
}

}  // namespace

ScoreBound::ScoreBound(const ModelShape& shape)
    : user_gmf_(shape.gmf_width),
      user_tower_(shape.tower_width()),
      item_gmf_(shape.gmf_width),
      item_tower_(shape.tower_width()) {}

void ScoreBound::AddUsers(const UserTables& users) {
  RaiseToColumnMaxima(users.gmf.data(), users.gmf.rows(), user_gmf_);
  RaiseToColumnMaxima(users.tower.data(), users.tower.rows(), user_tower_);
  RaiseToColumnMaxima(users.gmf16.data(), users.gmf16.rows(), user_gmf_);
  RaiseToColumnMaxima(users.tower16.data(), users.tower16.rows(), user_tower_);
}

void ScoreBound::AddItems(const ItemRows& rows) {
  switch (rows.table) {
    case ItemTable::kTower:
      return RaiseToColumnMaxima(rows.values, rows.num_rows, item_tower_);
    case ItemTable::kGmf:
      return RaiseToColumnMaxima(rows.values, rows.num_rows, item_gmf_);
    case ItemTable::kBias:
      return RaiseToColumnMaxima(rows.values, rows.num_rows, item_bias_);
  }
}

void ScoreBound::AddUsersOf(const ScoreBound& other) {
  Raise(other.user_gmf_, user_gmf_);
  Raise(other.user_tower_, user_tower_);
}

void ScoreBound::AddItemsOf(const ScoreBound& other) {
  Raise(other.item_gmf_, item_gmf_);
  Raise(other.item_tower_, item_tower_);
  Raise(other.item_bias_, item_bias_);
}

std::vector<double> ScoreBound::StageBounds(const ScoreNetwork& network) const {
  std::vector<double> stages;
  double score = item_bias_[0] + std::fabs(double{network.head_bias});
  for (size_t i = 0; i < user_gmf_.size(); ++i) {
    score += user_gmf_[i] * item_gmf_[i];
  }
  if (!user_tower_.empty()) {
    std::vector<double> bounds = BoundFirstLayer(user_tower_, item_tower_);
    stages.push_back(Largest(bounds));
    Activate(network.activation, bounds);
    for (const DenseLayer& layer : network.layers) {
      bounds = BoundLayer(layer, bounds);
      stages.push_back(Largest(bounds));
      Activate(network.activation, bounds);
    }
    score += BoundDot(network.head_weight.data(), bounds);
  }
  stages.push_back(score);
  return stages;
}

double ScoreBound::Bound(const ScoreNetwork& network) const {
  return StageBounds(network).back();
}

absl::Status ScoreBound::Check(const ScoreNetwork& network) const {
  const std::vector<double> stages = StageBounds(network);
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i] <= kLimit) continue;
    const std::string stage =
        i + 1 == stages.size() ? "scores" : absl::StrCat("tower layer ", i + 1);
    return absl::InvalidArgumentError(absl::StrCat(
        stage, " may reach ", stages[i], ", more than float32 safely holds"));
  }
  return absl::OkStatus();
}

}  // namespace neumf
