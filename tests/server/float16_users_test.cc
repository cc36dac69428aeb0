// Checkpoints whose users are in float16: served as if their values had been
// written in float32.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint_writer.h"
#include "model/user_vectors.h"
#include "server/admission.h"
#include "server/checkpoint_loader.h"
#include "tests/support/probes.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

TinyModel RoundedModel() {
  TinyModel tiny = MakeTinyModel({});
  tiny.model.users = RoundToFloat16(tiny.model.users).value();
  return tiny;
}

// The same values in float32.
TinyModel WidenedModel() {
  const TinyModel rounded = RoundedModel();
  TinyModel tiny = MakeTinyModel({});
  UserTables& users = tiny.model.users;
  for (uint64_t row = 0; row < tiny.model.shape.num_users; ++row) {
    const UserVectors from(rounded.model.users, row);
    std::copy_n(from.gmf(), users.gmf.cols(), users.gmf.row(row).data());
    std::copy_n(from.tower(), users.tower.cols(), users.tower.row(row).data());
  }
  return tiny;
}

class Float16UsersTest : public testing::TestWithParam<Backend> {
 protected:
  std::unique_ptr<Snapshot> Load(const TinyModel& tiny,
                                 const Snapshot* served = nullptr) {
    const std::string path = directory_.Path(std::to_string(++version_));
    Manifest manifest;
    const std::unique_ptr<Scorer> scorer = MakeReferenceScorer(tiny);
    manifest.probes = {MakeProbe(MakeProbedModel(tiny, *scorer), "u2", 9)};
    NEUMF_EXPECT_OK(
        WriteCheckpointFile(*files_, path, tiny.model, tiny.items, manifest));
    CheckpointLoader::Options options;
    options.backend = GetParam();
    ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
    const CheckpointLoader loader(files_.get(), options, &device, &metrics_);
    LoadOutcome outcome = loader.Load({{version_, path}, served});
    EXPECT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
    return std::move(outcome.snapshot);
  }

  // Of every user, best first.
  static std::vector<std::vector<ScoredRow>> Answers(const Snapshot& snapshot) {
    std::vector<std::vector<ScoredRow>> answers;
    ResolvedQuery query;
    query.k = 20;
    for (; query.user_row <
           snapshot.users->gmf16.rows() + snapshot.users->gmf.rows();
         ++query.user_row) {
      const UserVectors user(*snapshot.users, query.user_row);
      const std::vector<RankQuery> queries = {
          MakeRankQuery(query, snapshot, user)};
      std::vector<Ranking> rankings(1);
      NEUMF_EXPECT_OK(snapshot.scorer->Rank(queries, absl::MakeSpan(rankings)));
      answers.push_back(rankings[0].items);
    }
    return answers;
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  uint64_t version_ = 0;
  ServerMetrics metrics_;
};

TEST_P(Float16UsersTest, GetTheAnswersOfTheSameValuesInFloat32) {
  const std::unique_ptr<Snapshot> rounded = Load(RoundedModel());
  const std::unique_ptr<Snapshot> widened = Load(WidenedModel());
  const std::unique_ptr<Snapshot> exact = Load(MakeTinyModel({}));
  ASSERT_TRUE(rounded != nullptr && widened != nullptr && exact != nullptr);
  EXPECT_EQ(Answers(*rounded).size(), 7U);
  EXPECT_EQ(Answers(*rounded), Answers(*widened));
  EXPECT_NE(Answers(*rounded), Answers(*exact));
}

TEST_P(Float16UsersTest, TakeHalfOfTheMemory) {
  const std::unique_ptr<Snapshot> rounded = Load(RoundedModel());
  const std::unique_ptr<Snapshot> exact = Load(MakeTinyModel({}));
  ASSERT_TRUE(rounded != nullptr && exact != nullptr);
  const uint64_t bytes = HostBytes(*exact->users);
  EXPECT_EQ(HostBytes(*rounded->users), bytes / 2);
  EXPECT_EQ(rounded->resident_bytes, exact->resident_bytes - bytes / 2);
}

TEST_P(Float16UsersTest, AreSharedByVersionsOfThatPrecisionAlone) {
  const std::unique_ptr<Snapshot> first = Load(RoundedModel());
  ASSERT_NE(first, nullptr);
  const std::unique_ptr<Snapshot> second = Load(RoundedModel(), first.get());
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(first->users, second->users);
  const std::unique_ptr<Snapshot> third = Load(WidenedModel(), second.get());
  ASSERT_NE(third, nullptr);
  EXPECT_NE(second->users, third->users);
  EXPECT_EQ(second->scorer, third->scorer);
}

INSTANTIATE_TEST_SUITE_P(Backends, Float16UsersTest,
                         testing::Values(Backend::kReference, Backend::kCpu),
                         [](const auto& tested) {
                           return tested.param == Backend::kCpu ? "Cpu"
                                                                : "Reference";
                         });

}  // namespace
}  // namespace neumf
