#include "bench/bench_model.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <random>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"

namespace neumf {
namespace {

constexpr uint64_t kRandomUsers = 64;
constexpr uint32_t kGmfWidth = 8;
constexpr float kNoise = 0.3F;  // standard deviations of a column

class RandomNumbers {
 public:
  void Fill(float scale, float* values, size_t count) {
    for (size_t i = 0; i < count; ++i) values[i] = scale * normal_(random_);
  }
  AlignedMatrix Matrix(uint64_t rows, uint32_t cols, float scale) {
    AlignedMatrix matrix(rows, cols);
    Fill(scale, matrix.data(), matrix.size());
    return matrix;
  }
  std::vector<float> Vector(size_t size, float scale) {
    std::vector<float> values(size);
    Fill(scale, values.data(), size);
    return values;
  }
  float Normal() { return normal_(random_); }
  uint64_t Below(uint64_t end) { return random_() % end; }

 private:
  std::mt19937_64 random_{1};
  std::normal_distribution<float> normal_;
};

// Keeps the size of activations from layer to layer under ReLU.
float WeightScale(uint32_t fan_in) {
  return std::sqrt(2.0F / static_cast<float>(fan_in));
}

std::vector<uint32_t> TowerWidths(absl::string_view tower) {
  if (tower == "A") return {32, 16, 8};
  if (tower == "B") return {64, 32, 16};
  NEUMF_CHECK(tower == "C");
  return {128, 64};
}

ScoreNetwork RandomNetwork(const std::vector<uint32_t>& widths,
                           RandomNumbers& random) {
  ScoreNetwork network;
  if (widths.empty()) return network;
  for (size_t i = 1; i < widths.size(); ++i) {
    const uint32_t in = widths[i - 1];
    const uint32_t out = widths[i];
    network.layers.push_back({in, out,
                              random.Vector(size_t{in} * out, WeightScale(in)),
                              random.Vector(out, 0.1F)});
  }
  network.head_weight =
      random.Vector(widths.back(), WeightScale(widths.back()));
  return network;
}

// Standard deviation of each column of `values` [rows, cols].
std::vector<float> Deviations(const float* values, uint64_t rows,
                              uint32_t cols) {
  std::vector<float> deviations;
  for (uint32_t c = 0; c < cols; ++c) {
    double sum = 0;
    double squares = 0;
    for (uint64_t r = 0; r < rows; ++r) {
      const double value = values[r * cols + c];
      sum += value;
      squares += value * value;
    }
    const auto n = static_cast<double>(rows);
    const double variance = squares / n - sum / n * (sum / n);
    deviations.push_back(
        static_cast<float>(std::sqrt(std::max(variance, 0.0))));
  }
  return deviations;
}

// Copies `from` [rows, cols] over and over into `to` [num_items, cols], with
// noise from the second time on.
void CopyWithNoise(const float* from, uint64_t rows, uint32_t cols,
                   uint64_t num_items, RandomNumbers& random, float* to) {
  const std::vector<float> deviations = Deviations(from, rows, cols);
  for (uint64_t j = 0; j < num_items; ++j) {
    const float* const row = from + j % rows * cols;
    for (uint32_t c = 0; c < cols; ++c) {
      const float noise =
          j < rows ? 0 : kNoise * deviations[c] * random.Normal();
      to[j * cols + c] = row[c] + noise;
    }
  }
}

ItemTables ItemsWithNoise(const BenchModel& model, uint64_t num_items,
                          RandomNumbers& random) {
  const uint64_t rows = model.shape.num_items;
  ModelShape shape = model.shape;
  shape.num_items = num_items;
  ItemTables items = MakeItemTables(shape);
  CopyWithNoise(model.items.gmf.data(), rows, shape.gmf_width, num_items,
                random, items.gmf.data());
  CopyWithNoise(model.items.tower.data(), rows, shape.tower_width(), num_items,
                random, items.tower.data());
  if (shape.has_item_bias) {
    CopyWithNoise(model.items.bias.data(), rows, 1, num_items, random,
                  items.bias.data());
  }
  return items;
}

SeenSets SeenOfCopies(const BenchModel& model, uint64_t num_items,
                      RandomNumbers& random) {
  if (model.seen.empty()) return {};
  const uint64_t rows = model.shape.num_items;
  std::vector<uint64_t> offsets = {0};
  std::vector<uint32_t> items;
  for (uint64_t user = 0; user < model.shape.num_users; ++user) {
    for (uint32_t row : model.seen.row(user)) {
      const uint64_t copies = (num_items - row + rows - 1) / rows;
      items.push_back(static_cast<uint32_t>(row + rows * random.Below(copies)));
    }
    std::sort(items.begin() + static_cast<std::ptrdiff_t>(offsets.back()),
              items.end());
    offsets.push_back(items.size());
  }
  auto seen = SeenSets::FromRows(offsets, items, num_items);
  NEUMF_CHECK(seen.ok());
  return *std::move(seen);
}

AlignedMatrix CopyOf(const AlignedMatrix& matrix) {
  AlignedMatrix copy(matrix.rows(), matrix.cols());
  std::copy_n(matrix.data(), matrix.size(), copy.data());
  return copy;
}

RankQuery QueryOf(const BenchModel& model, uint64_t user, uint32_t k) {
  RankQuery query;
  if (model.shape.gmf_width > 0) {
    query.user_gmf = model.users.gmf.row(user).data();
  }
  if (model.shape.has_tower()) {
    query.user_tower = model.users.tower.row(user).data();
  }
  query.k = k;
  return query;
}

// `num_seen` of `rows`, evenly spread.
std::vector<uint32_t> Thinned(absl::Span<const uint32_t> rows,
                              size_t num_seen) {
  std::vector<uint32_t> thinned;
  for (size_t i = 0; i < num_seen; ++i) {
    thinned.push_back(rows[i * rows.size() / num_seen]);
  }
  return thinned;
}

// `best` is the user's best items, none of them seen.
std::vector<uint32_t> ToppedUp(absl::Span<const uint32_t> rows,
                               const Ranking& best, size_t num_seen,
                               uint64_t num_items) {
  std::set<uint32_t> all(rows.begin(), rows.end());
  const size_t of_the_best = (num_seen - all.size()) / 2;
  for (size_t i = 0; i < of_the_best; ++i) {
    all.insert(best.items[2 * i].row);
  }
  for (size_t i = 0; all.size() < num_seen; ++i) {
    all.insert(static_cast<uint32_t>(i * num_items / num_seen % num_items));
  }
  return {all.begin(), all.end()};
}

std::vector<uint32_t> SeenOf(absl::Span<const uint32_t> rows,
                             const Ranking& best, size_t num_seen,
                             uint64_t num_items) {
  return rows.size() >= num_seen ? Thinned(rows, num_seen)
                                 : ToppedUp(rows, best, num_seen, num_items);
}

}  // namespace

double MacsPerPair(const ModelShape& shape) {
  double macs = shape.gmf_width;
  if (!shape.has_tower()) return macs;
  for (size_t l = 1; l < shape.tower_widths.size(); ++l) {
    macs +=
        static_cast<double>(shape.tower_widths[l - 1]) * shape.tower_widths[l];
  }
  return macs + shape.tower_widths.back();
}

BenchModel MakeRandomModel(const std::vector<uint32_t>& widths,
                           uint32_t gmf_width, uint64_t num_items) {
  RandomNumbers random;
  BenchModel model;
  model.shape.num_users = kRandomUsers;
  model.shape.num_items = num_items;
  model.shape.gmf_width = gmf_width;
  model.shape.tower_widths = widths;
  model.network = RandomNetwork(widths, random);
  const uint32_t tower_width = model.shape.tower_width();
  model.users.gmf = random.Matrix(kRandomUsers, gmf_width, 0.5F);
  model.users.tower = random.Matrix(kRandomUsers, tower_width, 0.5F);
  model.items.gmf = random.Matrix(num_items, gmf_width, 0.5F);
  model.items.tower = random.Matrix(num_items, tower_width, 0.5F);
  return model;
}

BenchModel MakeRandomTower(absl::string_view tower, uint64_t num_items) {
  return MakeRandomModel(TowerWidths(tower), kGmfWidth, num_items);
}

BenchModel MakeRandomDotProduct(uint32_t dim, uint64_t num_items) {
  return MakeRandomModel({}, dim, num_items);
}

absl::StatusOr<BenchModel> LoadTrainedModel(absl::string_view directory) {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  NEUMF_ASSIGN_OR_RETURN(const std::vector<CheckpointFile> checkpoints,
                         ListCheckpoints(*files, directory));
  if (checkpoints.empty()) {
    return absl::NotFoundError(absl::StrCat("no checkpoint in ", directory));
  }
  NEUMF_ASSIGN_OR_RETURN(LoadedCheckpoint loaded,
                         LoadCheckpoint(*files, checkpoints.back().path));
  if (loaded.model.users.is_float16()) {
    return absl::UnimplementedError("users in float16");
  }
  BenchModel model;
  model.shape = loaded.model.shape;
  model.network = std::move(loaded.model.network);
  model.users = std::move(loaded.model.users);
  model.items = std::move(loaded.items);
  model.seen = std::move(loaded.model.seen);
  model.trained = true;
  return model;
}

BenchModel WithItems(const BenchModel& model, uint64_t num_items) {
  RandomNumbers random;
  BenchModel result;
  result.shape = model.shape;
  result.shape.num_items = num_items;
  result.network = model.network;
  result.users.gmf = CopyOf(model.users.gmf);
  result.users.tower = CopyOf(model.users.tower);
  result.items = ItemsWithNoise(model, num_items, random);
  result.seen = SeenOfCopies(model, num_items, random);
  result.trained = model.trained;
  return result;
}

BenchModel MakeTower(absl::string_view directory, absl::string_view name,
                     uint64_t num_items) {
  const auto trained = LoadTrainedModel(absl::StrCat(directory, "/", name));
  if (trained.ok()) return WithItems(*trained, num_items);
  std::cerr << "random weights for tower " << name << ": "
            << trained.status().message() << std::endl;
  return MakeRandomTower(name, num_items);
}

namespace {

std::unique_ptr<Scorer> MakeCpuScorer(const BenchModel& model,
                                      const ScorerOptions& options) {
  auto builder =
      MakeScorerBuilder(Backend::kCpu, model.shape, model.network, options);
  NEUMF_CHECK(builder.ok());
  NEUMF_CHECK(StreamItemTables(model.items, [&](const ItemRows& rows) {
                return (*builder)->Add(rows);
              }).ok());
  auto scorer = (*builder)->Build();
  NEUMF_CHECK(scorer.ok());
  return *std::move(scorer);
}

}  // namespace

std::unique_ptr<Scorer> MakeScorer(const BenchModel& model,
                                   size_t num_threads) {
  ScorerOptions options;
  options.num_threads = num_threads;
  return MakeCpuScorer(model, options);
}

std::unique_ptr<Scorer> MakeFloat32Scorer(const BenchModel& model,
                                          size_t num_threads) {
  ScorerOptions options;
  options.num_threads = num_threads;
  options.first_pass.enabled = false;
  return MakeCpuScorer(model, options);
}

QueryBatch::QueryBatch(const BenchModel& model, size_t num_users,
                       size_t num_seen, uint32_t k) {
  const std::unique_ptr<Scorer> scorer = MakeScorer(model, 1);
  seen_.reserve(num_users);
  for (size_t b = 0; b < num_users; ++b) {
    const uint64_t user = b * model.shape.num_users / num_users;
    RankQuery query = QueryOf(model, user, static_cast<uint32_t>(num_seen));
    query.seen = model.seen.row(user);
    Ranking best;
    NEUMF_CHECK(scorer->Rank({&query, 1}, {&best, 1}).ok());
    seen_.push_back(SeenOf(query.seen, best, num_seen, model.shape.num_items));
    query.seen = seen_.back();
    query.k = k;
    queries_.push_back(query);
  }
}

}  // namespace neumf
