#include "trainer/weights_file.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "checkpoint/manifest.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/strict_json.h"
#include "checkpoint/tensor_stream.h"
#include "trainer/tensor_file.h"

namespace neumf {
namespace {

using nlohmann::json;

constexpr char kFormat[] = "neumf.weights.v1";
constexpr char kFormatKey[] = "format";
constexpr char kSpecKey[] = "neumf.spec";
constexpr char kAboutKey[] = "neumf.about";

template <typename T>
struct Field {
  const char* name;
  T ModelSpec::*member;
};

// All fields of a ModelSpec but three, which are neither numbers nor switches.
constexpr Field<uint64_t> kCounts[] = {
    {"num_users", &ModelSpec::num_users},
    {"num_items", &ModelSpec::num_items},
};
constexpr Field<uint32_t> kSizes[] = {
    {"factors", &ModelSpec::factors},
    {"user_tower_factors", &ModelSpec::user_tower_factors},
    {"item_tower_factors", &ModelSpec::item_tower_factors},
    {"linear_width", &ModelSpec::linear_width},
    {"num_user_features", &ModelSpec::num_user_features},
    {"num_item_features", &ModelSpec::num_item_features},
    {"history_length", &ModelSpec::history_length},
};
constexpr Field<bool> kSwitches[] = {
    {"learned_head", &ModelSpec::learned_head},
    {"cosine", &ModelSpec::cosine},
    {"user_bias", &ModelSpec::user_bias},
    {"item_bias", &ModelSpec::item_bias},
    {"global_bias", &ModelSpec::global_bias},
    {"feature_interactions", &ModelSpec::feature_interactions},
};
constexpr char kHidden[] = "hidden";
constexpr char kActivation[] = "activation";
constexpr char kHistoryDecay[] = "history_decay";
constexpr size_t kNumFields =
    std::size(kCounts) + std::size(kSizes) + std::size(kSwitches) + 3;

constexpr Activation kActivations[] = {Activation::kRelu, Activation::kTanh,
                                       Activation::kSigmoid};

json SpecJson(const ModelSpec& spec) {
  json value = json::object();
  for (const auto& field : kCounts) value[field.name] = spec.*field.member;
  for (const auto& field : kSizes) value[field.name] = spec.*field.member;
  for (const auto& field : kSwitches) value[field.name] = spec.*field.member;
  value[kHidden] = spec.hidden;
  value[kActivation] = ActivationName(spec.activation);
  value[kHistoryDecay] = spec.history_decay;
  return value;
}

// Reads the members of an object and remembers the first that is wrong.
class SpecReader {
 public:
  explicit SpecReader(const json& object) : object_(object) {}

  absl::StatusOr<ModelSpec> Read() {
    ModelSpec spec;
    for (const auto& field : kCounts) ReadInteger(field, &spec);
    for (const auto& field : kSizes) ReadInteger(field, &spec);
    for (const auto& field : kSwitches) {
      const json* const value = Find(field.name, &json::is_boolean);
      if (value != nullptr) spec.*field.member = value->get<bool>();
    }
    ReadHidden(&spec);
    ReadActivation(&spec);
    const json* const decay = Find(kHistoryDecay, &json::is_number);
    if (decay != nullptr) spec.history_decay = decay->get<double>();
    // A field that is unknown here means another function.
    if (object_.size() != kNumFields) Refuse("the fields");
    NEUMF_RETURN_IF_ERROR(status_);
    return spec;
  }

 private:
  void Refuse(absl::string_view what) {
    status_.Update(absl::DataLossError(
        absl::StrCat(what, " of the model cannot be understood")));
  }

  const json* Find(const char* name, bool (json::*is_right)() const) {
    const json* const value = FindMember(object_, name);
    if (value != nullptr && (value->*is_right)()) return value;
    Refuse(name);
    return nullptr;
  }

  template <typename T>
  void ReadInteger(const Field<T>& field, ModelSpec* spec) {
    const json* const value = FindMember(object_, field.name);
    const std::optional<uint64_t> number =
        value == nullptr ? std::nullopt : AsPlainInteger(*value);
    if (!number.has_value() || *number > std::numeric_limits<T>::max()) {
      return Refuse(field.name);
    }
    spec->*field.member = static_cast<T>(*number);
  }

  void ReadHidden(ModelSpec* spec) {
    const json* const value = FindMember(object_, kHidden);
    if (value == nullptr) return Refuse(kHidden);
    const absl::StatusOr<std::vector<uint64_t>> widths =
        AsPlainIntegers(*value);
    if (!widths.ok()) return Refuse(kHidden);
    for (const uint64_t width : *widths) {
      if (width > ModelLimits::kMaxWidth) return Refuse(kHidden);
      spec->hidden.push_back(static_cast<uint32_t>(width));
    }
  }

  void ReadActivation(ModelSpec* spec) {
    const json* const value = Find(kActivation, &json::is_string);
    if (value == nullptr) return;
    for (const Activation activation : kActivations) {
      if (*AsText(*value) != ActivationName(activation)) continue;
      spec->activation = activation;
      return;
    }
    Refuse(kActivation);
  }

  const json& object_;
  absl::Status status_;
};

absl::StatusOr<json> JsonOf(const TensorFile& file, const char* key) {
  const auto text = file.metadata.find(key);
  if (text == file.metadata.end()) {
    return absl::DataLossError(absl::StrCat("lacks ", key));
  }
  JsonLimits limits;
  limits.max_depth = ManifestLimits::kMaxDepth;
  limits.max_values = ManifestLimits::kMaxValues;
  absl::StatusOr<json> value = ParseStrictJson(text->second, limits);
  if (!value.ok()) return Annotate(value.status(), key);
  return value;
}

absl::StatusOr<ModelSpec> SpecOf(const TensorFile& file) {
  NEUMF_ASSIGN_OR_RETURN(const json value, JsonOf(file, kSpecKey));
  NEUMF_ASSIGN_OR_RETURN(ModelSpec spec, SpecReader(value).Read());
  NEUMF_RETURN_IF_ERROR(AsDataLoss(ValidateSpec(spec)));
  return spec;
}

std::vector<uint64_t> ShapeOf(const ParameterBlock& block) {
  return {block.rows, block.cols};
}

// Whether the tensors are the blocks of the layout, before memory is taken for
// those.
absl::Status CheckTensors(const ParameterLayout& layout,
                          const TensorFile& file) {
  const std::vector<const ParameterBlock*> blocks = layout.Blocks();
  for (const ParameterBlock* block : blocks) {
    const auto tensor = file.tensors.find(block->name);
    if (tensor == file.tensors.end()) {
      return absl::DataLossError(
          absl::StrCat("tensor ", block->name, " is missing"));
    }
    if (tensor->second.shape != ShapeOf(*block)) {
      return absl::DataLossError(absl::StrCat(
          "tensor ", block->name, " is ", ShapeText(tensor->second.shape),
          " where the model wants ", ShapeText(ShapeOf(*block))));
    }
  }
  if (file.tensors.size() == blocks.size()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("there are ", file.tensors.size(),
                                          " tensors and not the ",
                                          blocks.size(), " of the model"));
}

absl::StatusOr<WeightsFile> Interpret(const TensorFile& file) {
  const auto format = file.metadata.find(kFormatKey);
  if (format == file.metadata.end() || format->second != kFormat) {
    return absl::InvalidArgumentError(
        "no weights that neumf-train wrote: a checkpoint, or weights from "
        "elsewhere");
  }
  if (!file.is_digested) return absl::DataLossError("lacks its digest");
  NEUMF_ASSIGN_OR_RETURN(const ModelSpec spec, SpecOf(file));
  NEUMF_ASSIGN_OR_RETURN(json about, JsonOf(file, kAboutKey));
  NEUMF_RETURN_IF_ERROR(CheckTensors(ParameterLayout(spec), file));
  Parameters parameters(spec);
  for (const ParameterBlock* block : parameters.layout().Blocks()) {
    const std::vector<float>& values = file.tensors.at(block->name).values;
    std::copy(values.begin(), values.end(), parameters.block(*block).begin());
  }
  return WeightsFile{std::move(parameters), std::move(about)};
}

}  // namespace

absl::Status WriteWeights(FileSystem& files, absl::string_view path,
                          const Parameters& parameters, const json& about) {
  std::map<std::string, std::string> metadata;
  metadata[kFormatKey] = kFormat;
  metadata[kSpecKey] = SpecJson(parameters.spec()).dump();
  metadata[kAboutKey] = about.dump(-1, ' ', /*ensure_ascii=*/false,
                                   json::error_handler_t::replace);
  std::vector<TensorView> tensors;
  for (const ParameterBlock* block : parameters.layout().Blocks()) {
    tensors.push_back({block->name, ShapeOf(*block), parameters.block(*block)});
  }
  return WriteTensors(files, path, metadata, tensors);
}

absl::StatusOr<WeightsFile> ReadWeights(FileSystem& files,
                                        absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const TensorFile file, ReadTensors(files, path));
  absl::StatusOr<WeightsFile> weights = Interpret(file);
  if (!weights.ok()) return Annotate(weights.status(), path);
  return weights;
}

}  // namespace neumf
