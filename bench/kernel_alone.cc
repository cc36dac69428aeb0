#include "bench/kernel_alone.h"

#include <algorithm>
#include <limits>

#include "base/logging.h"
#include "scoring/cpu/division.h"

namespace neumf {
namespace {

constexpr size_t kStripBlocks = 16;

}  // namespace

KernelAlone::KernelAlone(const BenchModel& model, size_t num_threads)
    : kernel_(*FindBlockKernel()),
      network_(model.shape, model.network, kernel_.widths),
      items_(model.shape),
      threads_(num_threads, "bench-kernel") {
  NEUMF_CHECK(StreamItemTables(model.items, [this](const ItemRows& rows) {
                items_.Store(rows);
                return absl::OkStatus();
              }).ok());
  workspaces_.reserve(num_threads);
  for (size_t t = 0; t < num_threads; ++t) {
    workspaces_.emplace_back(network_.view());
  }
}

void KernelAlone::Run(absl::Span<const RankQuery> queries) {
  const Division division = Divide(items_.num_blocks(), items_.block_floats(),
                                   queries.size(), workspaces_.size());
  const size_t num_shares = division.num_pieces * division.num_parts;
  threads_.ParallelFor(num_shares, [&](size_t share, size_t thread) {
    const uint64_t first = share / division.num_parts * division.piece_blocks;
    const uint64_t end =
        std::min(first + division.piece_blocks, items_.num_blocks());
    for (size_t b = share % division.num_parts; b < queries.size();
         b += division.num_parts) {
      ScorePiece(queries[b], first, end, workspaces_[thread]);
    }
  });
}

void KernelAlone::ScorePiece(const RankQuery& query, uint64_t first,
                             uint64_t end, ThreadWorkspace& thread) const {
  alignas(64) float scores[kStripBlocks * kBlockItems];
  uint16_t hits[kStripBlocks];
  KernelInput input;
  input.user_gmf = query.user_gmf;
  input.user_tower = query.user_tower;
  input.threshold = std::numeric_limits<float>::infinity();
  input.scratch = thread.scratch.data();
  for (uint64_t block = first; block < end; block += input.num_blocks) {
    input.blocks = items_.block(block);
    input.num_blocks = std::min<uint64_t>(kStripBlocks, end - block);
    kernel_.score(network_.view(), input, {scores, hits});
  }
}

}  // namespace neumf
