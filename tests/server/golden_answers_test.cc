// The golden checkpoints of every format version, loaded and asked by the code
// that serves, against answers that numpy computed (tests/golden/).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "server/admission.h"
#include "server/checkpoint_loader.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::SizeIs;

// Of float32 against float64, in scores below 10.
constexpr float kTolerance = 1e-5F;

// All golden checkpoints, each with its answers in a .json beside it.
std::vector<std::filesystem::path> GoldenCheckpoints() {
  const char* const source = std::getenv("NEUMF_SOURCE_DIR");
  const std::filesystem::path folder = source == nullptr ? "." : source;
  std::vector<std::filesystem::path> checkpoints;
  for (const auto& file : std::filesystem::recursive_directory_iterator(
           folder / "tests" / "golden")) {
    if (file.path().extension() == ".safetensors") {
      checkpoints.push_back(file.path());
    }
  }
  return checkpoints;
}

nlohmann::json AnswersOf(std::filesystem::path checkpoint) {
  std::ifstream file(checkpoint.replace_extension(".json"));
  return nlohmann::json::parse(
      std::string(std::istreambuf_iterator<char>(file), {}));
}

class GoldenAnswersTest : public testing::TestWithParam<Backend> {
 protected:
  std::unique_ptr<Snapshot> Load(const std::string& path) {
    CheckpointLoader::Options options;
    options.backend = GetParam();
    ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
    const CheckpointLoader loader(files_.get(), options, &device, &metrics_);
    LoadOutcome outcome = loader.Load({{1, path}});
    EXPECT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
    return std::move(outcome.snapshot);
  }

  static void ExpectAnswer(const Snapshot& snapshot, const std::string& user_id,
                           const nlohmann::json& expected, uint32_t k) {
    ResolvedQuery query;
    query.k = k;
    const auto row = snapshot.user_ids->Find(user_id);
    ASSERT_TRUE(row.has_value()) << user_id;
    query.user_row = *row;
    const UserVectors user(*snapshot.users, query.user_row);
    const std::vector<RankQuery> queries = {
        MakeRankQuery(query, snapshot, user)};
    std::vector<Ranking> rankings(1);
    NEUMF_ASSERT_OK(snapshot.scorer->Rank(queries, absl::MakeSpan(rankings)));
    const std::vector<ScoredRow>& items = rankings[0].items;
    ASSERT_THAT(items, SizeIs(expected.size())) << user_id;
    for (size_t place = 0; place < items.size(); ++place) {
      EXPECT_EQ(snapshot.item_ids->id(items[place].row),
                expected[place][0].get<std::string>())
          << user_id << ", place " << place;
      EXPECT_NEAR(items[place].score, expected[place][1].get<float>(),
                  kTolerance)
          << user_id << ", place " << place;
    }
  }

  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  ServerMetrics metrics_;
};

TEST_P(GoldenAnswersTest, AreThoseOfTheOracle) {
  const auto checkpoints = GoldenCheckpoints();
  // One of everything, a grid of form, ids and digests, each form in float16.
  EXPECT_THAT(checkpoints, SizeIs(1 + 3 * 2 * 2 + 3));
  for (const std::filesystem::path& path : checkpoints) {
    SCOPED_TRACE(path.filename().string());
    const std::unique_ptr<Snapshot> snapshot = Load(path.string());
    ASSERT_NE(snapshot, nullptr);
    const nlohmann::json answers = AnswersOf(path);
    EXPECT_EQ(snapshot->digest, answers["digest"]);
    EXPECT_EQ(snapshot->user_ids->size(), answers["users"].size());
    for (const auto& [user_id, expected] : answers["users"].items()) {
      ExpectAnswer(*snapshot, user_id, expected, answers["k"]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, GoldenAnswersTest,
                         testing::Values(Backend::kReference, Backend::kCpu),
                         [](const auto& tested) {
                           return tested.param == Backend::kCpu ? "Cpu"
                                                                : "Reference";
                         });

}  // namespace
}  // namespace neumf
