#include "checkpoint/checkpoint_schema.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace neumf {
namespace {

using Header = SafetensorsHeader;

void AddTower(const ModelShape& shape, TensorType user_type,
              std::vector<TensorSpec>& specs) {
  if (!shape.has_tower()) return;
  const uint64_t width = shape.tower_width();
  specs.push_back({"user.tower", user_type, {shape.num_users, width}});
  specs.push_back({"item.tower", TensorType::kF32, {shape.num_items, width}});
  for (size_t i = 1; i < shape.tower_widths.size(); ++i) {
    const uint64_t in = shape.tower_widths[i - 1];
    const uint64_t out = shape.tower_widths[i];
    specs.push_back({TowerWeightName(i + 1), TensorType::kF32, {out, in}});
    specs.push_back({TowerBiasName(i + 1), TensorType::kF32, {out}});
  }
  specs.push_back(
      {"head.weight", TensorType::kF32, {shape.tower_widths.back()}});
}

void AddGmf(const ModelShape& shape, TensorType user_type,
            std::vector<TensorSpec>& specs) {
  const uint64_t width = shape.gmf_width;
  if (width == 0) return;
  specs.push_back({"user.gmf", user_type, {shape.num_users, width}});
  specs.push_back({"item.gmf", TensorType::kF32, {shape.num_items, width}});
}

bool HasAny(const Header& header,
            std::initializer_list<absl::string_view> names) {
  return std::any_of(names.begin(), names.end(), [&](absl::string_view name) {
    return header.Find(name) != nullptr;
  });
}

bool IsTowerLayerName(absl::string_view name) {
  return absl::StartsWith(name, "tower.") &&
         (absl::EndsWith(name, ".weight") || absl::EndsWith(name, ".bias"));
}

absl::Status TensorError(absl::string_view name, absl::string_view reason) {
  return absl::DataLossError(absl::StrCat("tensor ", name, ": ", reason));
}

// The size of dimension `axis` of a tensor that must be there and have `rank`
// dimensions.
absl::StatusOr<uint64_t> Dimension(const Header& header, absl::string_view name,
                                   size_t rank, size_t axis) {
  const TensorInfo* const tensor = header.Find(name);
  if (tensor == nullptr) return TensorError(name, "missing");
  if (tensor->shape.size() != rank) {
    return TensorError(
        name, absl::StrCat("shape ", ShapeText(tensor->shape), " has ",
                           tensor->shape.size(), " dimensions, not ", rank));
  }
  return tensor->shape[axis];
}

absl::StatusOr<uint32_t> Width(const Header& header, absl::string_view name,
                               size_t rank, size_t axis) {
  NEUMF_ASSIGN_OR_RETURN(const uint64_t width,
                         Dimension(header, name, rank, axis));
  if (width <= ModelLimits::kMaxWidth) return static_cast<uint32_t>(width);
  return TensorError(name, absl::StrCat("width ", width, " is above ",
                                        ModelLimits::kMaxWidth));
}

// Rows of the table whose ids are `name`, [rows + 1].
absl::StatusOr<uint64_t> RowsOfIds(const Header& header,
                                   absl::string_view name) {
  NEUMF_ASSIGN_OR_RETURN(const uint64_t size, Dimension(header, name, 1, 0));
  if (size < 2) return TensorError(name, "holds no id");
  return size - 1;
}

absl::Status ReadTowerWidths(const Header& header, ModelShape& shape) {
  NEUMF_ASSIGN_OR_RETURN(const uint32_t width,
                         Width(header, "item.tower", 2, 1));
  shape.tower_widths = {width};
  for (uint64_t layer = 2;
       HasAny(header, {TowerWeightName(layer), TowerBiasName(layer)});
       ++layer) {
    NEUMF_ASSIGN_OR_RETURN(const uint32_t out,
                           Width(header, TowerWeightName(layer), 2, 0));
    shape.tower_widths.push_back(out);
  }
  return absl::OkStatus();
}

bool HasTower(const Header& header) {
  return HasAny(header, {"user.tower", "item.tower", "head.weight"}) ||
         std::any_of(header.tensors.begin(), header.tensors.end(),
                     [](const TensorInfo& tensor) {
                       return IsTowerLayerName(tensor.name);
                     });
}

absl::StatusOr<ModelShape> ShapeOf(const Header& header) {
  ModelShape shape;
  NEUMF_ASSIGN_OR_RETURN(shape.num_users, RowsOfIds(header, "user.id.offsets"));
  NEUMF_ASSIGN_OR_RETURN(shape.num_items, RowsOfIds(header, "item.id.offsets"));
  if (HasAny(header, {"user.gmf", "item.gmf"})) {
    NEUMF_ASSIGN_OR_RETURN(shape.gmf_width, Width(header, "item.gmf", 2, 1));
  }
  if (HasTower(header)) {
    NEUMF_RETURN_IF_ERROR(ReadTowerWidths(header, shape));
  }
  shape.has_item_bias = header.Find("item.bias") != nullptr;
  const absl::Status valid = ValidateShape(shape);
  if (!valid.ok()) return absl::DataLossError(valid.message());
  return shape;
}

bool IsFloat16(const Header& header, absl::string_view name) {
  const TensorInfo* const tensor = header.Find(name);
  return tensor != nullptr && tensor->type == TensorType::kF16;
}

// What the dimensions say; whether all tensors agree is checked afterwards.
absl::StatusOr<CheckpointContent> GuessContent(const Header& header) {
  CheckpointContent content;
  NEUMF_ASSIGN_OR_RETURN(content.shape, ShapeOf(header));
  NEUMF_ASSIGN_OR_RETURN(content.user_id_bytes,
                         Dimension(header, "user.id.bytes", 1, 0));
  NEUMF_ASSIGN_OR_RETURN(content.item_id_bytes,
                         Dimension(header, "item.id.bytes", 1, 0));
  content.has_seen = HasAny(header, {"seen.offsets", "seen.items"});
  if (content.has_seen) {
    NEUMF_ASSIGN_OR_RETURN(content.num_seen,
                           Dimension(header, "seen.items", 1, 0));
  }
  content.has_head_bias = HasAny(header, {"head.bias"});
  content.has_popularity = HasAny(header, {"item.popularity"});
  content.has_user_hashes = HasAny(header, {"user.id.hash"});
  content.has_float16_users =
      IsFloat16(header, "user.gmf") || IsFloat16(header, "user.tower");
  return content;
}

absl::Status CheckTensor(const Header& header, const TensorSpec& spec) {
  const TensorInfo* const tensor = header.Find(spec.name);
  if (tensor == nullptr) return TensorError(spec.name, "missing");
  if (tensor->type != spec.type) {
    return TensorError(
        spec.name, absl::StrCat("type ", Excerpt(tensor->type_name), ", not ",
                                TensorTypeName(spec.type)));
  }
  if (tensor->shape == spec.shape) return absl::OkStatus();
  return TensorError(spec.name, absl::StrCat("shape ", ShapeText(tensor->shape),
                                             ", not ", ShapeText(spec.shape)));
}

absl::Status CheckNotEmpty(const Header& header) {
  for (const TensorInfo& tensor : header.tensors) {
    if (tensor.size_bytes() == 0 && tensor.name != "seen.items") {
      return TensorError(tensor.name, "empty");
    }
  }
  return absl::OkStatus();
}

// A layer beyond a gap would be left out in silence, and the scores be wrong.
absl::Status CheckNoStrayLayer(const Header& header,
                               const std::vector<TensorSpec>& specs) {
  std::set<std::string> known;
  for (const TensorSpec& spec : specs) known.insert(spec.name);
  for (const TensorInfo& tensor : header.tensors) {
    if (IsTowerLayerName(tensor.name) && known.count(tensor.name) == 0) {
      return TensorError(tensor.name,
                         "no layer of the tower: they count 2, 3, ... without "
                         "a gap");
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<TensorSpec> TensorsOf(const CheckpointContent& content) {
  const ModelShape& shape = content.shape;
  const uint64_t users = shape.num_users;
  const uint64_t items = shape.num_items;
  std::vector<TensorSpec> specs;
  specs.push_back({"user.id.offsets", TensorType::kU64, {users + 1}});
  specs.push_back({"item.id.offsets", TensorType::kU64, {items + 1}});
  if (content.has_user_hashes) {
    specs.push_back({"user.id.hash", TensorType::kU64, {users}});
  }
  if (content.has_seen) {
    specs.push_back({"seen.offsets", TensorType::kU64, {users + 1}});
  }
  const TensorType user_type =
      content.has_float16_users ? TensorType::kF16 : TensorType::kF32;
  AddGmf(shape, user_type, specs);
  AddTower(shape, user_type, specs);
  if (content.has_head_bias) {
    specs.push_back({"head.bias", TensorType::kF32, {1}});
  }
  if (shape.has_item_bias) {
    specs.push_back({"item.bias", TensorType::kF32, {items}});
  }
  if (content.has_popularity) {
    specs.push_back({"item.popularity", TensorType::kF32, {items}});
  }
  if (content.has_seen) {
    specs.push_back({"seen.items", TensorType::kU32, {content.num_seen}});
  }
  specs.push_back({"user.id.bytes", TensorType::kU8, {content.user_id_bytes}});
  specs.push_back({"item.id.bytes", TensorType::kU8, {content.item_id_bytes}});
  std::stable_sort(specs.begin(), specs.end(),
                   [](const TensorSpec& a, const TensorSpec& b) {
                     return ElementBytes(a.type) > ElementBytes(b.type);
                   });
  return specs;
}

std::string TowerWeightName(uint64_t layer) {
  return absl::StrCat("tower.", layer, ".weight");
}

std::string TowerBiasName(uint64_t layer) {
  return absl::StrCat("tower.", layer, ".bias");
}

absl::StatusOr<CheckpointContent> ContentOf(const SafetensorsHeader& header) {
  NEUMF_RETURN_IF_ERROR(CheckNotEmpty(header));
  NEUMF_ASSIGN_OR_RETURN(CheckpointContent content, GuessContent(header));
  const std::vector<TensorSpec> specs = TensorsOf(content);
  for (const TensorSpec& spec : specs) {
    NEUMF_RETURN_IF_ERROR(CheckTensor(header, spec));
  }
  NEUMF_RETURN_IF_ERROR(CheckNoStrayLayer(header, specs));
  return content;
}

}  // namespace neumf
