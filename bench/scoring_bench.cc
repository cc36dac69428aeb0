// Scores the whole catalog for a batch of users and selects the best 100 of
// each, with 200 items seen by every user: the reference against the CPU
// backend.
//
// Arguments are items / users in a batch / threads. `pairs/s` counts (user,
// item) pairs; `fma/s` the multiply-adds that they cost. Weights are random, so
// the scores are not those of a trained model.

#include <benchmark/benchmark.h>

#include <random>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "scoring/scorer.h"

namespace neumf {
namespace {

constexpr uint32_t kBest = 100;
constexpr uint32_t kSeen = 200;
constexpr uint32_t kGmfWidth = 8;
// Tower A: [64, 32, 16, 8], its first layer folded into the tables.
const std::vector<uint32_t> kTowerWidths = {32, 16, 8};

void FillRandomly(std::mt19937& random, float* values, size_t count) {
  std::normal_distribution<float> normal(0.0F, 0.3F);
  for (size_t i = 0; i < count; ++i) values[i] = normal(random);
}

std::vector<float> RandomVector(std::mt19937& random, size_t size) {
  std::vector<float> values(size);
  FillRandomly(random, values.data(), size);
  return values;
}

AlignedMatrix RandomMatrix(std::mt19937& random, uint64_t rows, uint32_t cols) {
  AlignedMatrix matrix(rows, cols);
  FillRandomly(random, matrix.data(), matrix.size());
  return matrix;
}

ModelShape ShapeOf(uint64_t num_users, uint64_t num_items) {
  ModelShape shape;
  shape.num_users = num_users;
  shape.num_items = num_items;
  shape.gmf_width = kGmfWidth;
  shape.tower_widths = kTowerWidths;
  return shape;
}

ScoreNetwork RandomNetwork(std::mt19937& random) {
  ScoreNetwork network;
  for (size_t i = 1; i < kTowerWidths.size(); ++i) {
    const uint32_t in = kTowerWidths[i - 1];
    const uint32_t out = kTowerWidths[i];
    network.layers.push_back({in, out, RandomVector(random, size_t{in} * out),
                              RandomVector(random, out)});
  }
  network.head_weight = RandomVector(random, kTowerWidths.back());
  return network;
}

// Multiply-adds of one pair.
double FmaPerPair() {
  double count = kGmfWidth + kTowerWidths.back();
  for (size_t i = 1; i < kTowerWidths.size(); ++i) {
    count += static_cast<double>(kTowerWidths[i - 1]) * kTowerWidths[i];
  }
  return count;
}

// A scorer and a batch of queries.
class World {
 public:
  World(Backend backend, uint64_t num_items, uint64_t num_users,
        size_t num_threads)
      : users_gmf_(RandomMatrix(random_, num_users, kGmfWidth)),
        users_tower_(RandomMatrix(random_, num_users, kTowerWidths.front())) {
    MakeScorer(backend, ShapeOf(num_users, num_items), num_threads);
    for (uint32_t i = 0; i < kSeen; ++i) {
      seen_.push_back(static_cast<uint32_t>(i * num_items / kSeen));
    }
    for (uint64_t user = 0; user < num_users; ++user) {
      RankQuery query;
      query.user_gmf = users_gmf_.row(user).data();
      query.user_tower = users_tower_.row(user).data();
      query.seen = seen_;
      query.k = kBest;
      queries_.push_back(query);
    }
    rankings_.resize(num_users);
  }

  void Rank() {
    NEUMF_CHECK(scorer_->Rank(queries_, absl::MakeSpan(rankings_)).ok());
  }
  const char* backend_name() const { return scorer_->name(); }

 private:
  void MakeScorer(Backend backend, const ModelShape& shape,
                  size_t num_threads) {
    ScorerOptions options;
    options.num_threads = num_threads;
    auto builder =
        MakeScorerBuilder(backend, shape, RandomNetwork(random_), options);
    NEUMF_CHECK(builder.ok());
    ItemTables items;
    items.gmf = RandomMatrix(random_, shape.num_items, kGmfWidth);
    items.tower = RandomMatrix(random_, shape.num_items, kTowerWidths.front());
    NEUMF_CHECK(StreamItemTables(items, [&](const ItemRows& rows) {
                  return (*builder)->Add(rows);
                }).ok());
    auto scorer = (*builder)->Build();
    NEUMF_CHECK(scorer.ok());
    scorer_ = *std::move(scorer);
  }

  std::mt19937 random_;
  AlignedMatrix users_gmf_;
  AlignedMatrix users_tower_;
  std::vector<uint32_t> seen_;
  std::unique_ptr<Scorer> scorer_;
  std::vector<RankQuery> queries_;
  std::vector<Ranking> rankings_;
};

void RankCatalog(benchmark::State& state, Backend backend) {
  const auto num_items = static_cast<uint64_t>(state.range(0));
  const auto num_users = static_cast<uint64_t>(state.range(1));
  World world(backend, num_items, num_users,
              static_cast<size_t>(state.range(2)));
  world.Rank();
  for (auto _ : state) world.Rank();

  const double pairs = static_cast<double>(state.iterations()) *
                       static_cast<double>(num_items * num_users);
  state.counters["pairs/s"] =
      benchmark::Counter(pairs, benchmark::Counter::kIsRate);
  state.counters["fma/s"] =
      benchmark::Counter(pairs * FmaPerPair(), benchmark::Counter::kIsRate);
  state.SetLabel(world.backend_name());
}

BENCHMARK_CAPTURE(RankCatalog, reference, Backend::kReference)
    ->Args({3706, 1, 1})
    ->Args({100000, 1, 1})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(RankCatalog, cpu, Backend::kCpu)
    ->ArgsProduct({{3706, 100000}, {1, 32}, {1, 2}})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace
}  // namespace neumf
