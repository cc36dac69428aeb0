#pragma once

// The serving form: the one shape into which every trained model is folded.
//
//   score(u, i) = user.gmf[u] . item.gmf[i] + item.bias[i]
//               + head . act(W_L ... act(W_2 act(user.tower[u] + item.tower[i])
//                                        + b_2) ... + b_L) + c
//
// NeuMF's first layer is split over its two inputs when a checkpoint is
// exported (the user's half, with the bias, is user.tower; the item's half is
// item.tower), so scoring a pair never computes it.
//
// Letters: U users, I items, G gmf width, H tower width (= H1), L tower layers,
// layer 1 being the folded one, widths H1 .. HL. G = 0 or H = 0 leaves that
// part out, never both.
//
// These types are plain values: built by one thread, then shared as const.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/aligned_matrix.h"
#include "model/id_table.h"
#include "model/seen_sets.h"

namespace neumf {

// Of every tower layer, the first included.
enum class Activation { kRelu, kTanh, kSigmoid };

// Sizes of a model; known from a checkpoint's header before any data is read.
struct ModelShape {
  uint64_t num_users = 0;              // U
  uint64_t num_items = 0;              // I
  uint32_t gmf_width = 0;              // G
  std::vector<uint32_t> tower_widths;  // H1 .. HL; empty without a tower
  bool has_item_bias = false;

  bool has_tower() const { return !tower_widths.empty(); }
  // H; 0 without a tower.
  uint32_t tower_width() const { return has_tower() ? tower_widths[0] : 0; }
};

// What any neumf program accepts. Rows are 32-bit everywhere.
struct ModelLimits {
  static constexpr uint64_t kMaxUsers = 4'000'000'000;
  static constexpr uint64_t kMaxItems = 4'000'000'000;
  static constexpr uint32_t kMaxWidth = 4096;
  static constexpr uint32_t kMaxTowerLayers = 16;
};

// INVALID_ARGUMENT that names what is out of range.
absl::Status ValidateShape(const ModelShape& shape);

// Tower layer 2, 3, ...: y = act(weight x + bias).
struct DenseLayer {
  uint32_t in = 0;
  uint32_t out = 0;
  std::vector<float> weight;  // [out, in] row-major
  std::vector<float> bias;    // [out]
};

// All weights of the scoring function that belong to no user and no item.
struct ScoreNetwork {
  Activation activation = Activation::kRelu;
  std::vector<DenseLayer> layers;  // layers 2 .. L
  std::vector<float> head_weight;  // [HL]; empty without a tower
  float head_bias = 0;             // c
};

// Of its weights in memory.
uint64_t HostBytes(const ScoreNetwork& network);

// In float32, or both in float16, which takes half of the memory: then gmf16 and
// tower16 hold them, and gmf and tower are empty. user_vectors.h reads either.
struct UserTables {
  AlignedMatrix gmf;    // [U, G]
  AlignedMatrix tower;  // [U, H]
  Float16Matrix gmf16;
  Float16Matrix tower16;

  bool is_float16() const { return !gmf16.empty() || !tower16.empty(); }
};
// Of the tables in memory.
uint64_t HostBytes(const UserTables& users);

// Row-major item tables: what an exporter has and the reference scorer reads.
// The daemon never holds them: it packs rows as they stream in.
struct ItemTables {
  AlignedMatrix gmf;        // [I, G]
  AlignedMatrix tower;      // [I, H]
  std::vector<float> bias;  // [I]; empty: all 0
};

// All of a checkpoint but the item tables.
struct ServingModel {
  ModelShape shape;
  ScoreNetwork network;
  UserTables users;
  IdTable user_ids;               // U ids
  IdTable item_ids;               // I ids
  SeenSets seen;                  // U rows
  std::vector<float> popularity;  // [I]; empty: no popularity fallback
};

// Parts of a model that versions can share, each by itself.
struct ModelParts {
  bool user_tables = false;
  bool user_ids = false;
  bool item_ids = false;
  bool seen = false;
  bool popularity = false;
  bool items = false;  // item tables and network: what a scorer is made of
};

enum class ItemTable { kTower, kGmf, kBias };

// "item.tower", "item.gmf" or "item.bias".
const char* ItemTableName(ItemTable table);

// A run of consecutive rows of one item table on its way from a checkpoint to a
// scorer. `values` is [num_rows, width] row-major, width being H, G or 1, and
// belongs to the caller of the sink.
struct ItemRows {
  ItemTable table = ItemTable::kTower;
  uint64_t first_row = 0;
  uint64_t num_rows = 0;
  const float* values = nullptr;
};

// Takes rows in ascending order within a table, each row once; tables in any
// order. A failure stops whoever feeds it and is passed on.
using ItemRowsSink = absl::FunctionRef<absl::Status(const ItemRows&)>;

// Feeds all of `items` to `sink`.
absl::Status StreamItemTables(const ItemTables& items, ItemRowsSink sink);

// The other direction: tables for `shape`, to be filled by StoreItemRows().
ItemTables MakeItemTables(const ModelShape& shape);
void StoreItemRows(const ItemRows& rows, ItemTables& items);

// OK when no value of `values` [rows, width] row-major is NaN or infinite.
// Otherwise INVALID_ARGUMENT: "name: value 3 of row 7 is not finite", where
// `values` begin with row `first_row`. REQUIRES: width > 0.
absl::Status CheckFinite(absl::string_view name, absl::Span<const float> values,
                         uint64_t width, uint64_t first_row = 0);

// Shapes that fit each other and `model.shape`, seen sets of as many items,
// finite values. The first misfit is INVALID_ARGUMENT and named. What `model`
// is `without` is not looked at.
absl::Status Validate(const ServingModel& model,
                      const ModelParts& without = {});
absl::Status Validate(const ModelShape& shape, const ScoreNetwork& network);
absl::Status Validate(const ModelShape& shape, const ItemTables& items);

}  // namespace neumf
