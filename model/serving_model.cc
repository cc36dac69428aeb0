#include "model/serving_model.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

absl::Status CheckRange(absl::string_view name, uint64_t value, uint64_t min,
                        uint64_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, ", not from ", min, " to ", max));
}

absl::Status CheckSize(absl::string_view name, uint64_t size,
                       uint64_t expected) {
  if (size == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " has ", size, " entries, not ", expected));
}

// For what may be left out altogether.
absl::Status CheckOptionalSize(absl::string_view name, uint64_t size,
                               uint64_t expected) {
  return size == 0 ? absl::OkStatus() : CheckSize(name, size, expected);
}

// Whether an exponent has all bits set, which only NaN and the infinities have.
// In integers and without an early exit, so that the loop is vectorized.
bool HasNonFinite(const float* values, size_t count) {
  constexpr uint32_t kExponent = 0x7F800000;
  uint32_t found = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, &values[i], sizeof(bits));
    found |= static_cast<uint32_t>((bits & kExponent) == kExponent);
  }
  return found != 0;
}

bool HasNonFinite(const Float16* values, size_t count) {
  uint16_t largest = 0;
  for (size_t i = 0; i < count; ++i) {
    largest = std::max(largest, values[i].magnitude());
  }
  return largest >= Float16::kInfinity;
}

bool IsFinite(float value) { return std::isfinite(value); }
bool IsFinite(Float16 value) { return value.magnitude() < Float16::kInfinity; }

template <typename T>
absl::Status CheckFiniteRows(absl::string_view name, absl::Span<const T> values,
                             uint64_t width, uint64_t first_row) {
  if (!HasNonFinite(values.data(), values.size())) return absl::OkStatus();
  const T* const bad = std::find_if(values.begin(), values.end(),
                                    [](T value) { return !IsFinite(value); });
  const auto at = static_cast<uint64_t>(bad - values.begin());
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": value ", at % width, " of row ",
                   first_row + at / width, " is not finite"));
}

template <typename T>
absl::Status CheckMatrix(absl::string_view name, const AlignedTable<T>& matrix,
                         uint64_t rows, uint32_t cols) {
  if (cols == 0) return CheckSize(name, matrix.size(), 0);
  if (matrix.rows() != rows || matrix.cols() != cols) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is [", matrix.rows(), ", ", matrix.cols(),
                     "], not [", rows, ", ", cols, "]"));
  }
  return CheckFiniteRows(
      name, absl::MakeConstSpan(matrix.data(), matrix.size()), cols, 0);
}

absl::Status CheckVector(absl::string_view name, absl::Span<const float> values,
                         uint64_t expected) {
  NEUMF_RETURN_IF_ERROR(CheckSize(name, values.size(), expected));
  return CheckFinite(name, values, 1);
}

absl::Status CheckLayer(absl::string_view name, const DenseLayer& layer,
                        uint32_t in, uint32_t out) {
  if (layer.in != in || layer.out != out) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is [", layer.out,
                                                   ", ", layer.in, "], not [",
                                                   out, ", ", in, "]"));
  }
  const std::string weight_name = absl::StrCat(name, ".weight");
  NEUMF_RETURN_IF_ERROR(
      CheckSize(weight_name, layer.weight.size(), uint64_t{in} * out));
  NEUMF_RETURN_IF_ERROR(CheckFinite(weight_name, layer.weight, in));
  return CheckVector(absl::StrCat(name, ".bias"), layer.bias, out);
}

absl::Status CheckSeen(const ModelShape& shape, const SeenSets& seen) {
  if (seen.empty()) return absl::OkStatus();
  NEUMF_RETURN_IF_ERROR(
      CheckSize("seen.offsets", seen.offsets().size(), shape.num_users + 1));
  if (seen.num_items() == shape.num_items) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("seen.items are of a catalog of ", seen.num_items(),
                   " items, not ", shape.num_items));
}

absl::Status CheckUsers(const ModelShape& shape, const UserTables& users) {
  const uint64_t rows = shape.num_users;
  if (!users.is_float16()) {
    NEUMF_RETURN_IF_ERROR(
        CheckMatrix("user.gmf", users.gmf, rows, shape.gmf_width));
    return CheckMatrix("user.tower", users.tower, rows, shape.tower_width());
  }
  NEUMF_RETURN_IF_ERROR(
      CheckSize("user tables in float32 beside those in float16",
                users.gmf.size() + users.tower.size(), 0));
  NEUMF_RETURN_IF_ERROR(
      CheckMatrix("user.gmf", users.gmf16, rows, shape.gmf_width));
  return CheckMatrix("user.tower", users.tower16, rows, shape.tower_width());
}

ItemRows AllRows(ItemTable table, uint64_t num_rows, const float* values) {
  ItemRows rows;
  rows.table = table;
  rows.num_rows = num_rows;
  rows.values = values;
  return rows;
}

void StoreRows(const ItemRows& rows, uint64_t width, absl::Span<float> table) {
  NEUMF_CHECK(rows.first_row + rows.num_rows <= table.size() / width);
  std::copy_n(rows.values, rows.num_rows * width,
              table.data() + rows.first_row * width);
}

void StoreRows(const ItemRows& rows, AlignedMatrix& table) {
  NEUMF_CHECK(!table.empty());
  StoreRows(rows, table.cols(), absl::MakeSpan(table.data(), table.size()));
}

}  // namespace

absl::Status ValidateShape(const ModelShape& shape) {
  NEUMF_RETURN_IF_ERROR(CheckRange("the number of users", shape.num_users, 1,
                                   ModelLimits::kMaxUsers));
  NEUMF_RETURN_IF_ERROR(CheckRange("the number of items", shape.num_items, 1,
                                   ModelLimits::kMaxItems));
  NEUMF_RETURN_IF_ERROR(
      CheckRange("the gmf width", shape.gmf_width, 0, ModelLimits::kMaxWidth));
  NEUMF_RETURN_IF_ERROR(CheckRange("the number of tower layers",
                                   shape.tower_widths.size(), 0,
                                   ModelLimits::kMaxTowerLayers));
  for (size_t i = 0; i < shape.tower_widths.size(); ++i) {
    NEUMF_RETURN_IF_ERROR(
        CheckRange(absl::StrCat("the width of tower layer ", i + 1),
                   shape.tower_widths[i], 1, ModelLimits::kMaxWidth));
  }
  if (shape.gmf_width == 0 && !shape.has_tower()) {
    return absl::InvalidArgumentError("neither a dot product nor a tower");
  }
  return absl::OkStatus();
}

uint64_t HostBytes(const ScoreNetwork& network) {
  uint64_t count = network.head_weight.size();
  for (const DenseLayer& layer : network.layers) {
    count += layer.weight.size() + layer.bias.size();
  }
  return count * sizeof(float);
}

uint64_t HostBytes(const UserTables& users) {
  return (users.gmf.size() + users.tower.size()) * sizeof(float) +
         (users.gmf16.size() + users.tower16.size()) * sizeof(Float16);
}

const char* ItemTableName(ItemTable table) {
  switch (table) {
    case ItemTable::kTower:
      return "item.tower";
    case ItemTable::kGmf:
      return "item.gmf";
    case ItemTable::kBias:
      return "item.bias";
  }
  return "item.unknown";
}

absl::Status StreamItemTables(const ItemTables& items, ItemRowsSink sink) {
  if (!items.tower.empty()) {
    NEUMF_RETURN_IF_ERROR(sink(
        AllRows(ItemTable::kTower, items.tower.rows(), items.tower.data())));
  }
  if (!items.gmf.empty()) {
    NEUMF_RETURN_IF_ERROR(
        sink(AllRows(ItemTable::kGmf, items.gmf.rows(), items.gmf.data())));
  }
  if (!items.bias.empty()) {
    NEUMF_RETURN_IF_ERROR(
        sink(AllRows(ItemTable::kBias, items.bias.size(), items.bias.data())));
  }
  return absl::OkStatus();
}

ItemTables MakeItemTables(const ModelShape& shape) {
  ItemTables items;
  items.gmf = AlignedMatrix(shape.num_items, shape.gmf_width);
  items.tower = AlignedMatrix(shape.num_items, shape.tower_width());
  if (shape.has_item_bias) items.bias.resize(shape.num_items);
  return items;
}

void StoreItemRows(const ItemRows& rows, ItemTables& items) {
  switch (rows.table) {
    case ItemTable::kTower:
      return StoreRows(rows, items.tower);
    case ItemTable::kGmf:
      return StoreRows(rows, items.gmf);
    case ItemTable::kBias:
      return StoreRows(rows, 1, absl::MakeSpan(items.bias));
  }
}

absl::Status CheckFinite(absl::string_view name, absl::Span<const float> values,
                         uint64_t width, uint64_t first_row) {
  return CheckFiniteRows(name, values, width, first_row);
}

absl::Status Validate(const ModelShape& shape, const ScoreNetwork& network) {
  const std::vector<uint32_t>& widths = shape.tower_widths;
  const size_t num_layers = shape.has_tower() ? widths.size() - 1 : 0;
  NEUMF_RETURN_IF_ERROR(
      CheckSize("the tower above layer 1", network.layers.size(), num_layers));
  for (size_t i = 0; i < num_layers; ++i) {
    NEUMF_RETURN_IF_ERROR(CheckLayer(absl::StrCat("tower.", i + 2),
                                     network.layers[i], widths[i],
                                     widths[i + 1]));
  }
  NEUMF_RETURN_IF_ERROR(CheckVector("head.weight", network.head_weight,
                                    shape.has_tower() ? widths.back() : 0));
  return CheckFinite("head.bias", absl::MakeConstSpan(&network.head_bias, 1),
                     1);
}

absl::Status Validate(const ServingModel& model, const ModelParts& without) {
  const ModelShape& shape = model.shape;
  NEUMF_RETURN_IF_ERROR(ValidateShape(shape));
  NEUMF_RETURN_IF_ERROR(Validate(shape, model.network));
  if (!without.user_tables) {
    NEUMF_RETURN_IF_ERROR(CheckUsers(shape, model.users));
  }
  if (!without.user_ids) {
    NEUMF_RETURN_IF_ERROR(
        CheckSize("user.id", model.user_ids.size(), shape.num_users));
  }
  if (!without.item_ids) {
    NEUMF_RETURN_IF_ERROR(
        CheckSize("item.id", model.item_ids.size(), shape.num_items));
  }
  NEUMF_RETURN_IF_ERROR(CheckSeen(shape, model.seen));
  NEUMF_RETURN_IF_ERROR(CheckOptionalSize(
      "item.popularity", model.popularity.size(), shape.num_items));
  return CheckFinite("item.popularity", model.popularity, 1);
}

absl::Status Validate(const ModelShape& shape, const ItemTables& items) {
  NEUMF_RETURN_IF_ERROR(
      CheckMatrix("item.gmf", items.gmf, shape.num_items, shape.gmf_width));
  NEUMF_RETURN_IF_ERROR(CheckMatrix("item.tower", items.tower, shape.num_items,
                                    shape.tower_width()));
  return CheckVector("item.bias", items.bias,
                     shape.has_item_bias ? shape.num_items : 0);
}

}  // namespace neumf
