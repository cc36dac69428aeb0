// The golden checkpoint was written by tests/golden/make_golden.py, which
// shares no code with us. Every later reader must take it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "base/sha256.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_writer.h"
#include "nlohmann/json.hpp"
#include "tests/checkpoint/checkpoint_image.h"
#include "tests/checkpoint/memory_file.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::string ReadGolden(const char* name) {
  const char* const source = std::getenv("NEUMF_SOURCE_DIR");
  const std::string folder = source == nullptr ? "." : source;
  std::ifstream file(folder + "/tests/golden/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name << " is looked for in $NEUMF_SOURCE_DIR";
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class GoldenTest : public testing::Test {
 protected:
  const std::string bytes_ = ReadGolden("format_v1.safetensors");
  const nlohmann::json expected_ =
      nlohmann::json::parse(ReadGolden("format_v1.json"));
};

TEST_F(GoldenTest, IsRead) {
  MemoryFile file(bytes_);
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint golden,
                             LoadCheckpoint(file, "format_v1.safetensors"));
  EXPECT_EQ(golden.info.digest, expected_["digest"]);
  EXPECT_EQ(ToHex(Sha256Of(bytes_)), expected_["sha256"]);
  EXPECT_THAT(golden.info.ignored_tensors, IsEmpty());
  EXPECT_EQ(golden.info.manifest.model_kind, "neumf");
  EXPECT_THAT(golden.info.manifest.probes, SizeIs(2));

  const ModelShape& shape = golden.model.shape;
  EXPECT_EQ(shape.num_users, 60U);
  EXPECT_EQ(shape.num_items, 150U);
  EXPECT_EQ(shape.gmf_width, 8U);
  EXPECT_THAT(shape.tower_widths, ElementsAre(32U, 16U, 8U));
  EXPECT_TRUE(golden.model.user_ids.Find("Zoë").has_value());
  EXPECT_EQ(golden.model.item_ids.id(149), "été");
  EXPECT_THAT(golden.model.seen.row(7), SizeIs(150));
  EXPECT_THAT(golden.model.user_ids.hashes(), SizeIs(60));
  for (const auto& [user_id, items] : expected_["users"].items()) {
    EXPECT_TRUE(golden.model.user_ids.Find(user_id).has_value()) << user_id;
  }
}

TEST_F(GoldenTest, KeepsEveryTensorWhenWrittenAgain) {
  MemoryFile file(bytes_);
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint golden,
                             LoadCheckpoint(file, "format_v1.safetensors"));
  MemoryFile again;
  NEUMF_ASSERT_OK(WriteCheckpointFile(again, "again", golden.model,
                                      golden.items, golden.info.manifest));
  CheckpointImage before = CheckpointImage::Parse(bytes_);
  CheckpointImage after = CheckpointImage::Parse(again.bytes());
  ASSERT_EQ(before.tensors.size(), after.tensors.size());
  for (const ImageTensor& tensor : before.tensors) {
    EXPECT_EQ(after.tensor(tensor.name).type, tensor.type) << tensor.name;
    EXPECT_EQ(after.tensor(tensor.name).shape, tensor.shape) << tensor.name;
    EXPECT_EQ(after.tensor(tensor.name).bytes, tensor.bytes) << tensor.name;
  }
}

}  // namespace
}  // namespace neumf
