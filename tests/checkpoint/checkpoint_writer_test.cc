#include "checkpoint/checkpoint_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"
#include "model/user_vectors.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

class CheckpointWriterTest : public testing::Test {
 protected:
  absl::Status Write(absl::string_view name) {
    return WriteCheckpointFile(*files_, directory_.Path(name), tiny_.model,
                               tiny_.items, manifest_, options_);
  }
  std::string Content(absl::string_view name) {
    absl::StatusOr<std::string> bytes =
        ReadWholeFile(*files_, directory_.Path(name), 1 << 24);
    NEUMF_EXPECT_OK(bytes);
    return bytes.ok() ? *bytes : "";
  }
  // Writes, reads and writes again: the same bytes mean that nothing was lost.
  void ExpectRoundTrip() {
    NEUMF_ASSERT_OK(Write("first"));
    NEUMF_ASSERT_OK_AND_ASSIGN(
        const LoadedCheckpoint loaded,
        LoadCheckpoint(*files_, directory_.Path("first")));
    NEUMF_ASSERT_OK(WriteCheckpointFile(*files_, directory_.Path("second"),
                                        loaded.model, loaded.items,
                                        loaded.info.manifest));
    EXPECT_EQ(Content("first"), Content("second"));
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  TinyModel tiny_ = MakeTinyModel({});
  Manifest manifest_;
  CheckpointWriterOptions options_;
};

TEST_F(CheckpointWriterTest, LosesNothing) {
  manifest_.model_kind = "neumf";
  manifest_.created_at = "2020-02-02T02:02:02Z";
  manifest_.training = {{"seed", 7}, {"losses", {0.5, 0.25}}};
  manifest_.metrics = {{"hit@10", 0.7}};
  manifest_.probes = {{"u1", {{"i3", 1.5}, {"i\"\\\n", -0.1}}}};
  ExpectRoundTrip();
}

TEST_F(CheckpointWriterTest, LosesNothingOfEveryKindOfModel) {
  for (const uint32_t gmf_width : {0, 1, 5}) {
    for (const std::vector<uint32_t>& tower :
         {std::vector<uint32_t>{}, {6}, {6, 5, 4, 3}}) {
      if (gmf_width == 0 && tower.empty()) continue;
      TinyModelOptions options;
      options.gmf_width = gmf_width;
      options.tower_widths = tower;
      options.activation = Activation::kSigmoid;
      options.item_bias = gmf_width == 1;
      options.popularity = gmf_width == 5;
      options.seen_per_user = gmf_width;
      tiny_ = MakeTinyModel(options);
      ExpectRoundTrip();
      NEUMF_ASSERT_OK(files_->Remove(directory_.Path("first")));
      NEUMF_ASSERT_OK(files_->Remove(directory_.Path("second")));
    }
  }
}

TEST_F(CheckpointWriterTest, KeepsEveryBitOfAFloat) {
  tiny_.items.bias[0] = -0.0F;
  tiny_.items.bias[1] = std::numeric_limits<float>::denorm_min();
  tiny_.items.bias[2] = std::nextafter(1.0F, 2.0F);
  NEUMF_ASSERT_OK(Write("7"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             LoadCheckpoint(*files_, directory_.Path("7")));
  EXPECT_EQ(0, std::memcmp(loaded.items.bias.data(), tiny_.items.bias.data(),
                           tiny_.items.bias.size() * sizeof(float)));
}

TEST_F(CheckpointWriterTest, LosesNothingOfUsersInFloat16) {
  for (const uint32_t gmf_width : {0, 5}) {
    TinyModelOptions options;
    options.gmf_width = gmf_width;
    tiny_ = MakeTinyModel(options);
    tiny_.model.users = RoundToFloat16(tiny_.model.users).value();
    ExpectRoundTrip();
    NEUMF_ASSERT_OK_AND_ASSIGN(
        const LoadedCheckpoint loaded,
        LoadCheckpoint(*files_, directory_.Path("first")));
    EXPECT_THAT(loaded.info.manifest.required_features,
                ElementsAre("user.f16"));
    EXPECT_TRUE(loaded.model.users.is_float16());
    EXPECT_EQ(0, std::memcmp(loaded.model.users.tower16.data(),
                             tiny_.model.users.tower16.data(),
                             tiny_.model.users.tower16.size() * 2));
    NEUMF_ASSERT_OK(files_->Remove(directory_.Path("first")));
    NEUMF_ASSERT_OK(files_->Remove(directory_.Path("second")));
  }
}

TEST_F(CheckpointWriterTest, KeepsUserRowsInTheOrderOfTheirHashes) {
  std::vector<std::string> ids = {"anna", "ben",  "cleo", "dan",
                                  "eve",  "finn", "gus"};
  std::sort(ids.begin(), ids.end(),
            [](const auto& a, const auto& b) { return IdHash(a) < IdHash(b); });
  NEUMF_ASSERT_OK_AND_ASSIGN(tiny_.model.user_ids, IdTable::FromIdsByHash(ids));
  ExpectRoundTrip();
}

TEST_F(CheckpointWriterTest, GivesLargeTensorsADigestForEachChunk) {
  options_.digest_chunk_bytes = 100;
  NEUMF_ASSERT_OK(Write("7"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             LoadCheckpoint(*files_, directory_.Path("7")));
  const auto& digests = loaded.info.manifest.tensors;
  EXPECT_EQ(digests.at("item.tower").chunk_bytes, 100U);
  EXPECT_EQ(digests.at("item.tower").sha256.size(), 11U);  // of 1056 bytes
  EXPECT_EQ(digests.at("head.weight").chunk_bytes, 0U);    // of 16
}

TEST_F(CheckpointWriterTest, TakesLargerChunksWhereDigestsWouldFillTheHeader) {
  TinyModelOptions options;
  options.num_items = 1000;
  tiny_ = MakeTinyModel(options);
  options_.digest_chunk_bytes = 1;
  NEUMF_ASSERT_OK(Write("7"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             LoadCheckpoint(*files_, directory_.Path("7")));
  EXPECT_GT(loaded.info.manifest.tensors.at("item.tower").chunk_bytes, 1U);
}

TEST_F(CheckpointWriterTest, TakesLargerChunksWhereTheManifestNeedsTheRoom) {
  TinyModelOptions options;
  options.num_items = 1000;
  tiny_ = MakeTinyModel(options);
  options_.digest_chunk_bytes = 8;
  manifest_.training = "short";
  NEUMF_ASSERT_OK(Write("short"));
  manifest_.training = std::string(850 << 10, 'x');
  NEUMF_ASSERT_OK(Write("long"));
  const auto chunk_bytes = [&](absl::string_view name) {
    const auto loaded = LoadCheckpoint(*files_, directory_.Path(name));
    NEUMF_EXPECT_OK(loaded);
    if (!loaded.ok()) return uint64_t{0};
    return loaded->info.manifest.tensors.at("item.tower").chunk_bytes;
  };
  EXPECT_EQ(chunk_bytes("short"), 16U);
  EXPECT_EQ(chunk_bytes("long"), 32U);
}

// Digests of chunks never keep out what fits beside digests of whole tensors.
TEST_F(CheckpointWriterTest, GivesUpChunksForTheManifest) {
  std::vector<bool> fits;
  for (size_t spare = 0; spare <= 8000; spare += 1000) {
    manifest_.training = std::string((1 << 20) - spare, 'x');
    options_.digest_chunk_bytes = 1 << 20;
    fits.push_back(Write(absl::StrCat("whole-", spare)).ok());
    options_.digest_chunk_bytes = 16;
    EXPECT_EQ(Write(absl::StrCat("chunks-", spare)).ok(), fits.back()) << spare;
  }
  EXPECT_FALSE(fits.front());
  EXPECT_TRUE(fits.back());
}

TEST_F(CheckpointWriterTest, BeginsTheDataAtAMultipleOf64) {
  NEUMF_ASSERT_OK(Write("7"));
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const auto reader,
      CheckpointReader::Open(*files_, directory_.Path("7"), {}));
  const SafetensorsHeader& header = reader->header();
  EXPECT_EQ(header.data_begin % 64, 0U);
  for (const TensorInfo& tensor : header.tensors) {
    EXPECT_EQ(tensor.begin % ElementBytes(tensor.type), 0U) << tensor.name;
  }
}

TEST_F(CheckpointWriterTest, RefusesWhatTheReaderWouldRefuse) {
  tiny_.items.bias[3] = std::nanf("");
  EXPECT_THAT(Write("nan"), StatusIs(kInvalid, HasSubstr("item.bias")));
  tiny_ = MakeTinyModel({});
  tiny_.model.users.gmf.row(0)[0] = 3e38F;
  tiny_.items.gmf.row(0)[0] = 3e38F;
  EXPECT_THAT(Write("overflow"), StatusIs(kInvalid, HasSubstr("scores")));
  tiny_ = MakeTinyModel({});
  manifest_.required_features = {"history"};
  EXPECT_THAT(Write("feature"), StatusIs(kInvalid, HasSubstr("history")));
}

TEST_F(CheckpointWriterTest, RefusesAManifestThatIsTooLarge) {
  manifest_.training = std::string(1 << 20, 'x');
  EXPECT_THAT(Write("7"), StatusIs(kInvalid, HasSubstr("header needs")));
}

TEST_F(CheckpointWriterTest, NeverWritesOverAFile) {
  NEUMF_ASSERT_OK(Write("7"));
  EXPECT_THAT(Write("7"), StatusIs(absl::StatusCode::kAlreadyExists));
}

class PublishTest : public CheckpointWriterTest {
 protected:
  absl::StatusOr<PublishedCheckpoint> Publish(FileSystem& files) {
    return PublishCheckpoint(files, Folder(), tiny_.model, tiny_.items,
                             manifest_);
  }
  std::string Folder() const { return directory_.Path("models/ml"); }
  std::vector<std::string> Names() const {
    return files_->ListDirectory(Folder()).value();
  }
  void RemoveTemporaries() const {
    for (const std::string& name : Names()) {
      if (!IsTemporaryCheckpointName(name)) continue;
      NEUMF_EXPECT_OK(files_->Remove(JoinPath(Folder(), name)));
    }
  }
  // Every version there is whole; returns their numbers.
  std::vector<uint64_t> ValidVersions() const {
    std::vector<uint64_t> versions;
    const auto checkpoints = ListCheckpoints(*files_, Folder());
    if (!checkpoints.ok()) return versions;
    for (const CheckpointFile& checkpoint : *checkpoints) {
      NEUMF_EXPECT_OK(LoadCheckpoint(*files_, checkpoint.path));
      versions.push_back(checkpoint.version);
    }
    return versions;
  }
};

TEST_F(PublishTest, CountsVersionsUp) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const PublishedCheckpoint first, Publish(*files_));
  EXPECT_EQ(first.version, 1U);
  EXPECT_EQ(first.path, JoinPath(Folder(), "1.safetensors"));
  NEUMF_ASSERT_OK(Publish(*files_));
  EXPECT_THAT(Names(), UnorderedElementsAre("1.safetensors", "2.safetensors"));
  EXPECT_THAT(ValidVersions(), ElementsAre(1U, 2U));
}

TEST_F(PublishTest, FollowsTheLargestVersion) {
  NEUMF_ASSERT_OK(files_->CreateDirectories(Folder()));
  NEUMF_ASSERT_OK(
      files_->CreateNew(JoinPath(Folder(), "99.safetensors")).status());
  NEUMF_ASSERT_OK_AND_ASSIGN(const PublishedCheckpoint published,
                             Publish(*files_));
  EXPECT_EQ(published.version, 100U);
}

TEST_F(PublishTest, SaysWhenTheNumbersHaveRunOut) {
  NEUMF_ASSERT_OK(files_->CreateDirectories(Folder()));
  const std::string last = VersionFileName(999'999'999'999'999'999);
  NEUMF_ASSERT_OK(files_->CreateNew(JoinPath(Folder(), last)).status());
  EXPECT_THAT(Publish(*files_),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("no version number is left")));
  EXPECT_THAT(Names(), ElementsAre(last));
}

TEST_F(PublishTest, SaysWhereItCouldNotWrite) {
  manifest_.required_features = {"history"};
  EXPECT_THAT(Publish(*files_),
              StatusIs(kInvalid, HasSubstr("cannot write checkpoint into " +
                                           Folder() + ": ")));
}

TEST_F(PublishTest, SaysThatAVersionIsThereWhenOnlyItsSyncFailed) {
  FaultyFileSystem faulty(files_.get());
  NEUMF_ASSERT_OK(Publish(faulty));
  const int sync = faulty.num_calls();  // the last call of all
  faulty.FailCall(sync, absl::UnavailableError("disk gone"));
  EXPECT_THAT(Publish(faulty),
              StatusIs(absl::StatusCode::kUnavailable,
                       "published " + JoinPath(Folder(), "2.safetensors") +
                           ", but the directory could not be synced: "
                           "disk gone"));
  EXPECT_THAT(ValidVersions(), ElementsAre(1U, 2U));
}

TEST_F(PublishTest, LeavesNothingBehindWhenAnyOneCallFails) {
  NEUMF_ASSERT_OK(Publish(*files_));
  const std::string before = Content("models/ml/1.safetensors");
  FaultyFileSystem faulty(files_.get());
  for (int nth = 1;; ++nth) {
    faulty.FailCall(nth, absl::ResourceExhaustedError("disk full"));
    const auto published = Publish(faulty);
    // With the last failure, that of the folder's sync, the version is there
    // and whole, only not known to outlive the machine.
    for (const std::string& name : Names()) {
      EXPECT_THAT(name, Not(HasSubstr("tmp"))) << "call " << nth;
    }
    EXPECT_THAT(ValidVersions(), Not(testing::IsEmpty()));
    if (published.ok()) break;
    EXPECT_THAT(published, StatusIs(absl::StatusCode::kResourceExhausted,
                                    HasSubstr("disk full")));
  }
  EXPECT_EQ(Content("models/ml/1.safetensors"), before);
}

TEST_F(PublishTest, LeavesAtMostADotFileWhenItDies) {
  NEUMF_ASSERT_OK(Publish(*files_));
  const std::string before = Content("models/ml/1.safetensors");
  FaultyFileSystem faulty(files_.get());
  for (int nth = 1;; ++nth) {
    faulty.FailFrom(nth, absl::UnavailableError("died"));
    const bool published = Publish(faulty).ok();
    for (const std::string& name : Names()) {
      EXPECT_TRUE(name[0] == '.' || ParseVersionFileName(name).has_value())
          << name;
    }
    EXPECT_EQ(ValidVersions().front(), 1U);
    if (published) break;
    // The next one looks at each of them, and would need more calls for it.
    RemoveTemporaries();
  }
  EXPECT_EQ(Content("models/ml/1.safetensors"), before);
}

TEST_F(PublishTest, RemovesWhatKilledPublishersHaveLeft) {
  FaultyFileSystem faulty(files_.get());
  faulty.FailFrom(8, absl::UnavailableError("died"));
  EXPECT_THAT(Publish(faulty), StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_THAT(Names(), ElementsAre(testing::StartsWith(".tmp-")));
  const std::string left = JoinPath(Folder(), Names().front());
  NEUMF_ASSERT_OK(Publish(*files_));
  EXPECT_THAT(Names(), testing::SizeIs(2)) << "it is young";
  const timespec long_ago[] = {{0, UTIME_OMIT}, {1'000'000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, left.c_str(), long_ago, 0), 0);
  NEUMF_ASSERT_OK(Publish(*files_));
  EXPECT_THAT(Names(), UnorderedElementsAre("1.safetensors", "2.safetensors"));
}

TEST_F(PublishTest, SaysThatTheDiskIsFullWhereverItIs) {
  NEUMF_ASSERT_OK(Publish(*files_));
  const uint64_t file_bytes = Content("models/ml/1.safetensors").size();
  for (uint64_t room = 0; room < file_bytes; room += 100) {
    FaultyFileSystem faulty(files_.get());
    faulty.LimitSpace(room);
    EXPECT_THAT(Publish(faulty),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         HasSubstr("cannot write checkpoint into")))
        << room;
    EXPECT_THAT(Names(), ElementsAre("1.safetensors")) << room;
  }
}

// The file of such a number was removed by hand; the name is still refused.
TEST_F(PublishTest, TakesNoNumberThatServingJsonNames) {
  NEUMF_ASSERT_OK(Publish(*files_));
  NEUMF_ASSERT_OK(
      WriteFileAtomically(*files_, JoinPath(Folder(), "serving.json"),
                          R"({"serve": "largest", "refuse": [2, 3]})"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const PublishedCheckpoint published,
                             Publish(*files_));
  EXPECT_EQ(published.version, 4U);
}

TEST_F(PublishTest, GivesRacingPublishersNumbersOfTheirOwn) {
  constexpr int kPublishers = 8;
  std::vector<std::thread> threads;
  std::vector<absl::StatusOr<PublishedCheckpoint>> published(kPublishers);
  for (int i = 0; i < kPublishers; ++i) {
    threads.emplace_back([&, i] { published[i] = Publish(*files_); });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<uint64_t> versions;
  for (const auto& result : published) {
    NEUMF_ASSERT_OK(result);
    versions.push_back(result->version);
  }
  EXPECT_THAT(versions, UnorderedElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(ValidVersions(), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

}  // namespace
}  // namespace neumf
