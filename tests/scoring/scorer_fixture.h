#pragma once

// What the scorer tests share: a fixture that builds a backend beside the
// reference over a model. They are compiled once for each list of backends, as
// programs of their own, which say what AllBackends() is.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "scoring/scorer.h"
#include "tests/scoring/scorer_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_query.h"

namespace neumf {

// A way to make scorers, the reference's at first.
struct BackendCase {
  std::string name = "reference";
  // Null: MakeScorerBuilder() of the reference.
  std::function<absl::StatusOr<std::unique_ptr<ScorerBuilder>>(
      const ModelShape&, const ScoreNetwork&, const FirstPassOptions&)>
      make_builder;
  testing::Matcher<std::string> scorer_name = testing::Eq("reference");
  bool only_relu = false;  // it refuses towers with another activation
  // Scoring takes long: tests are content with fewer rounds.
  bool is_slow = false;
  int64_t target = 0;  // one Highway target for the CPU backend

  friend void PrintTo(const BackendCase& backend, std::ostream* out) {
    *out << backend.name;
  }
};

// Those that this program tests.
std::vector<BackendCase> AllBackends();
std::string BackendCaseName(const testing::TestParamInfo<BackendCase>& info);

absl::StatusOr<std::unique_ptr<ScorerBuilder>> MakeBuilder(
    const BackendCase& backend, const ModelShape& shape,
    const ScoreNetwork& network, const FirstPassOptions& first_pass = {});
std::unique_ptr<Scorer> MakeScorer(const BackendCase& backend,
                                   const TinyModel& tiny,
                                   const FirstPassOptions& first_pass = {});

// Bits, so that -0.0 and NaN cannot pass for something else.
std::vector<std::pair<uint32_t, uint32_t>> RowsAndScoreBits(
    const Ranking& ranking);
std::vector<uint32_t> RowsOf(const Ranking& ranking);

// All rows below `end`.
std::vector<uint32_t> RowsBelow(uint32_t end);

// Tests of one backend against the reference over one model at a time.
class ScorerTest : public testing::TestWithParam<BackendCase> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Fails when the scorer is not that of the case, its instruction set included.
  void Use(TinyModel tiny);
  void Use(const TinyModelOptions& options) { Use(MakeTinyModel(options)); }

  // Of `count` rounds, as many as this backend can do in the time that a test
  // has.
  static uint64_t Rounds(uint64_t count) {
    return GetParam().is_slow ? (count + 1) / 2 : count;
  }
  static bool Takes(Activation activation) {
    return activation == Activation::kRelu || !GetParam().only_relu;
  }

  RankQuery QueryOf(uint32_t user, uint32_t k) const {
    return neumf::QueryOf(tiny_, user, k);
  }
  // All users of the model.
  std::vector<RankQuery> QueriesOfAll(uint32_t k) const;

  Ranking Rank(const RankQuery& query) const;
  std::vector<Ranking> RankBatch(const std::vector<RankQuery>& queries) const;
  void ExpectSameAsReference(const std::vector<RankQuery>& queries) const;
  // The score of every item, seen or not, against the twin's.
  void ExpectNearFloat64(uint32_t user) const;

  FirstPassOptions first_pass_;  // for Use()
  TinyModel tiny_;
  std::unique_ptr<Scorer> scorer_;
  std::unique_ptr<Scorer> reference_;
};

}  // namespace neumf
