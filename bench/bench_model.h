#pragma once

// The models that the scoring benchmarks measure, at several catalog sizes.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "model/serving_model.h"
#include "scoring/scorer.h"

namespace neumf {

struct BenchModel {
  ModelShape shape;
  ScoreNetwork network;
  UserTables users;
  ItemTables items;
  SeenSets seen;
  bool trained = false;

  const char* weights() const { return trained ? "trained" : "random"; }
};

// Multiply-adds of one (user, item) pair, the first layer being folded.
double MacsPerPair(const ModelShape& shape);

// Normal weights, scaled so that scores neither vanish nor explode. `widths`,
// after the fold, may be empty, or `gmf_width` 0.
BenchModel MakeRandomModel(const std::vector<uint32_t>& widths,
                           uint32_t gmf_width, uint64_t num_items);

// The towers of the figures, after the fold: "A" = [32,16,8], "B" = [64,32,16],
// "C" = [128,64], each with a GMF part of 8. REQUIRES: `tower` is one of the
// three.
BenchModel MakeRandomTower(absl::string_view tower, uint64_t num_items);

// Dot products alone, of width `dim`.
BenchModel MakeRandomDotProduct(uint32_t dim, uint64_t num_items);

// The largest version in `directory`; NOT_FOUND when there is none.
absl::StatusOr<BenchModel> LoadTrainedModel(absl::string_view directory);

// `model` with a catalog of `num_items`: row j is row j mod I, from the second
// copy on with Gaussian noise of 0.3 standard deviations of its column, so that
// copies are alike but never tie. What a user has seen moves to random copies.
BenchModel WithItems(const BenchModel& model, uint64_t num_items);

// Tower `name` with `num_items`: trained when `directory`/`name` holds a
// checkpoint, else random, and then a line on stderr says so.
BenchModel MakeTower(absl::string_view directory, absl::string_view name,
                     uint64_t num_items);

// The CPU backend, as it serves.
std::unique_ptr<Scorer> MakeScorer(const BenchModel& model, size_t num_threads);
// The same without a first pass in low precision.
std::unique_ptr<Scorer> MakeFloat32Scorer(const BenchModel& model,
                                          size_t num_threads);

// Users spread evenly over the model, each with `num_seen` seen items: those of
// the model, thinned or topped up with every second of the user's best items
// and with rows spread over the catalog. Selections then meet seen items where
// it costs most. Points into `model`.
class QueryBatch {
 public:
  QueryBatch(const BenchModel& model, size_t num_users, size_t num_seen,
             uint32_t k);

  absl::Span<const RankQuery> queries() const { return queries_; }

 private:
  std::vector<std::vector<uint32_t>> seen_;
  std::vector<RankQuery> queries_;
};

}  // namespace neumf
