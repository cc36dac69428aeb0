#include "bench/kernel_alone.h"

#include <algorithm>
#include <limits>

#include "base/logging.h"

namespace neumf {
namespace {

constexpr size_t kPieceBytes = 256 << 10;
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
  const uint64_t piece = kPieceBytes / sizeof(float) / items_.block_floats();
  const uint64_t num_pieces = (items_.num_blocks() + piece - 1) / piece;
  threads_.ParallelFor(num_pieces, [&](size_t index, size_t thread) {
    const uint64_t first = index * piece;
    const uint64_t end = std::min(first + piece, items_.num_blocks());
    for (const RankQuery& query : queries) {
      ScorePiece(query, first, end, workspaces_[thread]);
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
