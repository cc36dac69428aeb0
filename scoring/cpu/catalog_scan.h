#pragma once

// Runs the kernel over parts of the catalog and offers what passes the
// threshold to a selection.
//
// Immutable: any number of threads may use it, each with its own workspace.

#include <cstdint>

#include "absl/types/span.h"
#include "scoring/cpu/block_kernel.h"
#include "scoring/cpu/packed_items.h"
#include "scoring/cpu/workspace.h"
#include "scoring/scorer.h"

namespace neumf {

class CatalogScan {
 public:
  // All four must outlive it.
  CatalogScan(const BlockKernel& kernel, const KernelNetwork& network,
              const PackedItems& items, uint64_t num_items);

  // Offers the items of blocks [first, end) that the mask allows to
  // thread.selections[b], or notes there that the query is cancelled.
  void ScanBlocks(const RankQuery& query, uint64_t first, uint64_t end,
                  size_t b, ThreadWorkspace& thread) const;

  // The same for single rows, which ascend: gathers them into tiles.
  void ScanRows(const RankQuery& query, absl::Span<const uint32_t> rows,
                size_t b, ThreadWorkspace& thread) const;

 private:
  // Consecutive blocks and what the kernel found in them.
  struct Strip;

  // Takes the blocks from `first` on that fit a strip, up to one without an
  // allowed item.
  void FillStrip(const RankQuery& query, uint64_t first, uint64_t end,
                 Strip* strip) const;
  // Copies the rows that the mask allows to `tile`, row i to lane i; returns
  // their lanes.
  uint32_t Gather(const RankQuery& query, absl::Span<const uint32_t> rows,
                  float* tile) const;
  void Score(const RankQuery& query, float threshold, float* scratch,
             Strip* strip) const;
  // Offers the hits of blocks that begin with item `first_row`.
  static void Offer(const Strip& strip, uint64_t first_row, TopK* top);
  // The lanes of a block that hold items which the mask allows.
  uint32_t AllowedLanes(const RankQuery& query, uint64_t block) const;

  const BlockKernel& kernel_;
  const KernelNetwork& network_;
  const PackedItems& items_;
  const uint32_t last_block_lanes_;
};

}  // namespace neumf
