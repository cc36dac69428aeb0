// The protocols on the original data sets with the two simplest models, against
// numbers that were computed by other means: whoever changes a reader, a split,
// the order of item rows, ties or the metrics moves them. The data sets are not
// shipped with the sources: what is not there is skipped.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "data/interactions.h"
#include "data/readers.h"
#include "data/split.h"
#include "eval/protocols.h"
#include "tests/eval/fixed_scores_model.h"
#include "tests/support/movielens.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

// The published digits.
constexpr double kHalfDigit = .00005;

class GoldenValuesTest : public testing::Test {
 protected:
  using Reader = absl::StatusOr<EventLog> (*)(FileSystem&, absl::string_view,
                                              const ReadOptions&, ReadReport*);

  void Read(absl::string_view folder, Reader reader,
            const SplitOptions& options) {
    const auto files = MakePosixFileSystem();
    const std::string directory =
        JoinPath(DirectoryOf(MovieLens100kDirectory()), folder);
    if (!files->Stat(directory).ok()) {
      GTEST_SKIP() << "no " << directory << "; set NEUMF_TEST_DATA to a folder "
                   << "that has " << folder << "/";
    }
    ReadReport report;
    NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log,
                               reader(*files, directory, {}, &report));
    NEUMF_ASSERT_OK_AND_ASSIGN(split_, MakeSplit(log, options));
    train_ = Rows(log, split_.train);
    held_out_ = Rows(log, split_.held_out);
    low_rated_ = Rows(log, split_.low_rated);
  }

  std::vector<float> Popularity() const {
    const std::vector<uint32_t> counts = train_->ItemCounts();
    return std::vector<float>(counts.begin(), counts.end());
  }
  std::vector<float> Constant() const {
    return std::vector<float>(train_->num_items(), 1.0F);
  }

  void Evaluate(Protocol protocol, std::vector<float> item_scores,
                bool drop_rated = false) {
    const FixedScoresModel model(std::move(item_scores));
    std::vector<HeldOutQuery> queries;
    size_t next = 0;  // of the held-out events, which come by user
    for (uint64_t user = 0; user < train_->num_users(); ++user) {
      if (held_out_->row(user).empty()) continue;
      HeldOutQuery query;
      query.user_gmf = model.user_gmf();
      query.seen = train_->row(user);
      query.held_out = held_out_->row(user);
      if (!split_.negatives.empty()) query.negatives = split_.negatives[next];
      if (drop_rated) query.demoted = low_rated_->row(user);
      next += query.held_out.size();
      queries.push_back(query);
    }
    EvaluationOptions options;
    options.protocol = protocol;
    NEUMF_ASSERT_OK_AND_ASSIGN(
        evaluation_, EvaluateProtocol(model.scorer(), queries, options));
  }

  void Expect(absl::string_view name, double mean) const {
    const Metric* const metric = evaluation_.Find(name);
    ASSERT_NE(metric, nullptr) << name;
    EXPECT_NEAR(metric->mean, mean, kHalfDigit) << name;
  }

  Split split_;
  std::unique_ptr<Interactions> train_;
  std::unique_ptr<Interactions> held_out_;
  std::unique_ptr<Interactions> low_rated_;
  Evaluation evaluation_;

 private:
  static std::unique_ptr<Interactions> Rows(const EventLog& log,
                                            const std::vector<Event>& events) {
    return std::make_unique<Interactions>(log.num_users(), log.num_items(),
                                          events);
  }
};

class D2lGoldenTest : public GoldenValuesTest {
 protected:
  void SetUp() override {
    SplitOptions options;
    options.kind = SplitKind::kD2l;
    Read("ml-100k", ReadMovieLens100k, options);
  }
};

TEST_F(D2lGoldenTest, AConstantScoreRanksByRow) {
  Evaluate(Protocol::kD2l, Constant());
  EXPECT_EQ(evaluation_.num_users, 943);
  Expect("hit@50", .0753);
  Expect("auc", .7329);
  EXPECT_NEAR(evaluation_.Find("auc")->midrank_mean, .5, 1e-9);
}

TEST_F(D2lGoldenTest, PopularityIsABaseline) {
  Evaluate(Protocol::kD2l, Popularity());
  Expect("hit@50", .2153);
  Expect("auc", .7989);
}

class NcfGoldenTest : public GoldenValuesTest {
 protected:
  void SetUp() override {
    SplitOptions options;
    options.kind = SplitKind::kGiven;
    Read("ncf-ml-1m", ReadNcf, options);
  }
};

// .4520 would be that of a positive that is ranked twice where it is among its
// own negatives.
TEST_F(NcfGoldenTest, PopularityIsABaseline) {
  Evaluate(Protocol::kNcf, Popularity());
  EXPECT_EQ(evaluation_.num_users, 6040);
  Expect("hr@10", .4531);
  Expect("ndcg@10", .2541);
}

TEST_F(NcfGoldenTest, AConstantScoreLosesEveryTie) {
  Evaluate(Protocol::kNcf, Constant());
  Expect("hr@10", 0);
  Expect("ndcg@10", 0);
}

class TripletGoldenTest : public GoldenValuesTest {
 protected:
  void SetUp() override {
    SplitOptions options;
    options.kind = SplitKind::kGiven;
    options.min_rating = 4;
    Read("ml-100k", ReadMovieLens100kUa, options);
  }
};

TEST_F(TripletGoldenTest, AConstantScoreTiesWithAll) {
  Evaluate(Protocol::kTriplet, Constant());
  Expect("auc", .5);
}

TEST_F(TripletGoldenTest, PopularityIsABaseline) {
  Evaluate(Protocol::kTriplet, Popularity());
  EXPECT_EQ(evaluation_.num_users, 934);
  Expect("auc", .8724);
  Expect("precision@5", .0844);
  Expect("precision@10", .0670);
  Expect("recall@10", .1190);
  Expect("ndcg@10", .1108);
  Expect("map", .0861);
}

TEST_F(TripletGoldenTest, WhatWasRatedLowStandsBelowAllOthers) {
  Evaluate(Protocol::kTriplet, Popularity(), /*drop_rated=*/true);
  Expect("auc", .8811);
  Expect("precision@5", .0957);
  Expect("precision@10", .0745);
  Expect("recall@10", .1346);
  Expect("ndcg@10", .1270);
  Expect("map", .0986);
}

class FullGoldenTest : public GoldenValuesTest {
 protected:
  void SetUp() override {
    SplitOptions options;
    options.kind = SplitKind::kGiven;
    Read("gowalla", ReadLightGcn, options);
  }
};

TEST_F(FullGoldenTest, PopularityIsABaseline) {
  Evaluate(Protocol::kFull, Popularity());
  EXPECT_EQ(evaluation_.num_users, 29858);
  Expect("recall@20", .0416);
  Expect("ndcg@20", .0317);
}

}  // namespace
}  // namespace neumf
