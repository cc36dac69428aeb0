#include "server/checkpoint_loader.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "server/admission.h"
#include "server/probe_check.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

// Throws what it is told to when a file is opened.
template <typename Exception>
class ThrowingFileSystem : public FaultyFileSystem {
 public:
  using FaultyFileSystem::FaultyFileSystem;
  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view /*path*/) override {
    throw Exception();
  }
};

struct TestFailure : std::runtime_error {
  TestFailure() : std::runtime_error("something else") {}
};

// The answer that a snapshot gives, as an exporter writes it down.
Probe ProbeOf(const Snapshot& snapshot, const std::string& user_id, size_t k) {
  ResolvedQuery query;
  query.k = static_cast<uint32_t>(k);
  query.user_row = *snapshot.user_ids->Find(user_id);
  const std::vector<RankQuery> queries = {MakeRankQuery(query, snapshot)};
  std::vector<Ranking> rankings(1);
  EXPECT_TRUE(snapshot.scorer->Rank(queries, absl::MakeSpan(rankings)).ok());
  Probe probe;
  probe.user_id = user_id;
  for (const ScoredRow& item : rankings[0].items) {
    probe.items.push_back(
        {std::string(snapshot.item_ids->id(item.row)), item.score});
  }
  return probe;
}

class CheckpointLoaderTest : public testing::Test {
 protected:
  LoadOutcome Load(uint64_t version) { return LoadFrom(files_, version); }
  LoadOutcome LoadFrom(FileSystem& files, uint64_t version) {
    const CheckpointLoader loader(&files, options_, &metrics_);
    return loader.Load(folder_.File(version));
  }
  // The snapshot of a valid checkpoint.
  std::unique_ptr<Snapshot> LoadOk(uint64_t version) {
    LoadOutcome outcome = Load(version);
    EXPECT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
    return std::move(outcome.snapshot);
  }
  static void ExpectRefused(const LoadOutcome& outcome, ReloadResult result,
                            const std::string& reason) {
    EXPECT_STREQ(ReloadResultName(outcome.result), ReloadResultName(result));
    EXPECT_THAT(outcome.reason, HasSubstr(reason));
    EXPECT_EQ(outcome.snapshot, nullptr);
  }

  CheckpointFolder folder_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  FaultyFileSystem files_{posix_.get()};
  CheckpointLoader::Options options_;
  ServerMetrics metrics_;
};

TEST_F(CheckpointLoaderTest, MakesASnapshotOfAValidCheckpoint) {
  Manifest manifest;
  manifest.model_kind = "neumf";
  manifest.created_at = "2020-01-02T03:04:05Z";
  folder_.Publish(7, manifest);
  const LoadOutcome outcome = Load(7);
  ASSERT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
  const Snapshot& snapshot = *outcome.snapshot;
  EXPECT_EQ(snapshot.version, 7U);
  EXPECT_EQ(snapshot.version_text, "7");
  EXPECT_EQ(snapshot.kind, "neumf");
  EXPECT_EQ(snapshot.digest.size(), 64U);
  EXPECT_EQ(snapshot.digest, outcome.digest);
  EXPECT_EQ(snapshot.trained_time, absl::FromUnixSeconds(1'577'934'245));
  EXPECT_EQ(snapshot.file_bytes, folder_.Bytes(7).size());
  EXPECT_GT(snapshot.resident_bytes, snapshot.scorer->resident_bytes());
  EXPECT_EQ(snapshot.user_ids->size(), 7U);
  EXPECT_EQ(snapshot.item_ids->size(), 33U);
  ASSERT_NE(snapshot.popularity, nullptr);
  EXPECT_EQ(snapshot.popularity->items.size(), 33U);
  EXPECT_TRUE(std::is_sorted(snapshot.popularity->items.begin(),
                             snapshot.popularity->items.end()));
  EXPECT_EQ(ReadMetric(metrics_, "neumf_load_progress_ratio"), 1);
}

TEST_F(CheckpointLoaderTest, AnswersLikeTheReference) {
  folder_.Publish(1);
  const std::unique_ptr<Snapshot> served = LoadOk(1);
  options_.backend = Backend::kReference;
  const std::unique_ptr<Snapshot> reference = LoadOk(1);
  for (uint64_t row = 0; row < served->user_ids->size(); ++row) {
    const std::string user(served->user_ids->id(row));
    NEUMF_EXPECT_OK(CheckProbes({ProbeOf(*reference, user, 20)}, *served));
  }
}

TEST_F(CheckpointLoaderTest, DamagedBytesAreCorrupt) {
  folder_.Publish(1);
  folder_.FlipLastByte(1);
  ExpectRefused(Load(1), ReloadResult::kCorrupt, "");
  folder_.Overwrite(1, "junk");
  ExpectRefused(Load(1), ReloadResult::kCorrupt, "");
}

TEST_F(CheckpointLoaderTest, FeaturesFromTheFutureAreIncompatible) {
  folder_.Publish(1);
  std::string bytes = folder_.Bytes(1);
  // A manifest of another version, and no digest that would say it is damaged.
  for (const std::string& known : {std::string(R"(\"format_version\":1)"),
                                   std::string("neumf.manifest.sha256")}) {
    const size_t at = bytes.find(known);
    ASSERT_NE(at, std::string::npos) << known;
    bytes[at + known.size() - 1] = '9';
  }
  folder_.Overwrite(1, bytes);
  ExpectRefused(Load(1), ReloadResult::kIncompatible, "");
}

TEST_F(CheckpointLoaderTest, MissingFilesAndFailingReadsAreIoErrors) {
  ExpectRefused(Load(1), ReloadResult::kIoError, "");
  folder_.Publish(1);
  for (int call = 2;; ++call) {  // the first looks at the file only
    files_.FailCall(call, absl::UnavailableError("the disk is gone"));
    const LoadOutcome outcome = Load(1);
    if (outcome.result == ReloadResult::kOk) break;
    ExpectRefused(outcome, ReloadResult::kIoError, "the disk is gone");
  }
}

TEST_F(CheckpointLoaderTest, MemoryThatCannotBeHadIsARefusedCheckpoint) {
  folder_.Publish(1);
  ThrowingFileSystem<std::bad_alloc> files(posix_.get());
  ExpectRefused(LoadFrom(files, 1), ReloadResult::kNoMemory, "memory");
  files_.FailCall(2, absl::ResourceExhaustedError("no memory"));
  ExpectRefused(Load(1), ReloadResult::kNoMemory, "no memory");
}

TEST_F(CheckpointLoaderTest, OtherExceptionsEndInARefusalToo) {
  folder_.Publish(1);
  ThrowingFileSystem<TestFailure> files(posix_.get());
  ExpectRefused(LoadFrom(files, 1), ReloadResult::kCorrupt, "something else");
}

TEST_F(CheckpointLoaderTest, ReportsTheFileThatItRefused) {
  folder_.Publish(1);
  folder_.FlipLastByte(1);
  const FileInfo info = *posix_->Stat(folder_.File(1).path);
  EXPECT_EQ(Load(1).file, info);
}

TEST_F(CheckpointLoaderTest, TheScorersThreadsKeepTheirPriority) {
  options_.scorer.num_threads = 3;
  folder_.Publish(1);
  const std::unique_ptr<Snapshot> snapshot = LoadOk(1);
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    const auto id = static_cast<id_t>(std::stoul(task.path().filename()));
    EXPECT_EQ(getpriority(PRIO_PROCESS, id), getpriority(PRIO_PROCESS, 0));
  }
}

class ProbeCheckTest : public CheckpointLoaderTest {
 protected:
  void SetUp() override {
    folder_.Publish(1);
    snapshot_ = LoadOk(1);
    probe_ = ProbeOf(*snapshot_, "u3", 8);
  }
  absl::Status Check() { return CheckProbes({probe_}, *snapshot_); }
  void ExpectMiss(const std::string& reason) {
    EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr(reason)));
  }

  std::unique_ptr<Snapshot> snapshot_;
  Probe probe_;
};

TEST_F(ProbeCheckTest, AcceptsItsOwnAnswers) { NEUMF_EXPECT_OK(Check()); }

TEST_F(ProbeCheckTest, AcceptsScoresThatDifferByRounding) {
  for (Probe::Item& item : probe_.items) item.score *= 1 + 1e-5;
  NEUMF_EXPECT_OK(Check());
}

TEST_F(ProbeCheckTest, AcceptsASwapOfEqualScores) {
  probe_.items[1].score = probe_.items[0].score * (1 - 1e-6);
  probe_.items[0].score = probe_.items[1].score;
  // Only if our own scores are that close, too: these are not.
  ExpectMiss("score");
  SetUp();
  auto table = std::make_shared<UserTables>();
  table->gmf = AlignedMatrix(7, 4);
  table->tower = AlignedMatrix(7, 8);
  snapshot_->users = table;  // zeros: the dot products vanish, ties are likely
  probe_ = ProbeOf(*snapshot_, "u3", 8);
  NEUMF_EXPECT_OK(Check());
}

TEST_F(ProbeCheckTest, RefusesOtherScores) {
  probe_.items[4].score *= 1.01;
  ExpectMiss("u3");
}

TEST_F(ProbeCheckTest, RefusesAnotherOrder) {
  std::swap(probe_.items[0], probe_.items[7]);
  ExpectMiss(probe_.items[0].item_id);
}

TEST_F(ProbeCheckTest, RefusesAListThatLeavesOutABetterItem) {
  probe_.items.erase(probe_.items.begin());
  ExpectMiss("not at place 1");
}

TEST_F(ProbeCheckTest, RefusesUnknownUsersAndItems) {
  probe_.items[2].item_id = "nothing";
  ExpectMiss("\"nothing\" is not in the catalog");
  probe_.user_id = "nobody";
  ExpectMiss("there is no such user");
}

TEST_F(ProbeCheckTest, RefusesSeenItems) {
  const uint32_t seen =
      snapshot_->seen->row(*snapshot_->user_ids->Find("u3"))[0];
  probe_.items[2].item_id = std::string(snapshot_->item_ids->id(seen));
  ExpectMiss("is not eligible");
}

TEST_F(ProbeCheckTest, RefusesAnItemThatIsThereTwice) {
  probe_.items[1] = probe_.items[0];
  ExpectMiss("twice");
}

TEST_F(ProbeCheckTest, RefusesRowsThatLieAboutNames) {
  std::vector<std::string> names;
  for (uint64_t row = 0; row < snapshot_->item_ids->size(); ++row) {
    names.emplace_back(snapshot_->item_ids->id(row));
  }
  std::rotate(names.begin(), names.begin() + 1, names.end());
  snapshot_->item_ids = std::make_shared<IdTable>(*IdTable::FromIds(names));
  ExpectMiss("u3");
}

TEST_F(ProbeCheckTest, TheLoaderRefusesACheckpointThatMissesAProbe) {
  Manifest manifest;
  manifest.probes = {probe_};
  folder_.Publish(1, manifest);
  LoadOk(1);
  folder_.Publish(2, manifest);  // the probes of another model
  ExpectRefused(Load(2), ReloadResult::kProbeFailed, "u3");
}

}  // namespace
}  // namespace neumf
