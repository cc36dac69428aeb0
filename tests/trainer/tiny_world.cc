#include "tests/trainer/tiny_world.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "trainer/random.h"

namespace neumf {
namespace {

double Dot(absl::Span<const float> a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) sum += double{a[k]} * b[k];
  return sum;
}

std::vector<double> ToDouble(absl::Span<const float> values) {
  return std::vector<double>(values.begin(), values.end());
}

double Relu(double value) { return std::max(value, 0.0); }

uint32_t DrawItem(uint32_t user, uint64_t num_items, Random& random) {
  for (;;) {
    const uint32_t item = random.Below(static_cast<uint32_t>(num_items));
    if (item % 4 == user % 4 || random.Below(3) == 0) return item;
  }
}

}  // namespace

EventLog MakeTinyLog(uint64_t num_users, uint64_t num_items, uint64_t seed) {
  EventLog log;
  log.has_times = true;
  for (uint64_t u = 0; u < num_users; ++u) {
    log.user_ids.push_back(absl::StrCat(100 + u));
  }
  std::sort(log.user_ids.begin(), log.user_ids.end(),
            [](const std::string& a, const std::string& b) {
              return IdHash(a) < IdHash(b);
            });
  for (uint64_t i = 0; i < num_items; ++i) {
    log.item_ids.push_back(absl::StrCat(1 + i));
  }
  Random random(seed);
  int64_t time = 0;
  for (uint32_t user = 0; user < num_users; ++user) {
    std::set<uint32_t> items;
    const size_t count = 5 + random.Below(10);
    while (items.size() < count) {
      items.insert(DrawItem(user, num_items, random));
    }
    for (uint32_t item : items) {
      log.events.push_back({user, item, 5, ++time});
    }
  }
  return log;
}

std::string TinyDataText(const EventLog& log) {
  std::string text;
  for (const Event& event : log.events) {
    absl::StrAppend(&text, log.user_ids[event.user], "\t",
                    log.item_ids[event.item], "\t", event.rating, "\t",
                    event.time, "\n");
  }
  return text;
}

Interactions TrainPart(const EventLog& log, const Split& split) {
  return Interactions(log.num_users(), log.num_items(), split.train);
}

TrainSettings TinySettings() {
  TrainSettings settings;
  settings.factors = 4;
  settings.tower_factors = 4;
  settings.hidden = {6, 4};
  settings.batch_size = 64;
  settings.epochs = 3;
  settings.learning_rate = 0.02;
  settings.weight_decay = 1e-5;
  return settings;
}

NeuMfParameters MakeRandomParameters(uint64_t seed) {
  NeuMfShape shape;
  shape.num_users = 5;
  shape.num_items = 7;
  shape.factors = 3;
  shape.tower_factors = 5;
  shape.hidden = {4, 3, 2};
  NeuMfParameters parameters(shape);
  Random random(seed);
  for (float& value : parameters.values()) {
    value = static_cast<float>(random.Normal());
  }
  return parameters;
}

std::vector<double> ScoreByDefinition(const NeuMfParameters& parameters,
                                      uint64_t user) {
  const NeuMfLayout& layout = parameters.layout();
  const std::vector<double> p = ToDouble(parameters.row(layout.user_gmf, user));
  const std::vector<double> e = ToDouble(parameters.row(layout.user_mlp, user));
  std::vector<double> scores;
  for (uint64_t item = 0; item < parameters.shape().num_items; ++item) {
    std::vector<double> product =
        ToDouble(parameters.row(layout.item_gmf, item));
    for (size_t k = 0; k < product.size(); ++k) product[k] *= p[k];
    const std::vector<double> f =
        ToDouble(parameters.row(layout.item_mlp, item));
    std::vector<double> z;
    for (uint64_t o = 0; o < layout.first_bias.cols; ++o) {
      z.push_back(Relu(Dot(parameters.row(layout.first_user_weight, o), e) +
                       Dot(parameters.row(layout.first_item_weight, o), f) +
                       double{parameters.row(layout.first_bias, 0)[o]}));
    }
    for (const NeuMfLayout::Dense& layer : layout.layers) {
      std::vector<double> next;
      for (uint64_t o = 0; o < layer.weight.rows; ++o) {
        next.push_back(Relu(Dot(parameters.row(layer.weight, o), z) +
                            double{parameters.row(layer.bias, 0)[o]}));
      }
      z = next;
    }
    scores.push_back(Dot(parameters.row(layout.gmf_head, 0), product) +
                     Dot(parameters.row(layout.mlp_head, 0), z));
  }
  return scores;
}

}  // namespace neumf
