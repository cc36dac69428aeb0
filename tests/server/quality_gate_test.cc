#include "server/quality_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kNumUsers = 120;

// Ranks the item in row `first` best, then the rows after it.
class RankFrom : public Scorer {
 public:
  RankFrom(ModelShape shape, uint32_t first)
      : shape_(std::move(shape)), first_(first) {}
  absl::Status Rank(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings) const override {
    for (size_t i = 0; i < queries.size(); ++i) {
      rankings[i].items.clear();
      for (uint32_t place = 0; place < queries[i].k; ++place) {
        rankings[i].items.push_back({-1.0F * place, first_ + place});
      }
    }
    return absl::OkStatus();
  }
  const ModelShape& shape() const override { return shape_; }
  uint64_t resident_bytes() const override { return 0; }
  const char* name() const override { return "by row (test)"; }

 private:
  const ModelShape shape_;
  const uint32_t first_;
};

bool Never() { return false; }

class QualityGateTest : public testing::Test {
 protected:
  QualityGateTest() {
    options_.file = JoinPath(directory_.path(), "choices");
    options_.metric = *GateMetric::Parse("hit@10");
    WriteChoices(kNumUsers, "i5");
    testing::internal::CaptureStderr();
  }
  ~QualityGateTest() override { testing::internal::GetCapturedStderr(); }

  void Write(const std::string& text) {
    NEUMF_ASSERT_OK(WriteFileAtomically(*files_, options_.file, text));
  }
  // The same item for each of the first users.
  void WriteChoices(uint64_t num_users, const std::string& item) {
    std::string text;
    for (uint64_t user = 0; user < num_users; ++user) {
      absl::StrAppend(&text, "u", user, "\t", item, "\n");
    }
    Write(text);
  }
  void Open() {
    gate_ = std::make_unique<QualityGate>(options_, files_.get(), &metrics_);
    NEUMF_ASSERT_OK(gate_->Load());
  }
  static std::unique_ptr<Snapshot> NewSnapshot(uint64_t version, uint32_t first,
                                               uint64_t seen_per_user = 0) {
    TinyModelOptions options;
    options.num_users = kNumUsers;
    options.seen_per_user = seen_per_user;
    auto snapshot = MakeTestSnapshot(version, options).snapshot;
    snapshot->scorer = std::make_shared<RankFrom>(snapshot->shape(), first);
    return snapshot;
  }
  absl::Status Check(const Snapshot& next) {
    return gate_->Check(next, *served_, Never);
  }
  static std::string Log() {
    std::string log = testing::internal::GetCapturedStderr();
    testing::internal::CaptureStderr();
    return log;
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  ServerMetrics metrics_;
  QualityGate::Options options_;
  std::unique_ptr<QualityGate> gate_;
  // i5 has place 5 of it.
  const std::unique_ptr<Snapshot> served_ = NewSnapshot(1, 0);
};

TEST_F(QualityGateTest, WhatIsAsGoodPassesAndWhatIsWorseDoesNot) {
  Open();
  NEUMF_EXPECT_OK(Check(*NewSnapshot(2, 0)));
  EXPECT_THAT(Log(), HasSubstr("event=gate_checked version=2 served=1 "
                               "users=120 metric=hit@10 value=1 "
                               "served_value=1 outcome=ok"));
  EXPECT_THAT(Check(*NewSnapshot(3, 6)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("hit@10 over 120 held-out users is 0; the "
                                 "served version 1 has 1, and a share of 0.95 "
                                 "of that is asked for")));
  EXPECT_THAT(Log(), HasSubstr("outcome=worse"));
}

TEST_F(QualityGateTest, NdcgKnowsThePlace) {
  options_.metric = *GateMetric::Parse("ndcg@10");
  Open();
  NEUMF_EXPECT_OK(Check(*NewSnapshot(2, 1)));
  EXPECT_THAT(Log(), HasSubstr("value=0.386853 served_value=0.356207"));
  served_->scorer = std::make_shared<RankFrom>(served_->shape(), 5);
  EXPECT_THAT(Check(*NewSnapshot(3, 4)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("is 0.63093; the served version 1 has 1,")));
}

TEST_F(QualityGateTest, ALossOfTheStatedShareIsAllowed) {
  options_.metric = *GateMetric::Parse("ndcg@10");
  served_->scorer = std::make_shared<RankFrom>(served_->shape(), 5);
  options_.min_share = 0.63;
  Open();
  NEUMF_EXPECT_OK(Check(*NewSnapshot(2, 4)));
}

TEST_F(QualityGateTest, WhatOneVersionCannotRecommendCountsForNeither) {
  // Some users of version 2 have seen i5.
  const auto next = NewSnapshot(2, 0, /*seen_per_user=*/11);
  const uint32_t row = *next->item_ids->Find("i5");
  uint64_t num_free = 0;
  for (uint32_t user = 0; user < kNumUsers; ++user) {
    const auto seen = next->seen->row(user);
    num_free += std::binary_search(seen.begin(), seen.end(), row) ? 0 : 1;
  }
  ASSERT_LT(num_free, kNumUsers);
  options_.min_users = num_free;
  Open();
  NEUMF_EXPECT_OK(Check(*next));
  EXPECT_THAT(Log(), HasSubstr(absl::StrCat("users=", num_free, " metric=")));
}

TEST_F(QualityGateTest, FewUsersSayNothing) {
  WriteChoices(99, "i5");
  Open();
  NEUMF_EXPECT_OK(Check(*NewSnapshot(2, 20)));
  EXPECT_THAT(Log(), AllOf(HasSubstr("users=99 outcome=too_few_users"),
                           Not(HasSubstr("value="))));
}

TEST_F(QualityGateTest, UnknownUsersAndItemsAreLeftOut) {
  WriteChoices(kNumUsers + 50, "i5");
  Open();
  EXPECT_FALSE(Check(*NewSnapshot(2, 20)).ok());
  EXPECT_THAT(Log(), HasSubstr("users=120"));
  WriteChoices(kNumUsers, "i33");
  NEUMF_EXPECT_OK(Check(*NewSnapshot(3, 20)));
  EXPECT_THAT(Log(), HasSubstr("users=0 outcome=too_few_users"));
}

TEST_F(QualityGateTest, ItLooksAtTheFileAgainAndKeepsWhatABrokenOneSaid) {
  Open();
  WriteChoices(kNumUsers, "i25");
  const auto next = NewSnapshot(2, 20);
  NEUMF_EXPECT_OK(Check(*next));
  EXPECT_THAT(Log(), HasSubstr("value=1 served_value=0"));
  Write("u1\ti1");
  NEUMF_EXPECT_OK(Check(*next));
  EXPECT_THAT(Log(), AllOf(HasSubstr("event=config_refused file=gate"),
                           HasSubstr("value=1 served_value=0")));
}

TEST_F(QualityGateTest, AnotherFileIsRefusedWithItsLine) {
  for (const char* text : {"u1\ti1\nu2 i2\n", "u1\ti1\nu2\t\n", "u1\ti1\n\n",
                           "u1\ti1\nu2\ti2\ti3\n", "u1\ti1\nu\xff\ti2\n"}) {
    Write(text);
    gate_ = std::make_unique<QualityGate>(options_, files_.get(), &metrics_);
    EXPECT_THAT(gate_->Load(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("line 2 is not the id of a user")));
  }
  for (const char* text : {"", "u1\ti1"}) {
    Write(text);
    gate_ = std::make_unique<QualityGate>(options_, files_.get(), &metrics_);
    EXPECT_THAT(gate_->Load(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("the last line")));
  }
}

TEST_F(QualityGateTest, WithoutAFileEverythingPasses) {
  options_.file.clear();
  Open();
  NEUMF_EXPECT_OK(Check(*NewSnapshot(2, 20)));
  EXPECT_EQ(Log(), "");
}

TEST_F(QualityGateTest, EndsWhenItIsToldTo) {
  Open();
  EXPECT_THAT(gate_->Check(*NewSnapshot(2, 20), *served_, [] { return true; }),
              StatusIs(absl::StatusCode::kCancelled, testing::_));
}

TEST(GateMetricTest, ReadsBackWhatItPrints) {
  for (const char* text : {"hit@1", "ndcg@10", "hit@1000"}) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const GateMetric metric,
                               GateMetric::Parse(text));
    EXPECT_EQ(metric.ToString(), text);
  }
  for (const char* text : {"", "hit", "hit@", "hit@0", "ndcg@1001", "map@10",
                           "hit@-1", "hit@10@10"}) {
    EXPECT_FALSE(GateMetric::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace neumf
