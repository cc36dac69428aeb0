#include "tests/support/tiny_model.h"

#include <cstddef>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/logging.h"

namespace neumf {
namespace {

class Generator {
 public:
  explicit Generator(uint64_t seed) : engine_(seed) {}

  // Sums of uniform numbers: about N(0, 0.5), and, unlike
  // std::normal_distribution, the same with every standard library.
  float Value() {
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += Uniform();
    return static_cast<float>((sum - 2.0) * kScale);
  }

  void Fill(absl::Span<float> values) {
    for (float& value : values) value = Value();
  }

  // Below `end`.
  uint64_t Below(uint64_t end) { return engine_() % end; }

 private:
  // The sum of four uniform numbers has a variance of 1/3.
  static constexpr double kScale = 0.5 * 1.7320508075688772;

  double Uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

  std::mt19937_64 engine_;
};

std::vector<float> RandomVector(Generator& random, size_t size) {
  std::vector<float> values(size);
  random.Fill(absl::MakeSpan(values));
  return values;
}

AlignedMatrix RandomMatrix(Generator& random, uint64_t rows, uint32_t cols) {
  AlignedMatrix matrix(rows, cols);
  random.Fill(absl::MakeSpan(matrix.data(), matrix.size()));
  return matrix;
}

ModelShape ShapeOf(const TinyModelOptions& options) {
  ModelShape shape;
  shape.num_users = options.num_users;
  shape.num_items = options.num_items;
  shape.gmf_width = options.gmf_width;
  shape.tower_widths = options.tower_widths;
  shape.has_item_bias = options.item_bias;
  return shape;
}

ScoreNetwork RandomNetwork(Generator& random, const ModelShape& shape,
                           Activation activation) {
  ScoreNetwork network;
  network.activation = activation;
  network.head_bias = random.Value();
  const std::vector<uint32_t>& widths = shape.tower_widths;
  for (size_t i = 1; i < widths.size(); ++i) {
    DenseLayer layer;
    layer.in = widths[i - 1];
    layer.out = widths[i];
    layer.weight = RandomVector(random, size_t{layer.in} * layer.out);
    layer.bias = RandomVector(random, layer.out);
    network.layers.push_back(std::move(layer));
  }
  if (shape.has_tower()) {
    network.head_weight = RandomVector(random, widths.back());
  }
  return network;
}

IdTable NumberedIds(absl::string_view prefix, uint64_t count) {
  std::vector<std::string> ids;
  for (uint64_t row = 0; row < count; ++row) {
    ids.push_back(absl::StrCat(prefix, row));
  }
  absl::StatusOr<IdTable> table = IdTable::FromIds(ids);
  NEUMF_CHECK(table.ok());
  return *std::move(table);
}

// `count` of the `num_items` items, each set equally likely.
std::vector<uint32_t> RandomRow(Generator& random, uint64_t count,
                                uint64_t num_items) {
  std::vector<uint32_t> row;
  for (uint64_t item = 0; item < num_items && row.size() < count; ++item) {
    const uint64_t missing = count - row.size();
    if (random.Below(num_items - item) < missing) {
      row.push_back(static_cast<uint32_t>(item));
    }
  }
  return row;
}

SeenSets RandomSeen(Generator& random, const ModelShape& shape,
                    uint64_t per_user) {
  std::vector<uint64_t> offsets = {0};
  std::vector<uint32_t> items;
  for (uint64_t user = 0; user < shape.num_users; ++user) {
    const std::vector<uint32_t> row =
        RandomRow(random, per_user, shape.num_items);
    items.insert(items.end(), row.begin(), row.end());
    offsets.push_back(items.size());
  }
  absl::StatusOr<SeenSets> sets =
      SeenSets::FromRows(offsets, items, shape.num_items);
  NEUMF_CHECK(sets.ok());
  return *std::move(sets);
}

}  // namespace

TinyModel MakeTinyModel(const TinyModelOptions& options) {
  Generator random(options.seed);
  TinyModel tiny;
  ServingModel& model = tiny.model;
  model.shape = ShapeOf(options);
  model.network = RandomNetwork(random, model.shape, options.activation);
  model.users.gmf = RandomMatrix(random, options.num_users, options.gmf_width);
  model.users.tower =
      RandomMatrix(random, options.num_users, model.shape.tower_width());
  model.user_ids = NumberedIds("u", options.num_users);
  model.item_ids = NumberedIds("i", options.num_items);
  model.seen = RandomSeen(random, model.shape, options.seen_per_user);
  if (options.popularity) {
    model.popularity = RandomVector(random, options.num_items);
  }
  tiny.items = MakeItemTables(model.shape);
  random.Fill(absl::MakeSpan(tiny.items.gmf.data(), tiny.items.gmf.size()));
  random.Fill(absl::MakeSpan(tiny.items.tower.data(), tiny.items.tower.size()));
  random.Fill(absl::MakeSpan(tiny.items.bias));
  return tiny;
}

}  // namespace neumf
