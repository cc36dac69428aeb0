#include "trainer/tensor_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "tests/checkpoint/memory_file.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/tensor_image.h"

namespace neumf {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class TensorFileTest : public testing::Test {
 protected:
  absl::Status WriteTwo(FileSystem& files, absl::string_view note) {
    const std::vector<float> table = {1, -2.5F, 3e-40F, 4, 5, 6e37F};
    return WriteTensors(files, path_, {{"note", std::string(note)}},
                        {{"table", {3, 2}, table}, {"none", {0, 7}, {}}});
  }

  absl::StatusOr<TensorFile> Read() { return ReadTensors(*files_, path_); }

  absl::StatusOr<TensorFile> ReadBytes(absl::string_view bytes) {
    MemoryFile file{std::string(bytes)};
    return ReadTensors(file, path_);
  }

  absl::StatusOr<TensorFile> ReadOne(absl::string_view type,
                                     std::vector<uint64_t> shape,
                                     const std::string& bytes) {
    TensorImage image;
    image.Add("x", type, std::move(shape), bytes);
    return ReadBytes(image.Bytes());
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::string path_ = directory_.Path("tensors.safetensors");
};

TEST_F(TensorFileTest, ReadsWhatWasWritten) {
  NEUMF_ASSERT_OK(WriteTwo(*files_, "a \"note\""));
  NEUMF_ASSERT_OK_AND_ASSIGN(const TensorFile file, Read());
  EXPECT_THAT(file.metadata, ElementsAre(Pair("note", "a \"note\"")));
  ASSERT_EQ(file.tensors.size(), 2U);
  const Tensor& table = file.tensors.at("table");
  EXPECT_THAT(table.shape, ElementsAre(3, 2));
  EXPECT_THAT(table.values, ElementsAre(1, -2.5F, 3e-40F, 4, 5, 6e37F));
  EXPECT_TRUE(file.tensors.at("none").values.empty());
}

TEST_F(TensorFileTest, RefusesEveryChangedByte) {
  NEUMF_ASSERT_OK(WriteTwo(*files_, "note"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string bytes,
                             ReadWholeFile(*files_, path_, 1 << 20));
  const std::string padding = bytes.substr(0, bytes.size() - 24);
  for (size_t i = 0; i < bytes.size(); ++i) {
    // Spaces that only fill the header up say nothing.
    const bool is_padding = i < padding.size() && i > padding.rfind('}');
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x04);
    if (is_padding && damaged[i] == ' ') continue;
    const absl::StatusOr<TensorFile> file = ReadBytes(damaged);
    EXPECT_FALSE(file.ok() && file->is_digested) << "byte " << i;
  }
}

TEST_F(TensorFileTest, RefusesEveryShorterFile) {
  NEUMF_ASSERT_OK(WriteTwo(*files_, "note"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string bytes,
                             ReadWholeFile(*files_, path_, 1 << 20));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(ReadBytes(bytes.substr(0, size)),
                StatusIs(StatusCode::kDataLoss, HasSubstr(path_)));
  }
  EXPECT_THAT(ReadBytes(bytes + "x"), StatusIs(StatusCode::kDataLoss));
}

TEST_F(TensorFileTest, KeepsTheOldContentWhateverCallFails) {
  NEUMF_ASSERT_OK(WriteTwo(*files_, "old"));
  FaultyFileSystem faulty(files_.get());
  bool failed = true;
  for (int nth = 1; failed; ++nth) {
    faulty.FailFrom(nth, absl::UnavailableError("the disk is gone"));
    const absl::Status written = WriteTwo(faulty, "new");
    failed = !written.ok();
    NEUMF_ASSERT_OK_AND_ASSIGN(const TensorFile file, Read());
    if (!failed) {
      EXPECT_EQ(file.metadata.at("note"), "new");
    }
    ASSERT_LT(nth, 20);
  }
}

TEST_F(TensorFileTest, ReadErrorsOfTheDiskAreTold) {
  NEUMF_ASSERT_OK(WriteTwo(*files_, "note"));
  FaultyFileSystem faulty(files_.get());
  for (int nth = 1; nth <= 3; ++nth) {
    faulty.FailCall(nth, absl::UnavailableError("bad sector"));
    EXPECT_THAT(ReadTensors(faulty, path_),
                StatusIs(StatusCode::kUnavailable, HasSubstr("bad sector")));
  }
}

TEST_F(TensorFileTest, SurvivesAFileThatIsCutWhileItIsRead) {
  NEUMF_ASSERT_OK(WriteTwo(*files_, "note"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string bytes,
                             ReadWholeFile(*files_, path_, 1 << 20));
  for (size_t size = 0; size < bytes.size(); ++size) {
    MemoryFile file(bytes);
    file.CutTo(size);
    EXPECT_THAT(ReadTensors(file, path_), StatusIs(StatusCode::kDataLoss));
  }
}

TEST_F(TensorFileTest, ReadsFilesWithoutDigest) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const TensorFile file,
                             ReadOne("F32", {2}, FloatBytes({7, 8})));
  EXPECT_THAT(file.tensors.at("x").values, ElementsAre(7, 8));
  EXPECT_FALSE(file.is_digested);
}

TEST_F(TensorFileTest, ConvertsDoubles) {
  const double third = 1.0 / 3;
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const TensorFile file,
      ReadOne("F64", {3}, BytesOf<double>({third, -1e-300, 4})));
  EXPECT_THAT(file.tensors.at("x").values,
              ElementsAre(static_cast<float>(third), 0, 4));
}

// IEEE 754: 1, -2, 65504 (largest), 2^-24 (smallest), 2^-14 (smallest normal),
// -0, 1 + 2^-10.
TEST_F(TensorFileTest, ConvertsHalves) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const TensorFile file,
      ReadOne("F16", {7},
              BytesOf<uint16_t>(
                  {0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x8000, 0x3c01})));
  EXPECT_THAT(file.tensors.at("x").values,
              ElementsAre(1, -2, 65504, std::ldexp(1.0F, -24),
                          std::ldexp(1.0F, -14), 0, 1 + 1.0F / 1024));
}

TEST_F(TensorFileTest, ConvertsBrainFloats) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const TensorFile file,
      ReadOne("BF16", {1, 3}, BytesOf<uint16_t>({0x3f80, 0xc049, 0x0000})));
  EXPECT_THAT(file.tensors.at("x").values, ElementsAre(1, -3.140625F, 0));
}

TEST_F(TensorFileTest, RefusesOtherTypes) {
  EXPECT_THAT(ReadOne("I64", {1}, BytesOf<int64_t>({1})),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("tensor x"), HasSubstr("I64"))));
}

TEST_F(TensorFileTest, RefusesValuesThatAreNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(ReadOne("F32", {2}, FloatBytes({1, infinity})),
              StatusIs(StatusCode::kDataLoss, HasSubstr("value 1")));
  EXPECT_THAT(ReadOne("F16", {1}, BytesOf<uint16_t>({0x7e00})),
              StatusIs(StatusCode::kDataLoss, HasSubstr("value 0")));
  EXPECT_THAT(ReadOne("F64", {1}, BytesOf<double>({1e300})),
              StatusIs(StatusCode::kDataLoss, HasSubstr("value 0")));
}

TEST_F(TensorFileTest, RefusesShapesThatTheBytesDoNotBack) {
  constexpr uint64_t kHuge = uint64_t{1} << 62;
  const std::string eight(8, '\0');
  for (const std::vector<uint64_t>& shape : std::vector<std::vector<uint64_t>>{
           {2}, {kHuge, 4}, {kHuge, kHuge}, {0, kHuge}, {}, {1, 1, 3}}) {
    for (const char* type : {"F64", "BF16"}) {
      if (shape.empty() && type[0] == 'F') continue;  // one number: 8 bytes
      EXPECT_THAT(ReadOne(type, shape, eight), StatusIs(StatusCode::kDataLoss))
          << type << ShapeText(shape);
    }
  }
}

TEST_F(TensorFileTest, RefusesToWriteAHeaderThatNobodyReads) {
  EXPECT_THAT(
      WriteTensors(*files_, path_, {{"long", std::string(2 << 20, 'x')}}, {}),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("header")));
  EXPECT_THAT(Read(), StatusIs(StatusCode::kNotFound, HasSubstr(path_)));
}

}  // namespace
}  // namespace neumf
