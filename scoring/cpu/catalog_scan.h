#pragma once

// Runs the kernel over parts of the catalog and offers what passes the
// threshold to a selection.
//
// Immutable: any number of threads may use it, each with its own workspace.

#include <cstdint>

#include "absl/types/span.h"
#include "scoring/cpu/block_kernel.h"
#include "scoring/cpu/coarse_user.h"
#include "scoring/cpu/dot_users.h"
#include "scoring/cpu/first_pass.h"
#include "scoring/cpu/packed_items.h"
#include "scoring/cpu/workspace.h"
#include "scoring/scorer.h"

namespace neumf {

class CatalogScan {
 public:
  // All must outlive it. `first_pass` may be null.
  CatalogScan(const BlockKernel& kernel, const KernelNetwork& network,
              const PackedItems& items, uint64_t num_items,
              const FirstPass* first_pass);

  // Blocks are scanned from a multiple of this on.
  static constexpr uint64_t kAlignBlocks = 4;

  // Offers the items of blocks [first, end) that the mask allows to
  // thread.selections[b], or notes there that the query is cancelled.
  // REQUIRES: `first` is a multiple of kAlignBlocks.
  void ScanBlocks(const RankQuery& query, uint64_t first, uint64_t end,
                  size_t b, ThreadWorkspace& thread) const;

  // The same in low precision, offered to the survivors of the selection.
  // REQUIRES: there is a first pass, and `user` is that of `query`.
  void ScanCoarse(const RankQuery& query, const CoarseUser& user,
                  uint64_t first, uint64_t end, size_t b,
                  ThreadWorkspace& thread) const;

  // The same as ScanBlocks() for users who scan together. REQUIRES: H = 0.
  void ScanDots(absl::Span<const RankQuery> queries, const DotUsers& users,
                uint64_t first, uint64_t end, ThreadWorkspace& thread) const;

  // The same for single rows, which ascend: gathers them into tiles.
  void ScanRows(const RankQuery& query, absl::Span<const uint32_t> rows,
                size_t b, ThreadWorkspace& thread) const;

 private:
  // Consecutive blocks and what the kernel found in them.
  struct Strip;
  struct DotStrip;

  // Scans strip by strip: score(first block, threshold, &strip) fills in its
  // scores and hits, `selector` is offered what is eligible.
  template <typename Selector, typename ScoreStrip>
  void ScanStrips(const RankQuery& query, uint64_t first, uint64_t end,
                  ThreadWorkspace::Selection& selection, Selector& selector,
                  const ScoreStrip& score) const;
  // Takes the blocks from `first` on that fit a strip, up to a word of the mask
  // without an allowed item.
  void FillStrip(const RankQuery& query, uint64_t first, uint64_t end,
                 Strip* strip) const;
  // Copies the rows that are eligible to `tile`, row i to lane i; returns their
  // lanes.
  uint64_t Gather(const RankQuery& query, absl::Span<const uint32_t> rows,
                  RemovedRows* removed, float* tile) const;
  void Score(const RankQuery& query, float threshold, float* scratch,
             Strip* strip) const;
  // Offers the hits of a strip that begins with block `first`.
  void OfferDots(absl::Span<const RankQuery> queries, const DotUsers& users,
                 const DotStrip& strip, uint64_t first, uint64_t num_blocks,
                 ThreadWorkspace& thread) const;
  // Bit i is set when item 64 * word + i exists and the mask allows it.
  uint64_t AllowedItems(const RankQuery& query, uint64_t word) const;

  const BlockKernel& kernel_;
  const KernelNetwork& network_;
  const PackedItems& items_;
  const uint64_t num_items_;
  const FirstPass* const first_pass_;
};

}  // namespace neumf
