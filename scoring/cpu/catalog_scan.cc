#include "scoring/cpu/catalog_scan.h"

#include <algorithm>
#include <limits>

#include "absl/numeric/bits.h"
#include "scoring/eligibility.h"

namespace neumf {
namespace {

// Hits are looked at 64 at a time, as a mask has its bits.
constexpr uint64_t kWordItems = AscendingRows::kWordRows;
constexpr uint64_t kWordBlocks = kWordItems / kBlockItems;
static_assert(CatalogScan::kAlignBlocks == kWordBlocks,
              "a scan begins with a word of the mask");
// Between two looks at the selection's threshold.
constexpr size_t kStripWords = 4;
constexpr size_t kStripBlocks = kStripWords * kWordBlocks;
// A strip of many users: their scores must leave room in the first-level cache.
constexpr size_t kDotStripBlocks = 4;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The `count` lowest bits, or all there are.
uint64_t LowBits(uint64_t count) {
  return count >= kWordItems ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

// Calls visit(i) for each set bit i, ascending.
template <typename Visit>
void ForEachBit(uint64_t bits, Visit visit) {
  for (; bits != 0; bits &= bits - 1) visit(absl::countr_zero(bits));
}

// The hits of kWordBlocks blocks as one word.
uint64_t HitWord(const uint16_t* hits) {
  uint64_t word = 0;
  for (size_t b = 0; b < kWordBlocks; ++b) {
    word |= uint64_t{hits[b]} << (b * kBlockItems);
  }
  return word;
}

// Offers the items of the set bits that the query does not leave out; bit i is
// item first_row + i.
template <typename Selector>
void Offer(uint64_t hits, const float* scores, uint32_t first_row,
           RemovedRows& removed, Selector& selector) {
  if (hits == 0) return;
  hits &= ~removed.Word(first_row);
  ForEachBit(hits, [&](uint32_t i) {
    selector.Push({scores[i], first_row + i});
  });
}

}  // namespace

struct CatalogScan::Strip {
  const float* blocks = nullptr;
  size_t num_blocks = 0;
  uint64_t allowed[kStripWords];  // items that may be in the answer
  alignas(64) float scores[kStripBlocks * kBlockItems];
  uint16_t hits[kStripBlocks] = {};  // lanes that pass the threshold
};

struct CatalogScan::DotStrip {
  static constexpr size_t kMaxOutputs = DotUsers::kMaxOutputs;

  alignas(64) float scores[kDotStripBlocks * kMaxOutputs * kBlockItems];
  uint16_t hits[kDotStripBlocks * kMaxOutputs];
  float thresholds[kMaxOutputs];
};

CatalogScan::CatalogScan(const BlockKernel& kernel,
                         const KernelNetwork& network, const PackedItems& items,
                         uint64_t num_items, const FirstPass* first_pass)
    : kernel_(kernel),
      network_(network),
      items_(items),
      num_items_(num_items),
      first_pass_(first_pass) {}

template <typename Selector, typename ScoreStrip>
void CatalogScan::ScanStrips(const RankQuery& query, uint64_t first,
                             uint64_t end,
                             ThreadWorkspace::Selection& selection,
                             Selector& selector,
                             const ScoreStrip& score) const {
  selection.cancelled = selection.cancelled || IsCancelled(query);
  if (selection.cancelled) return;
  selection.removed.SeekTo(static_cast<uint32_t>(first * kBlockItems));

  Strip strip;
  for (uint64_t block = first; block < end;) {
    FillStrip(query, block, end, &strip);
    if (strip.num_blocks == 0) {
      block += kWordBlocks;
      continue;
    }
    // A first pass that has given up takes nothing more.
    if (selector.threshold() == kInfinity) return;
    score(block, selector.threshold(), &strip);
    for (size_t w = 0; w * kWordBlocks < strip.num_blocks; ++w) {
      const uint64_t row = block * kBlockItems + w * kWordItems;
      Offer(HitWord(strip.hits + w * kWordBlocks) & strip.allowed[w],
            strip.scores + w * kWordItems, static_cast<uint32_t>(row),
            selection.removed, selector);
    }
    block += strip.num_blocks;
  }
}

void CatalogScan::ScanBlocks(const RankQuery& query, uint64_t first,
                             uint64_t end, size_t b,
                             ThreadWorkspace& thread) const {
  ThreadWorkspace::Selection& selection = thread.selections[b];
  ScanStrips(query, first, end, selection, selection.top,
             [&](uint64_t, float threshold, Strip* strip) {
               Score(query, threshold, thread.scratch.data(), strip);
             });
}

void CatalogScan::ScanCoarse(const RankQuery& query, const CoarseUser& user,
                             uint64_t first, uint64_t end, size_t b,
                             ThreadWorkspace& thread) const {
  ThreadWorkspace::Selection& selection = thread.selections[b];
  CoarseInput input;
  user.Fill(&input);
  input.scratch = thread.scratch.data();
  ScanStrips(query, first, end, selection, selection.survivors,
             [&](uint64_t block, float threshold, Strip* strip) {
               input.coarse_blocks = first_pass_->items().block(block);
               input.blocks = strip->blocks;
               input.num_blocks = strip->num_blocks;
               input.threshold = threshold;
               first_pass_->kernel().score(network_, input,
                                           {strip->scores, strip->hits});
             });
}

void CatalogScan::ScanDots(absl::Span<const RankQuery> queries,
                           const DotUsers& users, uint64_t first, uint64_t end,
                           ThreadWorkspace& thread) const {
  bool is_awaited = false;
  for (size_t o = 0; o < users.size(); ++o) {
    const size_t b = users.query(o);
    ThreadWorkspace::Selection& selection = thread.selections[b];
    selection.cancelled = selection.cancelled || IsCancelled(queries[b]);
    selection.removed.SeekTo(static_cast<uint32_t>(first * kBlockItems));
    is_awaited = is_awaited || !selection.cancelled;
  }
  if (!is_awaited) return;

  DotStrip strip;
  std::fill_n(strip.thresholds, users.layer().out, kInfinity);
  KernelDotInput input;
  input.users = &users.layer();
  input.thresholds = strip.thresholds;
  for (uint64_t block = first; block < end; block += input.num_blocks) {
    for (size_t o = 0; o < users.size(); ++o) {
      const auto& selection = thread.selections[users.query(o)];
      if (!selection.cancelled) {
        strip.thresholds[o] = selection.top.threshold();
      }
    }
    input.blocks = items_.block(block);
    input.num_blocks = std::min<uint64_t>(kDotStripBlocks, end - block);
    kernel_.score_dots(network_, input, {strip.scores, strip.hits});
    OfferDots(queries, users, strip, block, input.num_blocks, thread);
  }
}

void CatalogScan::OfferDots(absl::Span<const RankQuery> queries,
                            const DotUsers& users, const DotStrip& strip,
                            uint64_t first, uint64_t num_blocks,
                            ThreadWorkspace& thread) const {
  const size_t num_outputs = users.layer().out;
  for (uint64_t b = 0; b < num_blocks; ++b) {
    const uint64_t row = (first + b) * kBlockItems;
    for (size_t o = 0; o < users.size(); ++o) {
      const size_t at = b * num_outputs + o;
      if (strip.hits[at] == 0) continue;
      const RankQuery& query = queries[users.query(o)];
      const uint64_t lanes =
          AllowedItems(query, row / kWordItems) >> (row % kWordItems);
      ThreadWorkspace::Selection& selection = thread.selections[users.query(o)];
      Offer(strip.hits[at] & lanes, strip.scores + at * kBlockItems,
            static_cast<uint32_t>(row), selection.removed, selection.top);
    }
  }
}

void CatalogScan::ScanRows(const RankQuery& query,
                           absl::Span<const uint32_t> rows, size_t b,
                           ThreadWorkspace& thread) const {
  ThreadWorkspace::Selection& selection = thread.selections[b];
  selection.removed.SeekTo(0);

  Strip strip;
  strip.blocks = thread.tile.data();
  strip.num_blocks = 1;
  for (size_t first = 0; first < rows.size(); first += kBlockItems) {
    selection.cancelled = IsCancelled(query);
    if (selection.cancelled) return;
    const auto tile_rows = rows.subspan(first, kBlockItems);
    strip.allowed[0] =
        Gather(query, tile_rows, &selection.removed, thread.tile.data());
    Score(query, selection.top.threshold(), thread.scratch.data(), &strip);
    ForEachBit(strip.hits[0] & strip.allowed[0], [&](uint32_t lane) {
      selection.top.Push({strip.scores[lane], tile_rows[lane]});
    });
  }
}

void CatalogScan::FillStrip(const RankQuery& query, uint64_t first,
                            uint64_t end, Strip* strip) const {
  const uint64_t num_blocks = std::min<uint64_t>(kStripBlocks, end - first);
  strip->blocks = items_.block(first);
  strip->num_blocks = 0;
  for (size_t w = 0; strip->num_blocks < num_blocks; ++w) {
    strip->allowed[w] = AllowedItems(query, first / kWordBlocks + w);
    if (strip->allowed[w] == 0) return;
    strip->num_blocks = std::min((w + 1) * kWordBlocks, num_blocks);
  }
}

uint64_t CatalogScan::Gather(const RankQuery& query,
                             absl::Span<const uint32_t> rows,
                             RemovedRows* removed, float* tile) const {
  uint64_t lanes = 0;
  for (size_t lane = 0; lane < rows.size(); ++lane) {
    const uint32_t row = rows[lane];
    if (query.allow_mask != nullptr && !query.allow_mask->allows(row)) {
      continue;
    }
    if (removed->Contains(row)) continue;
    items_.Gather(row, lane, tile);
    lanes |= uint64_t{1} << lane;
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

uint64_t CatalogScan::AllowedItems(const RankQuery& query,
                                   uint64_t word) const {
  if (query.allow_mask != nullptr) return query.allow_mask->words()[word];
  return LowBits(num_items_ - word * kWordItems);
}

}  // namespace neumf
