#include "scoring/cuda/coarse_tables.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "scoring/cuda/device/launch.h"
#include "scoring/cuda/drain.h"
#include "scoring/cuda/kernels/measure_columns.h"
#include "scoring/cuda/kernels/pack_items.h"

namespace neumf::cuda {
namespace {

// Of kernels that go through all items: more blocks than run at once, so that
// none of the device waits for the last one.
constexpr uint32_t kBlocksPerMultiprocessor = 16;
constexpr uint32_t kRowsPerBlock = 1024;

Grid ItemGrid(const Device& device, uint32_t num_items) {
  return {std::min(device.num_multiprocessors() * kBlocksPerMultiprocessor,
                   num_items / kRowsPerBlock + 1),
          0};
}

// A table of `width` columns, where there is one.
struct Table {
  const float* values = nullptr;
  uint32_t width = 0;
};

absl::StatusOr<ItemRanges> MeasureItems(Device& device, const ExactModel& exact,
                                        Stream& stream) {
  const Table tables[] = {
      {exact.item_tower, exact.tower_width},
      {exact.item_gmf, exact.gmf_width},
      {exact.item_bias, exact.item_bias == nullptr ? 0U : 1U}};
  const uint32_t num_columns =
      tables[0].width + tables[1].width + tables[2].width;
  const size_t bytes = num_columns * sizeof(ColumnBits);
  NEUMF_ASSIGN_OR_RETURN(
      const Memory measured,
      Memory::Allocate(device, Memory::Place::kDevice, bytes));
  NEUMF_ASSIGN_OR_RETURN(
      const Memory copy,
      Memory::Allocate(device, Memory::Place::kPinned, bytes));
  Drain drain(stream);
  NEUMF_RETURN_IF_ERROR(stream.Fill(measured.as<ColumnBits>(), 0, bytes));
  auto* columns = measured.as<ColumnBits>();
  for (const Table& table : tables) {
    if (table.width == 0) continue;
    NEUMF_RETURN_IF_ERROR(Launch(
        stream, ItemGrid(device, exact.num_items),
        MeasureColumns{table.values, exact.num_items, table.width, columns}));
    columns += table.width;
  }
  NEUMF_RETURN_IF_ERROR(
      stream.Copy(copy.as<ColumnBits>(), measured.as<ColumnBits>(), bytes));
  NEUMF_RETURN_IF_ERROR(stream.Synchronize());
  drain.Dismiss();

  ItemRanges ranges;
  const auto* bits = copy.as<const ColumnBits>();
  for (uint32_t i = 0; i < tables[0].width; ++i) {
    ranges.tower.push_back(RangeOf(*bits++));
  }
  for (uint32_t i = 0; i < tables[1].width; ++i) {
    ranges.gmf.push_back(RangeOf(*bits++));
  }
  if (tables[2].width > 0) ranges.bias = RangeOf(*bits);
  return ranges;
}

// A NaN is beyond all numbers, and so in a range's end.
bool AreFinite(const ItemRanges& ranges) {
  const auto is_finite = [](const ColumnRange& range) {
    return std::isfinite(range.low) && std::isfinite(range.high);
  };
  return std::all_of(ranges.tower.begin(), ranges.tower.end(), is_finite) &&
         std::all_of(ranges.gmf.begin(), ranges.gmf.end(), is_finite) &&
         is_finite(ranges.bias);
}

CoarsePlaces PlacesIn(const Memory& memory, const CoarseBytes& bytes) {
  // Each part is a multiple of 16 bytes.
  auto* next = memory.as<std::byte>();
  const auto place = [&next](uint64_t part) {
    std::byte* const begin = part == 0 ? nullptr : next;
    next += part;
    return begin;
  };
  CoarsePlaces places;
  places.image = place(bytes.image);
  places.item_tower = reinterpret_cast<Words4*>(place(bytes.item_tower));
  places.item_gmf = reinterpret_cast<Words2*>(place(bytes.item_gmf));
  places.item_start = reinterpret_cast<float*>(place(bytes.item_start));
  return places;
}

absl::Status PackItems(const Device& device, const CoarseNetwork& network,
                       const CoarsePlaces& places, const ExactModel& exact,
                       Stream& stream) {
  const Grid grid = ItemGrid(device, exact.num_items);
  if (places.item_tower != nullptr) {
    NEUMF_RETURN_IF_ERROR(
        Launch(stream, grid, network.PackTower(places, exact.item_tower)));
  }
  if (places.item_gmf != nullptr) {
    NEUMF_RETURN_IF_ERROR(
        Launch(stream, grid, network.PackGmf(places, exact.item_gmf)));
  }
  return Launch(stream, grid, network.PackStarts(places, exact.item_bias));
}

}  // namespace

absl::StatusOr<std::optional<CoarseTables>> CoarseTables::Make(
    Device& device, TunedTower tower, const ModelShape& shape,
    const ScoreNetwork& network, const ExactModel& exact, Uploader& uploader) {
  CoarseTables tables;
  NEUMF_ASSIGN_OR_RETURN(tables.ranges_,
                         MeasureItems(device, exact, uploader.stream()));
  if (!AreFinite(tables.ranges_)) return std::nullopt;
  const std::optional<CoarseNetwork> coarse =
      CoarseNetwork::Make(tower, shape, network, tables.ranges_);
  if (!coarse) return std::nullopt;

  const CoarseBytes bytes = CoarseBytesOf(tower, shape);
  NEUMF_ASSIGN_OR_RETURN(
      tables.memory_,
      Memory::Allocate(device, Memory::Place::kDevice, bytes.total()));
  Drain drain(uploader.stream());
  const CoarsePlaces places = PlacesIn(tables.memory_, bytes);
  NEUMF_RETURN_IF_ERROR(uploader.Write(places.image, coarse->image().data(),
                                       coarse->image().size()));
  NEUMF_RETURN_IF_ERROR(
      PackItems(device, *coarse, places, exact, uploader.stream()));
  NEUMF_RETURN_IF_ERROR(uploader.Finish());
  drain.Dismiss();
  tables.model_ = coarse->ModelAt(places);
  return std::optional<CoarseTables>(std::move(tables));
}

}  // namespace neumf::cuda
