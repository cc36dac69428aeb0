#include "bench/large_model.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/file_system.h"
#include "base/sha256.h"
#include "model/serving_model.h"

namespace neumf {
namespace {

// Small beside the tables' values, so that trained ones stay as they are.
constexpr float kTableStep = 0.05F;
constexpr float kWeightStep = 0.001F;

// The same numbers with every standard library.
class Generator {
 public:
  explicit Generator(uint64_t seed) : engine_(static_cast<uint32_t>(seed)) {}

  // Moves each value by less than half a step.
  void Move(float step, absl::Span<float> values) {
    for (float& value : values) {
      value += step * (static_cast<float>(engine_() >> 8) * 0x1p-24F - 0.5F);
    }
  }

  uint64_t Below(uint64_t end) { return engine_() % end; }

 private:
  std::mt19937 engine_;
};

// `from` over and over, moved.
AlignedMatrix Repeated(const AlignedMatrix& from, uint64_t rows,
                       Generator& random) {
  AlignedMatrix table(rows, from.cols());
  if (table.empty()) return table;
  for (uint64_t row = 0; row < rows; ++row) {
    const absl::Span<const float> source = from.row(row % from.rows());
    std::copy(source.begin(), source.end(), table.row(row).begin());
  }
  random.Move(kTableStep, absl::MakeSpan(table.data(), table.size()));
  return table;
}

ItemTables MovedItems(const BenchModel& tower, Generator& random) {
  const uint64_t rows = tower.shape.num_items;
  ItemTables items = MakeItemTables(tower.shape);
  if (!items.gmf.empty()) items.gmf = Repeated(tower.items.gmf, rows, random);
  if (!items.tower.empty()) {
    items.tower = Repeated(tower.items.tower, rows, random);
  }
  if (tower.shape.has_item_bias) {
    std::copy_n(tower.items.bias.data(), rows, items.bias.data());
    random.Move(kTableStep, absl::MakeSpan(items.bias.data(), rows));
  }
  return items;
}

ScoreNetwork Moved(ScoreNetwork network, Generator& random) {
  for (DenseLayer& layer : network.layers) {
    random.Move(kWeightStep, absl::MakeSpan(layer.weight));
    random.Move(kWeightStep, absl::MakeSpan(layer.bias));
  }
  random.Move(kWeightStep, absl::MakeSpan(network.head_weight));
  random.Move(kWeightStep, {&network.head_bias, 1});
  return network;
}

std::vector<std::string> NumberedIds(absl::string_view prefix, uint64_t first,
                                     uint64_t count) {
  std::vector<std::string> ids;
  ids.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    ids.push_back(absl::StrCat(prefix, first + i));
  }
  return ids;
}

// Rows of users stand in the order of the ids' hashes.
absl::StatusOr<IdTable> UserIds(uint64_t first, uint64_t count) {
  std::vector<std::string> ids = NumberedIds("u", first, count);
  std::vector<std::pair<uint64_t, std::string>> hashed;
  hashed.reserve(count);
  for (std::string& id : ids) hashed.emplace_back(IdHash(id), std::move(id));
  std::sort(hashed.begin(), hashed.end());
  for (uint64_t i = 0; i < count; ++i) ids[i] = std::move(hashed[i].second);
  return IdTable::FromIdsByHash(ids);
}

absl::StatusOr<SeenSets> RandomSeen(const LargeModel& model, uint64_t num_items,
                                    Generator& random) {
  const uint64_t per_user = std::min(model.seen_per_user, num_items);
  std::vector<uint64_t> offsets = {0};
  offsets.reserve(model.users + 1);
  std::vector<uint32_t> items;
  items.reserve(model.users * per_user);
  for (uint64_t user = 0; user < model.users; ++user) {
    for (uint64_t i = 0; i < per_user; ++i) {
      const uint64_t begin = i * num_items / per_user;
      const uint64_t end = (i + 1) * num_items / per_user;
      items.push_back(static_cast<uint32_t>(begin + random.Below(end - begin)));
    }
    offsets.push_back(items.size());
  }
  return SeenSets::FromRows(offsets, items, num_items);
}

}  // namespace

absl::Status WriteLargeModel(const std::string& path, const BenchModel& tower,
                             const LargeModel& model,
                             const CheckpointWriterOptions& options) {
  const uint64_t num_items = tower.shape.num_items;
  Generator random(model.seed);
  ServingModel serving;
  serving.shape = tower.shape;
  serving.shape.num_users = model.users;
  serving.users.gmf = Repeated(tower.users.gmf, model.users, random);
  serving.users.tower = Repeated(tower.users.tower, model.users, random);
  auto seen = RandomSeen(model, num_items, random);
  if (!seen.ok()) return seen.status();
  serving.seen = *std::move(seen);
  auto user_ids = UserIds(model.seed, model.users);
  if (!user_ids.ok()) return user_ids.status();
  serving.user_ids = *std::move(user_ids);
  auto item_ids = IdTable::FromIds(NumberedIds("i", model.seed, num_items));
  if (!item_ids.ok()) return item_ids.status();
  serving.item_ids = *std::move(item_ids);
  Generator item_random(model.item_seed);
  serving.network = Moved(tower.network, item_random);
  return WriteCheckpointFile(*MakePosixFileSystem(), path, serving,
                             MovedItems(tower, item_random), {}, options);
}

}  // namespace neumf
