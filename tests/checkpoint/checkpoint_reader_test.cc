#include "checkpoint/checkpoint_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_writer.h"
#include "model/user_vectors.h"
#include "tests/checkpoint/checkpoint_image.h"
#include "tests/checkpoint/memory_file.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;

std::string FileBytes(const ServingModel& model, const ItemTables& items,
                      const Manifest& manifest,
                      const CheckpointWriterOptions& options = {}) {
  MemoryFile file;
  NEUMF_EXPECT_OK(
      WriteCheckpointFile(file, "new", model, items, manifest, options));
  return file.bytes();
}

std::string TinyFile(const TinyModelOptions& options,
                     const CheckpointWriterOptions& writer_options = {}) {
  const TinyModel tiny = MakeTinyModel(options);
  Manifest manifest;
  manifest.model_kind = "neumf";
  return FileBytes(tiny.model, tiny.items, manifest, writer_options);
}

CheckpointWriterOptions DigestsOfChunks(uint64_t chunk_bytes) {
  CheckpointWriterOptions options;
  options.digest_chunk_bytes = chunk_bytes;
  return options;
}

CheckpointReader::Options WithThreads(size_t num_threads) {
  CheckpointReader::Options options;
  options.num_threads = num_threads;
  return options;
}

TinyModelOptions SmallestModel() {
  TinyModelOptions options;
  options.num_users = 1;
  options.num_items = 2;
  options.gmf_width = 1;
  options.tower_widths = {};
  options.seen_per_user = 1;
  return options;
}

absl::StatusOr<LoadedCheckpoint> Load(
    std::string bytes, const CheckpointReader::Options& options = {}) {
  MemoryFile file(std::move(bytes));
  return LoadCheckpoint(file, "/models/7.safetensors", options);
}

// Refused as damaged, by a text that names the file, the tensor and the reason.
auto RefusedFor(absl::string_view tensor, absl::string_view reason) {
  return StatusIs(kDataLoss, AllOf(StartsWith("7.safetensors: "),
                                   HasSubstr(std::string(tensor)),
                                   HasSubstr(std::string(reason))));
}

class CheckpointReaderTest : public testing::Test {
 protected:
  absl::Status Read() const { return Load(image_.Bytes()).status(); }

  void SetShape(absl::string_view name, std::vector<uint64_t> shape) {
    image_.tensor(name).shape = std::move(shape);
  }
  void SetOffsets(absl::string_view name, uint64_t begin, uint64_t end) {
    image_.tensor(name).claimed_offsets = {begin, end};
  }
  void ReplaceInHeader(absl::string_view from, absl::string_view to) {
    image_.replacements.emplace_back(from, to);
  }
  void Add(absl::string_view name, size_t num_bytes) {
    image_.tensors.push_back({std::string(name),
                              "U8",
                              {num_bytes},
                              std::string(num_bytes, 'x'),
                              std::nullopt});
  }

  CheckpointImage image_ = CheckpointImage::Parse(TinyFile({}));
};

TEST_F(CheckpointReaderTest, ReadsWhatAnyWriterOfTheFormatWrote) {
  NEUMF_EXPECT_OK(Read());
}

TEST_F(CheckpointReaderTest, KnowsTheShapeBeforeTheData) {
  MemoryFile file(image_.Bytes());
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto reader,
                             CheckpointReader::Open(file, "7", {}));
  const ModelShape& shape = reader->info().shape;
  EXPECT_EQ(shape.num_users, 7U);
  EXPECT_EQ(shape.num_items, 33U);
  EXPECT_EQ(shape.gmf_width, 4U);
  EXPECT_THAT(shape.tower_widths, ElementsAre(8U, 4U));
  EXPECT_TRUE(shape.has_item_bias);
  EXPECT_EQ(reader->network().layers.size(), 1U);
  EXPECT_EQ(reader->info().manifest.model_kind, "neumf");
  EXPECT_EQ(reader->info().digest.size(), 64U);
}

TEST_F(CheckpointReaderTest, StreamsWholeItemRowsInSmallBlocks) {
  MemoryFile file(image_.Bytes());
  CheckpointReader::Options options;
  options.block_bytes = 100;  // 3 rows of item.tower, 6 of item.gmf
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto reader,
                             CheckpointReader::Open(file, "7", options));
  ItemTables items = MakeItemTables(reader->info().shape);
  std::vector<uint64_t> tower_blocks;
  NEUMF_ASSERT_OK(reader->Read([&](const ItemRows& rows) {
    StoreItemRows(rows, items);
    if (rows.table == ItemTable::kTower) tower_blocks.push_back(rows.num_rows);
    return absl::OkStatus();
  }));
  EXPECT_EQ(tower_blocks, std::vector<uint64_t>(11, 3));
  const TinyModel tiny = MakeTinyModel({});
  EXPECT_EQ(std::vector<float>(items.tower.data(), items.tower.data() + 33 * 8),
            std::vector<float>(tiny.items.tower.data(),
                               tiny.items.tower.data() + 33 * 8));
}

TEST_F(CheckpointReaderTest, StopsWhereTheSinkFails) {
  MemoryFile file(image_.Bytes());
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto reader,
                             CheckpointReader::Open(file, "7", {}));
  EXPECT_THAT(reader->Read([](const ItemRows&) {
    return absl::ResourceExhaustedError("no room to pack");
  }),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("no room to pack")));
}

TEST(CheckpointThreadsTest, ReadTheSameWithAnyBlocksAndChunks) {
  const std::string expected = TinyFile({});
  for (const uint64_t chunk_bytes : {10, 32, 100, 128, 1000}) {
    const std::string file = TinyFile({}, DigestsOfChunks(chunk_bytes));
    for (const size_t block_bytes : {1, 70, 128, 1 << 20}) {
      for (const size_t num_threads : {1, 4}) {
        CheckpointReader::Options options = WithThreads(num_threads);
        options.block_bytes = block_bytes;
        NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                                   Load(file, options));
        EXPECT_EQ(FileBytes(loaded.model, loaded.items, loaded.info.manifest),
                  expected)
            << chunk_bytes << " " << block_bytes << " " << num_threads;
      }
    }
  }
}

TEST(CheckpointThreadsTest, NameTheFirstDamagedChunk) {
  std::string file = TinyFile({}, DigestsOfChunks(100));
  // item.tower has 1056 bytes and is followed by 132 of item.bias.
  const TinyModel tiny = MakeTinyModel({});
  const size_t tower = file.find(
      std::string(reinterpret_cast<const char*>(tiny.items.tower.data()), 64));
  for (const size_t damaged : {1000, 750, 430}) {
    file[tower + damaged] ^= 1;
    for (int repeat = 0; repeat < 20; ++repeat) {
      EXPECT_THAT(Load(file, WithThreads(4)),
                  RefusedFor("tensor item.tower",
                             absl::StrCat("chunk ", damaged / 100)));
    }
  }
}

// --- Damage of the file as a whole ---

TEST(CheckpointDamageTest, RefusesAFileCutAtAnyByte) {
  const std::string whole = TinyFile(SmallestModel());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(Load(whole.substr(0, size)), StatusIs(kDataLoss)) << size;
  }
  NEUMF_EXPECT_OK(Load(whole));
}

TEST(CheckpointDamageTest, RefusesAFileCutWhileItIsRead) {
  const std::string whole = TinyFile(SmallestModel());
  for (size_t size = 0; size < whole.size(); ++size) {
    MemoryFile file(whole);
    file.CutTo(size);
    EXPECT_THAT(LoadCheckpoint(file, "7"), StatusIs(kDataLoss)) << size;
  }
}

// A changed byte is refused, but for one place: the key of the manifest's
// digest, without which the file says the same with one safeguard less.
TEST(CheckpointDamageTest, RefusesAFileWithAnyByteChanged) {
  const std::string whole = TinyFile(SmallestModel());
  const std::string key = "neumf.manifest.sha256";
  const size_t key_begin = whole.find(key);
  for (size_t at = 0; at < whole.size(); ++at) {
    const bool in_key = at >= key_begin && at < key_begin + key.size();
    for (const int mask : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ mask);
      const absl::StatusOr<LoadedCheckpoint> loaded = Load(damaged);
      if (!loaded.ok()) continue;
      EXPECT_TRUE(in_key) << "byte " << at << " mask " << mask;
      EXPECT_EQ(FileBytes(loaded->model, loaded->items, loaded->info.manifest),
                whole);
    }
  }
}

TEST(CheckpointDamageTest, RefusesAnyByteOfAnyChunkChanged) {
  const std::string whole = TinyFile(SmallestModel(), DigestsOfChunks(3));
  MemoryFile file(whole);
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto reader,
                             CheckpointReader::Open(file, "7", {}));
  const size_t data_begin = reader->header().data_begin;
  ASSERT_LT(data_begin, whole.size());
  for (size_t at = data_begin; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_THAT(Load(damaged, WithThreads(3)), StatusIs(kDataLoss)) << at;
  }
}

TEST_F(CheckpointReaderTest, RefusesBytesAfterTheLastTensor) {
  EXPECT_THAT(Load(image_.Bytes() + "x"), RefusedFor("the tensors end", ""));
}

TEST_F(CheckpointReaderTest, RefusesAnEmptyFile) {
  EXPECT_THAT(Load(""), RefusedFor("", "too short"));
}

TEST_F(CheckpointReaderTest, RefusesSafetensorsOfOthers) {
  image_.metadata["format"] = "pt";
  EXPECT_THAT(Read(), RefusedFor("format is \"pt\"", "neumf.serving.v1"));
  EXPECT_THAT(Load(FileOf("{}", "")), RefusedFor("__metadata__", "format"));
}

TEST_F(CheckpointReaderTest, PassesOnWhatTheFileSystemSays) {
  const TempDirectory directory;
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  EXPECT_THAT(LoadCheckpoint(*files, directory.Path("7.safetensors")),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(LoadCheckpoint(*files, directory.path()), testing::Not(IsOk()));
}

TEST_F(CheckpointReaderTest, FailsWithTheErrorOfAnyRead) {
  MemoryFile file(TinyFile({}, DigestsOfChunks(100)));
  FaultyFileSystem faulty(&file);
  for (const size_t num_threads : {1, 4}) {
    int nth = 1;
    for (;; ++nth) {
      faulty.FailCall(nth, absl::UnavailableError("disk gone"));
      const absl::Status status =
          LoadCheckpoint(faulty, "7", WithThreads(num_threads)).status();
      if (status.ok()) break;
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                                   HasSubstr("disk gone")));
    }
    EXPECT_GT(nth, 40);  // it met every chunk of every tensor
  }
}

// --- Where tensors lie ---

TEST_F(CheckpointReaderTest, RefusesAShapeThatIsNotItsBytes) {
  SetShape("item.gmf", {33, 5});
  EXPECT_THAT(Read(),
              RefusedFor("tensor item.gmf",
                         "shape [33, 5] needs 660 bytes, offsets span 528"));
}

TEST_F(CheckpointReaderTest, RefusesAShapeWhoseProductOverflows) {
  SetShape("item.gmf", {uint64_t{1} << 32, uint64_t{1} << 32});
  EXPECT_THAT(Read(), RefusedFor("tensor item.gmf", "does not fit 64 bits"));
  SetShape("item.gmf", {0, uint64_t{1} << 63});
  EXPECT_THAT(Read(), RefusedFor("tensor item.gmf", "does not fit 64 bits"));
}

TEST_F(CheckpointReaderTest, RefusesOffsetsOutsideTheData) {
  const uint64_t huge = uint64_t{1} << 63;
  SetOffsets("item.gmf", huge, huge + 528);
  EXPECT_THAT(Read(), RefusedFor("tensor item.gmf", "no range"));
  SetOffsets("item.gmf", 528, 0);
  EXPECT_THAT(Read(), RefusedFor("tensor item.gmf", "no range"));
}

TEST_F(CheckpointReaderTest, RefusesOverlappingTensors) {
  const uint64_t size = image_.tensor("user.id.offsets").bytes.size();
  SetOffsets("user.id.offsets", 0, size);
  image_.tensor("item.id.offsets").claimed_offsets = {8, 8 + 34 * 8};
  EXPECT_THAT(Read(), RefusedFor("tensor item.id.offsets", "inside"));
}

TEST_F(CheckpointReaderTest, RefusesAHoleBetweenTensors) {
  const uint64_t size = image_.tensor("user.id.offsets").bytes.size();
  SetOffsets("item.id.offsets", size + 8, size + 8 + 34 * 8);
  EXPECT_THAT(Read(), RefusedFor("tensor item.id.offsets", "hole"));
}

TEST_F(CheckpointReaderTest, TakesTensorsInAnyOrder) {
  std::reverse(image_.tensors.begin(), image_.tensors.end());
  NEUMF_EXPECT_OK(Read());
}

// --- Which tensors there are ---

TEST_F(CheckpointReaderTest, RefusesAMissingHalf) {
  for (const char* name :
       {"user.gmf", "item.gmf", "user.tower", "item.tower", "head.weight",
        "tower.2.weight", "tower.2.bias", "user.id.offsets", "user.id.bytes",
        "item.id.offsets", "item.id.bytes", "seen.offsets", "seen.items"}) {
    CheckpointImage image = image_;
    image.Remove(name);
    EXPECT_THAT(Load(image.Bytes()), RefusedFor(name, "missing")) << name;
  }
}

TEST_F(CheckpointReaderTest, TakesWhatIsOptionalAsAbsent) {
  for (const char* name : {"head.bias", "item.bias", "item.popularity"}) {
    image_.Remove(name);
  }
  image_.Remove("seen.offsets");
  image_.Remove("seen.items");
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             Load(image_.Bytes()));
  EXPECT_TRUE(loaded.model.seen.empty());
  EXPECT_TRUE(loaded.model.popularity.empty());
  EXPECT_TRUE(loaded.items.bias.empty());
  EXPECT_EQ(loaded.model.network.head_bias, 0.0F);
}

TEST_F(CheckpointReaderTest, TakesADotProductAlone) {
  for (const char* name : {"user.tower", "item.tower", "head.weight",
                           "tower.2.weight", "tower.2.bias"}) {
    image_.Remove(name);
  }
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             Load(image_.Bytes()));
  EXPECT_FALSE(loaded.model.shape.has_tower());
}

TEST_F(CheckpointReaderTest, RefusesAGapInTheTower) {
  image_.tensor("tower.2.weight").name = "tower.3.weight";
  image_.tensor("tower.2.bias").name = "tower.3.bias";
  SetShape("head.weight", {4});
  EXPECT_THAT(Read(), RefusedFor("head.weight", "shape [4], not [8]"));
  SetShape("head.weight", {8});
  image_.tensor("head.weight").bytes.resize(32);
  EXPECT_THAT(Read(), RefusedFor("tensor tower.3", "without a gap"));
}

TEST_F(CheckpointReaderTest, RefusesAModelOfNoParts) {
  for (const char* name :
       {"user.tower", "item.tower", "head.weight", "tower.2.weight",
        "tower.2.bias", "user.gmf", "item.gmf"}) {
    image_.Remove(name);
  }
  EXPECT_THAT(Read(), RefusedFor("", "neither a dot product nor a tower"));
}

TEST_F(CheckpointReaderTest, RefusesShapesThatDoNotFitEachOther) {
  SetShape("item.gmf", {66, 2});
  EXPECT_THAT(Read(),
              RefusedFor("tensor user.gmf", "shape [7, 4], not [7, 2]"));
}

TEST_F(CheckpointReaderTest, RefusesAnotherNumberOfDimensions) {
  SetShape("item.gmf", {132});
  EXPECT_THAT(Read(), RefusedFor("tensor item.gmf", "1 dimensions, not 2"));
}

TEST_F(CheckpointReaderTest, RefusesAnotherType) {
  image_.tensor("item.gmf").type = "U32";
  EXPECT_THAT(Read(), RefusedFor("tensor item.gmf", "type U32, not F32"));
  image_.tensor("item.gmf").type = "BF16";
  EXPECT_THAT(Read(), RefusedFor("tensor item.gmf", "type BF16, not F32"));
}

class Float16UsersTest : public CheckpointReaderTest {
 protected:
  Float16UsersTest() {
    TinyModel tiny = MakeTinyModel({});
    tiny.model.users = RoundToFloat16(tiny.model.users).value();
    image_ = CheckpointImage::Parse(FileBytes(tiny.model, tiny.items, {}));
  }
};

TEST_F(Float16UsersTest, AreReadAsTheyAre) {
  EXPECT_EQ(image_.tensor("user.gmf").type, "F16");
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             Load(image_.Bytes()));
  const Float16Matrix& gmf = loaded.model.users.gmf16;
  EXPECT_EQ(image_.tensor("user.gmf").bytes,
            std::string(reinterpret_cast<const char*>(gmf.data()),
                        gmf.size() * sizeof(Float16)));
}

TEST_F(Float16UsersTest, AreAFeatureThatMustBeNamed) {
  image_.manifest.erase("required_features");
  EXPECT_THAT(Read(), RefusedFor("user tables are F16", "user.f16"));
}

TEST_F(Float16UsersTest, AreBothInFloat16) {
  const ImageTensor wide =
      CheckpointImage::Parse(TinyFile({})).tensor("user.tower");
  image_.tensor("user.tower").bytes = wide.bytes;
  image_.tensor("user.tower").type = "F32";
  EXPECT_THAT(Read(), RefusedFor("tensor user.tower", "type F32, not F16"));
}

TEST_F(Float16UsersTest, AreFinite) {
  for (const uint16_t bad : {0x7C00, 0xFC00, 0x7C01, 0xFE00}) {
    CheckpointImage good = image_;
    image_.Put<uint16_t>("user.tower", 11, bad);
    EXPECT_THAT(Read(), RefusedFor("user.tower", "value 3 of row 1"));
    image_ = good;
  }
}

TEST_F(CheckpointReaderTest, RefusesWidthsBeyondTheLimit) {
  const uint64_t width = 4097;
  for (const auto& [name, rows] :
       {std::make_pair("user.gmf", 7), std::make_pair("item.gmf", 33)}) {
    SetShape(name, {static_cast<uint64_t>(rows), width});
    image_.tensor(name).bytes.assign(rows * width * 4, '\0');
  }
  EXPECT_THAT(Read(), RefusedFor("tensor item.gmf", "width 4097"));
}

TEST_F(CheckpointReaderTest, RefusesEmptyTensors) {
  image_.SetValues<float>("item.popularity", {});
  EXPECT_THAT(Read(), RefusedFor("tensor item.popularity", "empty"));
}

TEST_F(CheckpointReaderTest, TakesNoSeenItemsAtAll) {
  image_.SetValues<uint64_t>("seen.offsets", std::vector<uint64_t>(8));
  image_.SetValues<uint32_t>("seen.items", {});
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             Load(image_.Bytes()));
  EXPECT_TRUE(loaded.model.seen.row(3).empty());
}

TEST_F(CheckpointReaderTest, SkipsUnknownTensorsAndSaysSo) {
  Add("history.gmf", 12);
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             Load(image_.Bytes()));
  EXPECT_THAT(loaded.info.ignored_tensors, ElementsAre("history.gmf"));
}

TEST_F(CheckpointReaderTest, ChecksUnknownTensorsThatHaveADigest) {
  Add("history.gmf", 12);
  image_ = CheckpointImage::Parse(image_.Bytes());
  image_.Put<char>("history.gmf", 5, 'y');
  image_.with_old_digest = {"history.gmf"};
  EXPECT_THAT(Read(), RefusedFor("tensor history.gmf", "SHA-256"));
}

TEST_F(CheckpointReaderTest, RefusesUnknownTensorsOutOfPlace) {
  Add("history.gmf", 12);
  SetOffsets("history.gmf", 0, 12);
  EXPECT_THAT(Read(), RefusedFor("tensor user.id.offsets", "inside"));
}

// --- Digests ---

TEST_F(CheckpointReaderTest, RefusesATensorThatIsNotItsDigest) {
  for (const ImageTensor& tensor : image_.tensors) {
    CheckpointImage image = image_;
    image.tensor(tensor.name).bytes.back() ^= 1;
    image.with_old_digest = {tensor.name};
    EXPECT_THAT(Load(image.Bytes()), RefusedFor("tensor " + tensor.name, "SHA"))
        << tensor.name;
  }
}

TEST_F(CheckpointReaderTest, RefusesATensorWithoutADigest) {
  image_.without_digest = {"item.gmf"};
  EXPECT_THAT(Read(), RefusedFor("tensor item.gmf", "no digest"));
}

TEST_F(CheckpointReaderTest, RefusesADigestWithoutItsTensor) {
  ReplaceInHeader("\"item.bias\":{\"data", "\"item.bios\":{\"data");
  EXPECT_THAT(Read(), RefusedFor("tensor item.bias", "missing"));
}

nlohmann::json ChunkDigests(absl::string_view bytes, size_t chunk_bytes) {
  nlohmann::json chunks = nlohmann::json::array();
  for (size_t at = 0; at < bytes.size(); at += chunk_bytes) {
    chunks.push_back(ToHex(Sha256Of(bytes.substr(at, chunk_bytes))));
  }
  return {{"chunk_bytes", chunk_bytes}, {"sha256_chunks", chunks}};
}

TEST_F(CheckpointReaderTest, VerifiesEveryChunk) {
  image_.with_old_digest = {"item.gmf"};
  for (const size_t chunk_bytes : {1, 100, 264, 528, 1000}) {
    CheckpointImage image = image_;
    image.manifest["tensors"]["item.gmf"] =
        ChunkDigests(image.tensor("item.gmf").bytes, chunk_bytes);
    NEUMF_EXPECT_OK(Load(image.Bytes())) << chunk_bytes;
    image.tensor("item.gmf").bytes[527] ^= 1;
    EXPECT_THAT(Load(image.Bytes()), RefusedFor("tensor item.gmf", "chunk"))
        << chunk_bytes;
  }
}

TEST_F(CheckpointReaderTest, RefusesTooFewChunks) {
  image_.with_old_digest = {"item.gmf"};
  image_.manifest["tensors"]["item.gmf"] =
      ChunkDigests(image_.tensor("item.gmf").bytes.substr(0, 500), 100);
  EXPECT_THAT(Read(), RefusedFor("tensor item.gmf", "5 digests for 528 bytes"));
}

TEST_F(CheckpointReaderTest, RefusesAManifestThatIsNotItsDigest) {
  image_.metadata["neumf.manifest.sha256"] = ToHex(Sha256Of("another"));
  EXPECT_THAT(Read(), RefusedFor("manifest", "SHA-256"));
}

// --- What tensors hold ---

TEST_F(CheckpointReaderTest, RefusesValuesThatAreNotFinite) {
  for (const char* name : {"user.gmf", "item.gmf", "user.tower", "item.tower",
                           "item.bias", "tower.2.weight", "tower.2.bias",
                           "head.weight", "head.bias", "item.popularity"}) {
    for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
      CheckpointImage image = image_;
      image.Put(name, image.tensor(name).bytes.size() / 4 - 1, bad);
      EXPECT_THAT(Load(image.Bytes()), RefusedFor(name, "not finite")) << name;
    }
  }
}

TEST_F(CheckpointReaderTest, NamesTheRowOfABadValueInAnyBlock) {
  image_.Put("item.gmf", 32 * 4 + 3, HUGE_VALF);
  MemoryFile file(image_.Bytes());
  CheckpointReader::Options options;
  options.block_bytes = 64;  // 4 rows of 4 floats
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto reader,
                             CheckpointReader::Open(file, "7", options));
  EXPECT_THAT(
      reader->Read([](const ItemRows&) { return absl::OkStatus(); }).status(),
      StatusIs(kDataLoss, HasSubstr("item.gmf: value 3 of row 32 is not")));
}

TEST_F(CheckpointReaderTest, RefusesScoresThatMayOverflow) {
  image_.Put("user.gmf", 0, 3e38F);
  image_.Put("item.gmf", 0, 3e38F);
  EXPECT_THAT(Read(), RefusedFor("", "scores"));
}

TEST_F(CheckpointReaderTest, RefusesIdsThatAppearTwice) {
  image_.SetValues<char>("user.id.bytes", {'a', 'b', 'c', 'b', 'd', 'e', 'f'});
  image_.SetValues<uint64_t>("user.id.offsets", {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_THAT(Read(), RefusedFor("user.id.bytes", "row 3"));
}

TEST_F(CheckpointReaderTest, RefusesIdsThatAreNotUtf8) {
  image_.tensor("item.id.bytes").bytes[0] = '\xff';
  EXPECT_THAT(Read(), RefusedFor("item.id.bytes", "not UTF-8"));
}

TEST_F(CheckpointReaderTest, RefusesEmptyAndOversizedIds) {
  image_.Put<uint64_t>("item.id.offsets", 1, 0);
  EXPECT_THAT(Read(), RefusedFor("item.id.bytes", "row 0: the id is empty"));
  image_.SetValues("user.id.bytes", std::vector<char>(300, 'x'));
  image_.SetValues<uint64_t>("user.id.offsets", {0, 1, 2, 3, 4, 5, 6, 300});
  EXPECT_THAT(Read(), RefusedFor("user.id.bytes", "row 6: the id has 294"));
}

TEST_F(CheckpointReaderTest, RefusesIdOffsetsThatDoNotAscend) {
  image_.Put<uint64_t>("item.id.offsets", 3, uint64_t{1} << 63);
  EXPECT_THAT(Read(), RefusedFor("item.id.offsets", "descend"));
  image_.Put<uint64_t>("item.id.offsets", 33, 1000);
  EXPECT_THAT(Read(), RefusedFor("item.id.offsets", "not from 0 to"));
}

TEST_F(CheckpointReaderTest, RefusesSeenRowsThatDoNotAscend) {
  image_.Put<uint32_t>("seen.items", 3, 32);
  image_.Put<uint32_t>("seen.items", 4, 32);
  EXPECT_THAT(Read(), RefusedFor("seen.items", "row 1: items do not ascend"));
}

TEST_F(CheckpointReaderTest, RefusesSeenItemsBeyondTheCatalog) {
  image_.Put<uint32_t>("seen.items", 20, 33);
  EXPECT_THAT(Read(), RefusedFor("seen.items", "item row 33 of 33"));
}

TEST_F(CheckpointReaderTest, RefusesSeenOffsetsThatPassTheItems) {
  image_.Put<uint64_t>("seen.offsets", 7, uint64_t{1} << 62);
  EXPECT_THAT(Read(), RefusedFor("seen.items", "offsets"));
  image_.Put<uint64_t>("seen.offsets", 7, 21);
  image_.Put<uint64_t>("seen.offsets", 3, uint64_t{1} << 62);
  EXPECT_THAT(Read(), RefusedFor("seen.items", "descend"));
}

TEST_F(CheckpointReaderTest, RefusesWrongUserHashes) {
  std::vector<uint64_t> hashes;
  for (int user = 0; user < 7; ++user) {
    hashes.push_back(IdHash(absl::StrCat("u", user)));
  }
  image_.tensors.insert(image_.tensors.begin(),
                        {"user.id.hash", "U64", {7}, "", std::nullopt});
  image_.SetValues("user.id.hash", hashes);
  EXPECT_THAT(Read(),
              RefusedFor("user.id.hash: row 3", "the hashes do not ascend"));
  std::sort(hashes.begin(), hashes.end());
  image_.SetValues("user.id.hash", hashes);
  EXPECT_THAT(Read(), RefusedFor("user.id.hash: row 0",
                                 "the hash is not that of the id"));
}

// --- What a newer program wrote ---

TEST_F(CheckpointReaderTest, DoesNotKnowOtherFormatVersions) {
  image_.manifest["format_version"] = 2;
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("format_version 2")));
}

TEST_F(CheckpointReaderTest, DoesNotKnowARequiredFeature) {
  image_.manifest["required_features"] = {"history"};
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("history")));
}

}  // namespace
}  // namespace neumf
