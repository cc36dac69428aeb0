#include "trainer/import_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/trainer/model/model_zoo.h"
#include "trainer/model/torch_model.h"
#include "trainer/random.h"

namespace neumf {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;

// State dicts with random values of order 1.
class StateDictBuilder {
 public:
  explicit StateDictBuilder(std::string prefix = "")
      : prefix_(std::move(prefix)) {}

  StateDictBuilder& Add(const std::string& name, std::vector<uint64_t> shape) {
    Tensor& tensor = file_.tensors[prefix_ + name];
    uint64_t size = 1;
    for (const uint64_t n : shape) size *= n;
    tensor.shape = std::move(shape);
    for (uint64_t i = 0; i < size; ++i) {
      tensor.values.push_back(static_cast<float>(random_.Normal()));
    }
    return *this;
  }
  StateDictBuilder& Linear(const std::string& module, uint64_t in, uint64_t out,
                           bool bias = true) {
    Add(absl::StrCat(module, ".weight"), {out, in});
    return bias ? Add(absl::StrCat(module, ".bias"), {out}) : *this;
  }

  const TensorFile& file() const { return file_; }

 private:
  const std::string prefix_;
  TensorFile file_;
  Random random_{7};
};

// Users 1 to 12 and items 1 to 9, as the book has them after ids - 1.
StateDictBuilder D2l(const std::string& prefix = "") {
  StateDictBuilder dict(prefix);
  dict.Add("P.weight", {12, 3}).Add("Q.weight", {9, 3});
  dict.Add("U.weight", {12, 3}).Add("V.weight", {9, 3});
  dict.Linear("mlp.0", 6, 5).Linear("mlp.2", 5, 4).Linear("mlp.4", 4, 3);
  return dict.Linear("prediction_layer", 6, 1, /*bias=*/false);
}

// Tables of the tower that are wider than those of the product, and so many
// layers that their numbers do not sort as text.
StateDictBuilder Ncf() {
  StateDictBuilder dict;
  dict.Add("embed_user_GMF.weight", {13, 2});
  dict.Add("embed_item_GMF.weight", {10, 2});
  dict.Add("embed_user_MLP.weight", {13, 8});
  dict.Add("embed_item_MLP.weight", {10, 8});
  dict.Linear("MLP_layers.1", 16, 8).Linear("MLP_layers.4", 8, 6);
  dict.Linear("MLP_layers.7", 6, 6).Linear("MLP_layers.10", 6, 2);
  return dict.Linear("predict_layer", 4, 1);
}

StateDictBuilder Blog(const std::string& product = "MF_Embedding") {
  StateDictBuilder dict;
  dict.Add(product + "_User.weight", {13, 3});
  dict.Add(product + "_Item.weight", {10, 3});
  dict.Add("MLP_Embedding_User.weight", {13, 4});
  dict.Add("MLP_Embedding_Item.weight", {10, 4});
  dict.Linear("dnn_network.0", 8, 7).Linear("dnn_network.1", 7, 5);
  dict.Linear("linear", 5, 3);
  return dict.Linear("linear2", 6, 1);
}

// The function of a layout, by its definition.
struct Definition {
  const TensorFile& file;
  std::string user_gmf, item_gmf, user_tower, item_tower;
  std::vector<std::string> layers;
  std::string linear;  // empty: none
  std::string output;

  std::vector<double> Row(const std::string& table, uint64_t row) const {
    const Tensor& tensor = file.tensors.at(table + ".weight");
    const auto begin =
        tensor.values.begin() + static_cast<ptrdiff_t>(row * tensor.shape[1]);
    return {begin, begin + static_cast<ptrdiff_t>(tensor.shape[1])};
  }

  std::vector<double> Apply(const std::string& module,
                            const std::vector<double>& x) const {
    const Tensor& weight = file.tensors.at(module + ".weight");
    const auto bias = file.tensors.find(module + ".bias");
    std::vector<double> y;
    for (uint64_t o = 0; o < weight.shape[0]; ++o) {
      double sum = bias == file.tensors.end() ? 0 : bias->second.values[o];
      for (size_t i = 0; i < x.size(); ++i) {
        sum += double{weight.values[o * x.size() + i]} * x[i];
      }
      y.push_back(sum);
    }
    return y;
  }

  double Score(uint64_t user, uint64_t item) const {
    std::vector<double> both;
    if (!user_gmf.empty()) {
      both = Row(user_gmf, user);
      for (size_t k = 0; k < both.size(); ++k)
        both[k] *= Row(item_gmf, item)[k];
    }
    if (!user_tower.empty()) {
      std::vector<double> z = Row(user_tower, user);
      for (const double value : Row(item_tower, item)) z.push_back(value);
      for (const std::string& layer : layers) {
        z = Apply(layer, z);
        for (double& value : z) value = std::max(value, 0.0);
      }
      if (!linear.empty()) z = Apply(linear, z);
      both.insert(both.end(), z.begin(), z.end());
    }
    return Apply(output, both)[0];
  }
};

Definition D2lDefinition(const TensorFile& file) {
  return {file, "P",
          "Q",  "U",
          "V",  {"mlp.0", "mlp.2", "mlp.4"},
          "",   "prediction_layer"};
}

// Neither in order nor all of those that the tables have.
const std::vector<std::string>& UserIds() {
  static const auto& ids = *new std::vector<std::string>{"3", "12", "1", "7"};
  return ids;
}
const std::vector<std::string>& ItemIds() {
  static const auto& ids =
      *new std::vector<std::string>{"2", "9", "1", "4", "8"};
  return ids;
}

absl::StatusOr<Parameters> Import(const TensorFile& file,
                                  absl::string_view name, uint64_t id_base) {
  NEUMF_ASSIGN_OR_RETURN(const ImportLayout layout, FindImportLayout(name));
  return ImportWeights(file, layout, id_base, UserIds(), ItemIds());
}

uint64_t Number(const std::string& id) {
  uint64_t number = 0;
  EXPECT_TRUE(absl::SimpleAtoi(id, &number));
  return number;
}

void ExpectSameFunction(absl::StatusOr<Parameters> imported,
                        const Definition& definition, uint64_t id_base) {
  NEUMF_ASSERT_OK(imported);
  const ItemBags items(ItemIds().size(), nullptr);
  const ItemSequences sequences(UserIds().size(), {});
  const UserBags users(imported->spec(), nullptr, &sequences);
  const TorchModel model(&*imported, &items);
  for (uint32_t user = 0; user < UserIds().size(); ++user) {
    const OwnedBag bag(users, user);
    const std::vector<double> scores = model.ScoreAllItems(bag.bag());
    for (size_t item = 0; item < ItemIds().size(); ++item) {
      const double score = definition.Score(Number(UserIds()[user]) - id_base,
                                            Number(ItemIds()[item]) - id_base);
      EXPECT_NEAR(scores[item], score, 1e-12 * std::max(1.0, std::abs(score)));
    }
  }
}

TEST(ImportWeightsTest, TakesTheBooksModel) {
  const StateDictBuilder dict = D2l();
  ExpectSameFunction(Import(dict.file(), "d2l", 1), D2lDefinition(dict.file()),
                     1);
}

TEST(ImportWeightsTest, DropsThePrefixOfDataParallel) {
  const StateDictBuilder dict = D2l();
  const StateDictBuilder parallel = D2l("module.");
  ExpectSameFunction(Import(parallel.file(), "d2l", 1),
                     D2lDefinition(dict.file()), 1);
}

TEST(ImportWeightsTest, TakesTheModelOfThePaper) {
  const StateDictBuilder dict = Ncf();
  const Definition definition = {
      dict.file(),
      "embed_user_GMF",
      "embed_item_GMF",
      "embed_user_MLP",
      "embed_item_MLP",
      {"MLP_layers.1", "MLP_layers.4", "MLP_layers.7", "MLP_layers.10"},
      "",
      "predict_layer"};
  ExpectSameFunction(Import(dict.file(), "ncf", 0), definition, 0);
}

TEST(ImportWeightsTest, TakesTheModelWithALinearLayerBehindTheTower) {
  for (const std::string product : {"MF_Embedding", "GMF_Embedding"}) {
    const StateDictBuilder dict = Blog(product);
    const Definition definition = {dict.file(),
                                   product + "_User",
                                   product + "_Item",
                                   "MLP_Embedding_User",
                                   "MLP_Embedding_Item",
                                   {"dnn_network.0", "dnn_network.1"},
                                   "linear",
                                   "linear2"};
    ExpectSameFunction(Import(dict.file(), "blog", 0), definition, 0);
  }
}

TEST(ImportWeightsTest, TakesAProductAlone) {
  StateDictBuilder dict;
  dict.Add("embed_user_GMF.weight", {13, 5});
  dict.Add("embed_item_GMF.weight", {10, 5}).Linear("predict_layer", 5, 1);
  const absl::StatusOr<Parameters> imported = Import(dict.file(), "ncf", 0);
  NEUMF_ASSERT_OK(imported);
  EXPECT_FALSE(imported->spec().has_tower());
  ExpectSameFunction(imported,
                     {dict.file(),
                      "embed_user_GMF",
                      "embed_item_GMF",
                      "",
                      "",
                      {},
                      "",
                      "predict_layer"},
                     0);
}

TEST(ImportWeightsTest, TakesATowerAlone) {
  StateDictBuilder dict;
  dict.Add("embed_user_MLP.weight", {13, 4});
  dict.Add("embed_item_MLP.weight", {10, 4});
  dict.Linear("MLP_layers.1", 8, 4).Linear("predict_layer", 4, 1);
  const absl::StatusOr<Parameters> imported = Import(dict.file(), "ncf", 0);
  NEUMF_ASSERT_OK(imported);
  EXPECT_FALSE(imported->spec().has_product());
  ExpectSameFunction(imported,
                     {dict.file(),
                      "",
                      "",
                      "embed_user_MLP",
                      "embed_item_MLP",
                      {"MLP_layers.1"},
                      "",
                      "predict_layer"},
                     0);
}

TEST(ImportWeightsTest, NamesTheLayoutsThatThereAre) {
  EXPECT_THAT(FindImportLayout("keras"),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("d2l, ncf, blog, not 'keras'")));
}

// INVALID_ARGUMENT with that text for a state dict of the book after `change`.
template <typename Change>
void ExpectRefused(Change change, const std::string& text) {
  TensorFile file = D2l().file();
  change(&file.tensors);
  EXPECT_THAT(Import(file, "d2l", 1),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr(text)));
}
using Tensors = std::map<std::string, Tensor>;

TEST(ImportWeightsTest, NamesTheTensorThatIsMissing) {
  for (const char* name : {"Q.weight", "U.weight", "prediction_layer.weight"}) {
    ExpectRefused([&](Tensors* tensors) { tensors->erase(name); },
                  absl::StrCat("no tensor ", name));
  }
  ExpectRefused(
      [](Tensors* tensors) {
        tensors->erase("mlp.2.weight");
        tensors->erase("mlp.2.bias");
      },
      "mlp.4.weight is [3, 4], but its input is 5 wide");
  ExpectRefused(
      [](Tensors* tensors) {
        for (const char* name :
             {"mlp.0.weight", "mlp.2.weight", "mlp.4.weight"})
          tensors->erase(name);
      },
      "no layer mlp.<number>.weight");
  ExpectRefused(
      [](Tensors* tensors) {
        tensors->erase("U.weight");
        tensors->erase("V.weight");
      },
      "has layers, but no tensor U.weight");
  ExpectRefused([](Tensors* tensors) { tensors->clear(); },
                "no tensor P.weight");
}

TEST(ImportWeightsTest, NamesTheTensorThatIsTooMuch) {
  ExpectRefused(
      [](Tensors* tensors) {
        (*tensors)["mlp.1.running_mean"] = {{1}, {0}};
      },
      "has a tensor mlp.1.running_mean, which that layout does not");
  ExpectRefused([](Tensors* tensors) { tensors->erase("mlp.4.weight"); },
                "has a tensor mlp.4.bias, which");
  ExpectRefused(
      [](Tensors* tensors) {
        tensors->erase("mlp.4.weight");
        tensors->erase("mlp.4.bias");
      },
      "prediction_layer.weight is [1, 6], but product and tower");
  EXPECT_THAT(Import(Ncf().file(), "d2l", 1),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("no state dict of --layout d2l")));
}

TEST(ImportWeightsTest, NamesTheTensorOfAnotherShape) {
  ExpectRefused(
      [](Tensors* tensors) {
        (*tensors)["Q.weight"].shape = {27, 1};
      },
      "Q.weight is [27, 1], but P.weight is 3 wide");
  ExpectRefused([](Tensors* tensors) { (*tensors)["Q.weight"].shape = {27}; },
                "Q.weight of shape [27], not of 2 dimensions");
  ExpectRefused(
      [](Tensors* tensors) {
        (*tensors)["mlp.2.bias"] = {{1}, {0}};
      },
      "mlp.2.weight of shape [4, 5] and mlp.2.bias of shape [1]");
  ExpectRefused(
      [](Tensors* tensors) {
        (*tensors)["prediction_layer.weight"] = {{2, 6},
                                                 std::vector<float>(12)};
      },
      "prediction_layer.weight is [2, 6], not one row");
}

// A model that was trained as GMF alone, in a class that has the tower too.
TEST(ImportWeightsTest, RefusesTablesThatTheOutputDoesNotSee) {
  TensorFile file = Ncf().file();
  file.tensors["predict_layer.weight"] = {{1, 2}, {1, 1}};
  EXPECT_THAT(Import(file, "ncf", 0),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("predict_layer.weight is [1, 2]"),
                             HasSubstr("product and tower together"))));
}

TEST(ImportWeightsTest, NamesTheIdWithoutARow) {
  const TensorFile file = D2l().file();
  EXPECT_THAT(
      Import(file, "d2l", 0),
      StatusIs(StatusCode::kInvalidArgument,
               AllOf(HasSubstr("user 12 of the data has no row in "
                               "P.weight, whose 12 rows begin with id 0"),
                     HasSubstr("--id_base"))));
  EXPECT_THAT(Import(file, "d2l", 2),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("user 1 of")));
  NEUMF_ASSERT_OK_AND_ASSIGN(const ImportLayout layout,
                             FindImportLayout("d2l"));
  EXPECT_THAT(
      ImportWeights(file, layout, 1, UserIds(), {"1", "10"}),
      StatusIs(StatusCode::kInvalidArgument,
               HasSubstr("item 10 of the data has no row in Q.weight")));
  for (const char* id : {"tt01", "-1", "1.0", "", "99999999999999999999"}) {
    EXPECT_THAT(ImportWeights(file, layout, 1, {id}, ItemIds()),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("no number")))
        << id;
  }
}

}  // namespace
}  // namespace neumf
