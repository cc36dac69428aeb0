#include "server/takedowns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/checkpoint_loader.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TakedownsTest : public ::testing::Test {
 protected:
  TakedownsTest()
      : files_(MakePosixFileSystem()),
        paths_{JoinPath(directory_.path(), "items"),
               JoinPath(directory_.path(), "users")} {
    WriteItems("# none\n");
    WriteUsers("# none\n");
  }

  void Open() {
    takedowns_ = std::make_unique<Takedowns>(paths_, files_.get(), &metrics_);
    ASSERT_THAT(takedowns_->Load(), IsOk());
  }
  void WriteItems(absl::string_view text) { Write(paths_.items, text); }
  void WriteUsers(absl::string_view text) { Write(paths_.users, text); }
  std::unique_ptr<Snapshot> NewSnapshot(uint64_t version) {
    std::unique_ptr<Snapshot> snapshot = MakeTestSnapshot(version).snapshot;
    takedowns_->ApplyTo(*snapshot);
    return snapshot;
  }
  static std::vector<std::string> BlockedItems(const Snapshot& snapshot) {
    const auto blocked = snapshot.blocked->Get();
    std::vector<std::string> ids;
    for (uint32_t row = 0; row < snapshot.shape().num_items; ++row) {
      if (blocked->BlocksItem(row)) {
        ids.emplace_back(snapshot.item_ids->id(row));
      }
    }
    EXPECT_EQ(blocked->num_items, ids.size());
    EXPECT_EQ(blocked->mask() == nullptr, ids.empty());
    return ids;
  }
  static std::vector<std::string> BlockedUsers(const Snapshot& snapshot) {
    const auto blocked = snapshot.blocked->Get();
    std::vector<std::string> ids;
    for (uint32_t row = 0; row < snapshot.shape().num_users; ++row) {
      if (blocked->BlocksUser(row)) {
        ids.emplace_back(snapshot.user_ids->id(row));
      }
    }
    return ids;
  }
  double Failures(const std::string& file) const {
    return ReadMetric(metrics_, "neumf_config_reload_failures_total",
                      {{"file", file}});
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_;
  Takedowns::Paths paths_;
  ServerMetrics metrics_;
  std::unique_ptr<Takedowns> takedowns_;

 private:
  void Write(const std::string& path, absl::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(*files_, path, text).ok());
  }
};

TEST_F(TakedownsTest, WithoutFilesNothingIsBlocked) {
  paths_ = {};
  Open();
  EXPECT_FALSE(takedowns_->enabled());
  const auto snapshot = NewSnapshot(1);
  EXPECT_THAT(BlockedItems(*snapshot), IsEmpty());
  EXPECT_THAT(BlockedUsers(*snapshot), IsEmpty());
}

TEST_F(TakedownsTest, BlocksWhatASnapshotKnowsOfTheFiles) {
  WriteItems("i7\nno-such-item\ni2\n");
  WriteUsers("u3\nno-such-user\n");
  Open();
  const auto snapshot = NewSnapshot(1);
  EXPECT_THAT(BlockedItems(*snapshot), ElementsAre("i2", "i7"));
  EXPECT_THAT(BlockedUsers(*snapshot), ElementsAre("u3"));
  EXPECT_EQ(ReadMetric(metrics_, "neumf_blocked_items"), 3);
  EXPECT_EQ(ReadMetric(metrics_, "neumf_blocked_users"), 2);
}

TEST_F(TakedownsTest, AChangeReachesEverySnapshotThatLives) {
  Open();
  const auto served = NewSnapshot(1);
  const auto previous = NewSnapshot(2);
  NewSnapshot(3);  // is gone at once
  const auto held = served->blocked->Get();
  WriteItems("i2\n");
  WriteUsers("u3\n");
  takedowns_->Poll();
  for (const auto* snapshot : {served.get(), previous.get()}) {
    EXPECT_THAT(BlockedItems(*snapshot), ElementsAre("i2"));
    EXPECT_THAT(BlockedUsers(*snapshot), ElementsAre("u3"));
  }
  EXPECT_NE(served->blocked->Get(), held);
}

TEST_F(TakedownsTest, LiftsWhatIsNoLongerInTheFile) {
  WriteItems("i2\ni3\n");
  Open();
  const auto snapshot = NewSnapshot(1);
  WriteItems("i3\n");
  takedowns_->Poll();
  EXPECT_THAT(BlockedItems(*snapshot), ElementsAre("i3"));
}

TEST_F(TakedownsTest, ABrokenOrMissingFileLeavesTheOldOneInForce) {
  WriteItems("i2\n");
  WriteUsers("u3\n");
  Open();
  const auto snapshot = NewSnapshot(1);
  WriteItems("i4 \n");
  ASSERT_THAT(files_->Remove(paths_.users), IsOk());
  takedowns_->Poll();
  EXPECT_EQ(Failures("blocked_items"), 1);
  EXPECT_EQ(Failures("blocked_users"), 1);
  EXPECT_THAT(BlockedItems(*snapshot), ElementsAre("i2"));
  EXPECT_THAT(BlockedUsers(*snapshot), ElementsAre("u3"));
  const auto next = NewSnapshot(2);
  EXPECT_THAT(BlockedItems(*next), ElementsAre("i2"));
  EXPECT_THAT(BlockedUsers(*next), ElementsAre("u3"));
}

TEST_F(TakedownsTest, AFirstFileThatIsWrongNamesItsFlag) {
  WriteUsers("");
  Takedowns broken(paths_, files_.get(), &metrics_);
  EXPECT_THAT(broken.Load(), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("--blocked_users_file: ")));
  ASSERT_THAT(files_->Remove(paths_.items), IsOk());
  Takedowns missing(paths_, files_.get(), &metrics_);
  EXPECT_THAT(missing.Load(), StatusIs(absl::StatusCode::kNotFound,
                                       HasSubstr("--blocked_items_file: ")));
}

TEST_F(TakedownsTest, TheLogTellsHowManyTheModelKnowsAndWhomNot) {
  WriteItems("i2\nno-such-item\n");
  WriteUsers("u3\n");
  Open();
  testing::internal::CaptureStderr();
  NewSnapshot(5);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(
      log, HasSubstr("event=takedowns_in_force version=5 items=1 users=1\n"));
}

TEST_F(TakedownsTest, NoSnapshotMissesAChangeThatComesWhileItIsLoaded) {
  Open();
  std::vector<std::unique_ptr<Snapshot>> snapshots;
  std::thread loader([&] {
    for (int version = 1; version <= 50; ++version) {
      snapshots.push_back(NewSnapshot(version));
    }
  });
  for (int item = 0; item < 30; ++item) {
    WriteItems(absl::StrCat("i", item, "\n"));
    takedowns_->Poll();
  }
  loader.join();
  for (const auto& snapshot : snapshots) {
    EXPECT_THAT(BlockedItems(*snapshot), ElementsAre("i29"));
  }
}

TEST_F(TakedownsTest, ALoadedCheckpointHasItsRowsBeforeItIsServed) {
  WriteItems("i2\n");
  WriteUsers("u3\n");
  Open();
  CheckpointFolder folder;
  folder.Publish(1);
  CheckpointLoader::Options options;
  options.takedowns = takedowns_.get();
  ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
  const CheckpointLoader loader(files_.get(), options, &device, &metrics_);
  const LoadOutcome outcome = loader.Load({folder.File(1)});
  ASSERT_NE(outcome.snapshot, nullptr) << outcome.reason;
  EXPECT_THAT(BlockedItems(*outcome.snapshot), ElementsAre("i2"));
  EXPECT_THAT(BlockedUsers(*outcome.snapshot), ElementsAre("u3"));
}

}  // namespace
}  // namespace neumf
