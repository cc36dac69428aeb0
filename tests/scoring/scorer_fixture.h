#pragma once

// What the scorer tests share: every backend that this machine can run, and a
// fixture that builds one of them beside the reference over a model.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "scoring/scorer.h"
#include "tests/scoring/scorer_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_query.h"

namespace neumf {

struct BackendCase {
  Backend backend = Backend::kReference;
  size_t num_threads = 1;
  int64_t target = 0;  // one Highway target for the CPU backend
};

// The reference, and the CPU backend with each instruction set of this machine
// that its kernel was compiled for, on 1, 2, 3 and 5 threads.
std::vector<BackendCase> AllBackends();
// Of them, the CPU backend's on `num_threads` threads.
std::vector<BackendCase> CpuBackends(size_t num_threads);
std::string BackendCaseName(const testing::TestParamInfo<BackendCase>& info);

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
