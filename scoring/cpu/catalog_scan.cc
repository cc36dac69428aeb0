#include "scoring/cpu/catalog_scan.h"

#include <algorithm>

#include "absl/numeric/bits.h"

namespace neumf {
namespace {

constexpr uint32_t kAllLanes = (1U << kBlockItems) - 1;
// Blocks between two looks at the selection's threshold.
constexpr size_t kStripBlocks = 16;

uint32_t LowLanes(uint64_t count) { return (1U << count) - 1; }

bool IsCancelled(const RankQuery& query) {
  return query.cancelled != nullptr &&
         query.cancelled->load(std::memory_order_relaxed);
}

// Calls visit(lane) for each bit of `lanes`, ascending.
template <typename Visit>
void ForEachLane(uint32_t lanes, Visit visit) {
  for (; lanes != 0; lanes &= lanes - 1) visit(absl::countr_zero(lanes));
}

}  // namespace

struct CatalogScan::Strip {
  const float* blocks = nullptr;
  size_t num_blocks = 0;
  uint32_t allowed[kStripBlocks];  // lanes that may be in the answer
  alignas(64) float scores[kStripBlocks * kBlockItems];
  uint16_t hits[kStripBlocks];  // lanes that pass the threshold
};

CatalogScan::CatalogScan(const BlockKernel& kernel,
                         const KernelNetwork& network, const PackedItems& items,
                         uint64_t num_items)
    : kernel_(kernel),
      network_(network),
      items_(items),
      last_block_lanes_(
          LowLanes(num_items - (items.num_blocks() - 1) * kBlockItems)) {}

void CatalogScan::ScanBlocks(const RankQuery& query, uint64_t first,
                             uint64_t end, size_t b,
                             ThreadWorkspace& thread) const {
  ThreadWorkspace::Selection& selection = thread.selections[b];
  selection.cancelled = selection.cancelled || IsCancelled(query);
  if (selection.cancelled) return;
  TopK& top = selection.top;
  top.SeekTo(static_cast<uint32_t>(first * kBlockItems));

  Strip strip;
  for (uint64_t block = first; block < end;) {
    FillStrip(query, block, end, &strip);
    if (strip.num_blocks == 0) {
      ++block;
      continue;
    }
    Score(query, top.threshold(), thread.scratch.data(), &strip);
    Offer(strip, block * kBlockItems, &top);
    block += strip.num_blocks;
  }
}

void CatalogScan::ScanRows(const RankQuery& query,
                           absl::Span<const uint32_t> rows, size_t b,
                           ThreadWorkspace& thread) const {
  ThreadWorkspace::Selection& selection = thread.selections[b];
  TopK& top = selection.top;
  top.SeekTo(0);

  Strip strip;
  strip.blocks = thread.tile.data();
  strip.num_blocks = 1;
  for (size_t first = 0; first < rows.size(); first += kBlockItems) {
    selection.cancelled = IsCancelled(query);
    if (selection.cancelled) return;
    const auto tile_rows = rows.subspan(first, kBlockItems);
    strip.allowed[0] = Gather(query, tile_rows, thread.tile.data());
    Score(query, top.threshold(), thread.scratch.data(), &strip);
    ForEachLane(strip.hits[0] & strip.allowed[0], [&](uint32_t lane) {
      top.Push({strip.scores[lane], tile_rows[lane]});
    });
  }
}

void CatalogScan::FillStrip(const RankQuery& query, uint64_t first,
                            uint64_t end, Strip* strip) const {
  strip->blocks = items_.block(first);
  size_t& n = strip->num_blocks;
  for (n = 0; n < kStripBlocks && first + n < end; ++n) {
    strip->allowed[n] = AllowedLanes(query, first + n);
    if (strip->allowed[n] == 0) return;
  }
}

uint32_t CatalogScan::Gather(const RankQuery& query,
                             absl::Span<const uint32_t> rows,
                             float* tile) const {
  uint32_t lanes = 0;
  for (size_t lane = 0; lane < rows.size(); ++lane) {
    const uint32_t row = rows[lane];
    if (query.allow_mask && !query.allow_mask->allows(row)) continue;
    items_.Gather(row, lane, tile);
    lanes |= 1U << lane;
  }
  return lanes;
}

void CatalogScan::Score(const RankQuery& query, float threshold, float* scratch,
                        Strip* strip) const {
  KernelInput input;
  input.user_gmf = query.user_gmf;
  input.user_tower = query.user_tower;
  input.blocks = strip->blocks;
  input.num_blocks = strip->num_blocks;
  input.threshold = threshold;
  input.scratch = scratch;
  kernel_.score(network_, input, {strip->scores, strip->hits});
}

void CatalogScan::Offer(const Strip& strip, uint64_t first_row, TopK* top) {
  for (size_t i = 0; i < strip.num_blocks; ++i) {
    const float* const scores = strip.scores + i * kBlockItems;
    const auto row = static_cast<uint32_t>(first_row + i * kBlockItems);
    ForEachLane(strip.hits[i] & strip.allowed[i], [&](uint32_t lane) {
      top->Push({scores[lane], row + lane});
    });
  }
}

uint32_t CatalogScan::AllowedLanes(const RankQuery& query,
                                   uint64_t block) const {
  if (query.allow_mask == nullptr) {
    return block + 1 == items_.num_blocks() ? last_block_lanes_ : kAllLanes;
  }
  constexpr uint64_t kBlocksPerWord = 64 / kBlockItems;
  const uint64_t word = query.allow_mask->words()[block / kBlocksPerWord];
  return word >> (block % kBlocksPerWord * kBlockItems) & kAllLanes;
}

}  // namespace neumf
