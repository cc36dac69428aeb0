#include "trainer/weights_file.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/model/model_zoo.h"
#include "tests/trainer/tensor_image.h"
#include "trainer/tensor_file.h"

namespace neumf {
namespace {

using absl::StatusCode;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class WeightsFileTest : public testing::Test {
 protected:
  // Writes the weights of a model of the zoo, then lets `change` do what it
  // wants to the file, which gets a right digest again.
  template <typename Change>
  absl::StatusOr<WeightsFile> ReadAfter(absl::string_view name, Change change) {
    const ZooModel model(FindInZoo(name), 1);
    NEUMF_EXPECT_OK(
        WriteWeights(*files_, path_, model.parameters(), json::object()));
    absl::StatusOr<TensorFile> file = ReadTensors(*files_, path_);
    NEUMF_EXPECT_OK(file);
    change(&*file);
    std::vector<TensorView> views;
    for (const auto& [tensor_name, tensor] : file->tensors) {
      views.push_back({tensor_name, tensor.shape, tensor.values});
    }
    NEUMF_EXPECT_OK(WriteTensors(*files_, path_, file->metadata, views));
    return ReadWeights(*files_, path_);
  }

  absl::StatusOr<WeightsFile> ReadWithSpec(const char* field,
                                           const json& value) {
    return ReadAfter("NeuMfRelu", [&](TensorFile* file) {
      json spec = json::parse(file->metadata["neumf.spec"]);
      spec[field] = value;
      file->metadata["neumf.spec"] = spec.dump();
    });
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::string path_ = directory_.Path("weights.safetensors");
};

class EveryModelTest : public WeightsFileTest,
                       public testing::WithParamInterface<ModelCase> {};

// With the item's terms and the user's: what the spec says matters as well.
TEST_P(EveryModelTest, ComesBackAsTheSameFunction) {
  const ZooModel model(GetParam().spec, 5);
  NEUMF_ASSERT_OK(WriteWeights(*files_, path_, model.parameters(),
                               {{"seed", 5}, {"name", GetParam().name}}));
  NEUMF_ASSERT_OK_AND_ASSIGN(const WeightsFile read,
                             ReadWeights(*files_, path_));
  EXPECT_EQ(read.about["seed"], 5);
  EXPECT_EQ(read.about["name"], GetParam().name);
  ASSERT_EQ(read.parameters.values(), model.parameters().values());

  ZooModel again(read.parameters.spec(), 6);
  std::copy(read.parameters.values().begin(), read.parameters.values().end(),
            again.parameters().values().begin());
  for (const uint32_t user : {0U, 17U, 30U}) {
    const OwnedBag bag(model.user_bags(), user);
    const OwnedBag same(again.user_bags(), user);
    EXPECT_EQ(model.Score(bag.bag(), 11, nullptr),
              again.Score(same.bag(), 11, nullptr));
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, EveryModelTest, testing::ValuesIn(ModelZoo()),
                         [](const auto& model) { return model.param.name; });

TEST_F(WeightsFileTest, RefusesAFileOfSomethingElse) {
  TensorImage image;
  image.metadata["format"] = "pt";
  image.Add("P.weight", "F32", {1}, FloatBytes({1}));
  NEUMF_ASSERT_OK(image.Write(*files_, path_));
  EXPECT_THAT(ReadWeights(*files_, path_),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(path_), HasSubstr("no weights that"))));
}

TEST_F(WeightsFileTest, RefusesTensorsThatTheModelDoesNotHave) {
  EXPECT_THAT(
      ReadAfter("Mf",
                [](TensorFile* file) { file->tensors.erase("user.gmf"); }),
      StatusIs(StatusCode::kDataLoss, HasSubstr("user.gmf is missing")));
  EXPECT_THAT(
      ReadAfter("Mf",
                [](TensorFile* file) {
                  file->tensors["extra"] = {{1}, {1}};
                }),
      StatusIs(StatusCode::kDataLoss, HasSubstr("there are 6 tensors")));
  EXPECT_THAT(ReadAfter("Mf",
                        [](TensorFile* file) {
                          file->tensors["head.bias"].shape = {1};
                        }),
              StatusIs(StatusCode::kDataLoss,
                       HasSubstr("head.bias is [1] where the model wants")));
}

TEST_F(WeightsFileTest, RefusesSpecsThatItCannotUnderstand) {
  for (const auto& [field, value] :
       std::map<const char*, json>{{"factors", -1},
                                   {"history_length", uint64_t{1} << 32},
                                   {"num_users", 0.5},
                                   {"hidden", {7, 5, "3"}},
                                   {"activation", "gelu"},
                                   {"cosine", 1},
                                   {"history_decay", "5"},
                                   {"something_new", true}}) {
    EXPECT_THAT(ReadWithSpec(field, value),
                StatusIs(StatusCode::kDataLoss, HasSubstr(path_)))
        << field;
  }
}

// No memory is asked for 4e9 users that are not there.
TEST_F(WeightsFileTest, RefusesSpecsThatTheTensorsDoNotBack) {
  EXPECT_THAT(
      ReadWithSpec("num_users", 3'999'999'999U),
      StatusIs(StatusCode::kDataLoss, HasSubstr("user.gmf is [31, 6]")));
  EXPECT_THAT(ReadWithSpec("num_users", uint64_t{1} << 40),
              StatusIs(StatusCode::kDataLoss, HasSubstr("number of users")));
  EXPECT_THAT(ReadWithSpec("hidden", std::vector<int>(1000, 4096)),
              StatusIs(StatusCode::kDataLoss, HasSubstr("layers")));
}

TEST_F(WeightsFileTest, NeedsItsDigest) {
  TensorImage image;
  image.metadata["format"] = "neumf.weights.v1";
  NEUMF_ASSERT_OK(image.Write(*files_, path_));
  EXPECT_THAT(ReadWeights(*files_, path_),
              StatusIs(StatusCode::kDataLoss, HasSubstr("digest")));
}

TEST_F(WeightsFileTest, NeedsItsSpecAndItsNotes) {
  for (const char* key : {"neumf.spec", "neumf.about"}) {
    EXPECT_THAT(
        ReadAfter("Mf", [&](TensorFile* file) { file->metadata.erase(key); }),
        StatusIs(StatusCode::kDataLoss, HasSubstr(key)));
    EXPECT_THAT(
        ReadAfter("Mf", [&](TensorFile* file) { file->metadata[key] = "[]"; }),
        StatusIs(StatusCode::kDataLoss, HasSubstr(key)));
  }
}

}  // namespace
}  // namespace neumf
