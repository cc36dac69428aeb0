#include "trainer/import_weights.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "checkpoint/safetensors.h"

namespace neumf {
namespace {

constexpr ImportLayout kLayouts[] = {
    // "Dive into Deep Learning", chapter NeuMF, in PyTorch.
    {"d2l", 1, "P", "Q", "U", "V", "mlp", "", "prediction_layer", "", ""},
    // guoyang9/NCF and its many descendants.
    {"ncf", 0, "embed_user_GMF", "embed_item_GMF", "embed_user_MLP",
     "embed_item_MLP", "MLP_layers", "", "predict_layer", "", ""},
    // The walk-through whose class is NeuralMF(num_users, num_items, mf_dim,
    // layers).
    {"blog", 0, "MF_Embedding_User", "MF_Embedding_Item", "MLP_Embedding_User",
     "MLP_Embedding_Item", "dnn_network", "linear", "linear2",
     "GMF_Embedding_User", "GMF_Embedding_Item"},
};

constexpr char kParallelPrefix[] = "module.";  // of torch.nn.DataParallel

std::optional<uint64_t> ParseNumber(absl::string_view text) {
  uint64_t number = 0;
  if (!std::all_of(text.begin(), text.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(text, &number)) {
    return std::nullopt;
  }
  return number;
}

// A tensor under its name in the file. Null when the file has none.
struct Source {
  std::string name;
  const Tensor* tensor = nullptr;

  bool exists() const { return tensor != nullptr; }
  uint64_t rows() const { return tensor->shape[0]; }
  uint64_t cols() const { return tensor->shape[1]; }
  std::string shape() const { return ShapeText(tensor->shape); }
};

struct Linear {
  Source weight;  // [out, in]
  Source bias;    // [out], or missing
};

// What a state dict holds, each tensor of the right number of dimensions.
struct StateDict {
  Source user_gmf, item_gmf, user_tower, item_tower;
  std::vector<Linear> hidden;
  Linear linear;  // missing in layouts without one
  Linear output;

  bool has_product() const { return user_gmf.exists(); }
  bool has_tower() const { return user_tower.exists(); }
};

// Finds the tensors of a layout, and that there are no others.
class StateDictReader {
 public:
  StateDictReader(const TensorFile& file, const ImportLayout& layout)
      : layout_(layout) {
    const bool is_parallel = std::all_of(
        file.tensors.begin(), file.tensors.end(), [](const auto& entry) {
          return absl::StartsWith(entry.first, kParallelPrefix);
        });
    for (const auto& [name, tensor] : file.tensors) {
      const absl::string_view own =
          is_parallel ? absl::StripPrefix(name, kParallelPrefix) : name;
      rest_.emplace(own, Source{name, &tensor});
    }
    AcceptOtherName(layout.other_user_gmf, layout.user_gmf);
    AcceptOtherName(layout.other_item_gmf, layout.item_gmf);
  }

  absl::StatusOr<StateDict> Read() {
    StateDict dict;
    NEUMF_RETURN_IF_ERROR(ReadTables(layout_.user_gmf, layout_.item_gmf,
                                     &dict.user_gmf, &dict.item_gmf));
    NEUMF_RETURN_IF_ERROR(ReadTables(layout_.user_tower, layout_.item_tower,
                                     &dict.user_tower, &dict.item_tower));
    if (!dict.has_product() && !dict.has_tower()) {
      return Refuse(
          absl::StrCat("has no tensor ", layout_.user_gmf, ".weight"));
    }
    NEUMF_RETURN_IF_ERROR(ReadHidden(&dict));
    if (dict.has_tower() && !layout_.linear.empty()) {
      NEUMF_ASSIGN_OR_RETURN(dict.linear, TakeLinear(layout_.linear));
    }
    NEUMF_ASSIGN_OR_RETURN(dict.output, TakeLinear(layout_.output));
    if (!rest_.empty()) {
      return Refuse(absl::StrCat("has a tensor ", rest_.begin()->second.name,
                                 ", which that layout does not"));
    }
    return dict;
  }

 private:
  absl::Status Refuse(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(
        "is no state dict of --layout ", layout_.name, ": it ", what));
  }

  // A file with both names keeps the other one, which is refused in the end.
  void AcceptOtherName(absl::string_view other, absl::string_view table) {
    if (other.empty()) return;
    const auto found = rest_.find(absl::StrCat(other, ".weight"));
    if (found == rest_.end()) return;
    const auto inserted =
        rest_.emplace(absl::StrCat(table, ".weight"), found->second);
    if (inserted.second) rest_.erase(found);
  }

  // Missing when there is none.
  absl::StatusOr<Source> Take(absl::string_view module, absl::string_view kind,
                              size_t num_dimensions) {
    const auto found = rest_.find(absl::StrCat(module, ".", kind));
    if (found == rest_.end()) return Source();
    Source source = found->second;
    rest_.erase(found);
    if (source.tensor->shape.size() != num_dimensions) {
      return Refuse(absl::StrCat("has a tensor ", source.name, " of shape ",
                                 source.shape(), ", not of ", num_dimensions,
                                 " dimensions"));
    }
    return source;
  }

  absl::Status ReadTables(absl::string_view user_module,
                          absl::string_view item_module, Source* user,
                          Source* item) {
    NEUMF_ASSIGN_OR_RETURN(*user, Take(user_module, "weight", 2));
    NEUMF_ASSIGN_OR_RETURN(*item, Take(item_module, "weight", 2));
    if (user->exists() == item->exists()) return absl::OkStatus();
    return Refuse(absl::StrCat("has no tensor ",
                               user->exists() ? item_module : user_module,
                               ".weight"));
  }

  absl::StatusOr<Linear> TakeLinear(absl::string_view module) {
    Linear linear;
    NEUMF_ASSIGN_OR_RETURN(linear.weight, Take(module, "weight", 2));
    NEUMF_ASSIGN_OR_RETURN(linear.bias, Take(module, "bias", 1));
    if (!linear.weight.exists()) {
      return Refuse(absl::StrCat("has no tensor ", module, ".weight"));
    }
    if (linear.bias.exists() && linear.bias.rows() != linear.weight.rows()) {
      return Refuse(absl::StrCat(
          "has ", linear.weight.name, " of shape ", linear.weight.shape(),
          " and ", linear.bias.name, " of shape ", linear.bias.shape()));
    }
    return linear;
  }

  absl::Status ReadHidden(StateDict* dict) {
    // Numbers as numbers: layer 10 comes after layer 9.
    std::map<uint64_t, std::string> modules;
    for (const auto& [name, source] : rest_) {
      absl::string_view rest = name;
      if (!absl::ConsumePrefix(&rest, layout_.tower) ||
          !absl::ConsumePrefix(&rest, ".") ||
          !absl::ConsumeSuffix(&rest, ".weight")) {
        continue;
      }
      const std::optional<uint64_t> number = ParseNumber(rest);
      if (!number.has_value()) continue;
      modules.emplace(*number, absl::StrCat(layout_.tower, ".", rest));
    }
    for (const auto& [number, module] : modules) {
      NEUMF_ASSIGN_OR_RETURN(Linear layer, TakeLinear(module));
      dict->hidden.push_back(std::move(layer));
    }
    if (dict->has_tower() != dict->hidden.empty()) return absl::OkStatus();
    return Refuse(
        dict->has_tower()
            ? absl::StrCat("has no layer ", layout_.tower, ".<number>.weight")
            : absl::StrCat("has layers, but no tensor ", layout_.user_tower,
                           ".weight"));
  }

  const ImportLayout& layout_;
  std::map<std::string, Source> rest_;  // not yet taken, by name
};

// The rows of `table` for the ids.
absl::StatusOr<std::vector<uint64_t>> RowsOf(absl::string_view entity,
                                             absl::Span<const std::string> ids,
                                             uint64_t id_base,
                                             const Source& table) {
  std::vector<uint64_t> rows;
  rows.reserve(ids.size());
  for (const std::string& id : ids) {
    const std::optional<uint64_t> number = ParseNumber(id);
    if (!number.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          entity, " '", id, "' of the data is no number, and so has no row in ",
          table.name));
    }
    if (*number < id_base || *number - id_base >= table.rows()) {
      return absl::InvalidArgumentError(absl::StrCat(
          entity, " ", id, " of the data has no row in ", table.name,
          ", whose ", table.rows(), " rows begin with id ", id_base,
          ": are these the data it was trained on, and is --id_base right?"));
    }
    rows.push_back(*number - id_base);
  }
  return rows;
}

absl::Status CheckWidth(const Source& weight, uint64_t width,
                        absl::string_view of) {
  if (weight.cols() == width) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      weight.name, " is ", weight.shape(), ", but ", of, " ", width, " wide"));
}

absl::StatusOr<ModelSpec> SpecOf(const StateDict& dict, uint64_t num_users,
                                 uint64_t num_items) {
  // Wider than any model is refused by ValidateSpec(), not cut off here.
  const auto narrow = [](uint64_t width) {
    return static_cast<uint32_t>(std::min<uint64_t>(width, UINT32_MAX));
  };
  ModelSpec spec;
  spec.num_users = num_users;
  spec.num_items = num_items;
  uint64_t output_width = 0;
  if (dict.has_product()) {
    NEUMF_RETURN_IF_ERROR(CheckWidth(dict.item_gmf, dict.user_gmf.cols(),
                                     absl::StrCat(dict.user_gmf.name, " is")));
    spec.factors = narrow(dict.user_gmf.cols());
    spec.learned_head = true;
    output_width += dict.user_gmf.cols();
  }
  if (dict.has_tower()) {
    spec.user_tower_factors = narrow(dict.user_tower.cols());
    spec.item_tower_factors = narrow(dict.item_tower.cols());
    uint64_t width = dict.user_tower.cols() + dict.item_tower.cols();
    for (const Linear& layer : dict.hidden) {
      NEUMF_RETURN_IF_ERROR(CheckWidth(layer.weight, width, "its input is"));
      width = layer.weight.rows();
      spec.hidden.push_back(narrow(width));
    }
    if (dict.linear.weight.exists()) {
      NEUMF_RETURN_IF_ERROR(
          CheckWidth(dict.linear.weight, width, "its input is"));
      width = dict.linear.weight.rows();
      spec.linear_width = narrow(width);
    }
    output_width += width;
  }
  NEUMF_RETURN_IF_ERROR(CheckWidth(
      dict.output.weight, output_width,
      "product and tower together, of what tables the file has, are"));
  if (dict.output.weight.rows() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(dict.output.weight.name, " is ",
                     dict.output.weight.shape(), ", not one row"));
  }
  spec.global_bias = dict.output.bias.exists();
  NEUMF_RETURN_IF_ERROR(ValidateSpec(spec));
  return spec;
}

// Fills the blocks of a model from a state dict that fits.
class Filler {
 public:
  Filler(const StateDict& dict, Parameters* parameters)
      : dict_(dict), parameters_(*parameters), layout_(parameters->layout()) {}

  void FillTable(const Source& table, const std::vector<uint64_t>& rows,
                 const ParameterBlock& block) {
    for (size_t i = 0; i < rows.size(); ++i) {
      Copy(RowOf(table, rows[i]), block, i);
    }
  }

  void FillTower() {
    const Linear& first = dict_.hidden[0];
    const uint64_t user_width = dict_.user_tower.cols();
    for (uint64_t o = 0; o < first.weight.rows(); ++o) {
      const absl::Span<const float> row = RowOf(first.weight, o);
      Copy(row.first(user_width), layout_.first_user_weight, o);
      Copy(row.subspan(user_width), layout_.first_item_weight, o);
    }
    FillBias(first.bias, layout_.first_bias);
    for (size_t l = 1; l < dict_.hidden.size(); ++l) {
      FillDense(dict_.hidden[l], layout_.layers[l - 1]);
    }
    if (dict_.linear.weight.exists()) FillDense(dict_.linear, layout_.linear);
  }

  // The product's half comes first.
  void FillOutput() {
    const absl::Span<const float> weights = dict_.output.weight.tensor->values;
    const uint64_t product_width = layout_.gmf_head.cols;
    if (dict_.has_product()) {
      Copy(weights.first(product_width), layout_.gmf_head, 0);
    }
    if (dict_.has_tower()) {
      Copy(weights.subspan(product_width), layout_.tower_head, 0);
    }
    FillBias(dict_.output.bias, layout_.global_bias);
  }

 private:
  static absl::Span<const float> RowOf(const Source& table, uint64_t row) {
    return absl::MakeConstSpan(table.tensor->values)
        .subspan(row * table.cols(), table.cols());
  }

  void Copy(absl::Span<const float> from, const ParameterBlock& block,
            uint64_t row) {
    std::copy(from.begin(), from.end(),
              parameters_.block(block).begin() +
                  static_cast<ptrdiff_t>(row * block.cols));
  }

  // A layer without biases has zeros.
  void FillBias(const Source& bias, const ParameterBlock& block) {
    if (bias.exists()) Copy(bias.tensor->values, block, 0);
  }

  void FillDense(const Linear& linear, const ParameterLayout::Dense& dense) {
    const std::vector<float>& weights = linear.weight.tensor->values;
    Copy(weights, dense.weight, 0);
    FillBias(linear.bias, dense.bias);
  }

  const StateDict& dict_;
  Parameters& parameters_;
  const ParameterLayout& layout_;
};

}  // namespace

absl::StatusOr<ImportLayout> FindImportLayout(absl::string_view name) {
  for (const ImportLayout& layout : kLayouts) {
    if (layout.name == name) return layout;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--layout must be ",
      absl::StrJoin(kLayouts, ", ",
                    [](std::string* text, const ImportLayout& layout) {
                      absl::StrAppend(text, layout.name);
                    }),
      ", not '", name, "'"));
}

absl::StatusOr<Parameters> ImportWeights(
    const TensorFile& file, const ImportLayout& layout, uint64_t id_base,
    absl::Span<const std::string> user_ids,
    absl::Span<const std::string> item_ids) {
  NEUMF_ASSIGN_OR_RETURN(const StateDict dict,
                         StateDictReader(file, layout).Read());
  NEUMF_ASSIGN_OR_RETURN(const ModelSpec spec,
                         SpecOf(dict, user_ids.size(), item_ids.size()));
  Parameters parameters(spec);
  Filler filler(dict, &parameters);
  const ParameterLayout& blocks = parameters.layout();
  for (const auto& [table, block] :
       {std::pair(&dict.user_gmf, &blocks.user_gmf),
        std::pair(&dict.item_gmf, &blocks.item_gmf),
        std::pair(&dict.user_tower, &blocks.user_tower),
        std::pair(&dict.item_tower, &blocks.item_tower)}) {
    if (!table->exists()) continue;
    const bool is_of_users =
        table == &dict.user_gmf || table == &dict.user_tower;
    NEUMF_ASSIGN_OR_RETURN(
        const std::vector<uint64_t> rows,
        RowsOf(is_of_users ? "user" : "item", is_of_users ? user_ids : item_ids,
               id_base, *table));
    filler.FillTable(*table, rows, *block);
  }
  if (dict.has_tower()) filler.FillTower();
  filler.FillOutput();
  return parameters;
}

}  // namespace neumf
