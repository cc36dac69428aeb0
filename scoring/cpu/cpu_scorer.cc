#include "scoring/cpu/cpu_scorer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "scoring/cpu/block_kernel.h"
#include "scoring/cpu/catalog_scan.h"
#include "scoring/cpu/packed_items.h"
#include "scoring/cpu/packed_network.h"
#include "scoring/cpu/workspace.h"
#include "scoring/eligibility.h"
#include "scoring/item_rows_progress.h"

namespace neumf {
namespace {

// A piece stays in the second-level cache, with room for a user's vectors and
// the weights.
constexpr size_t kPieceBytes = 256 << 10;
// With fewer pieces than this a thread would wait for the last one too long.
constexpr size_t kMinPiecesPerThread = 4;

uint64_t PieceBlocks(const PackedItems& items, size_t num_threads) {
  const uint64_t in_cache =
      kPieceBytes / (items.block_floats() * sizeof(float));
  const uint64_t to_share =
      items.num_blocks() / (kMinPiecesPerThread * num_threads);
  return std::max<uint64_t>(
      num_threads == 1 ? in_cache : std::min(in_cache, to_share), 1);
}

class CpuScorer : public Scorer {
 public:
  // `network` and `items` are taken over.
  CpuScorer(const ModelShape& shape, std::unique_ptr<PackedNetwork> network,
            PackedItems items, const BlockKernel& kernel, size_t num_threads)
      : shape_(shape),
        network_(std::move(network)),
        items_(std::move(items)),
        scan_(kernel, network_->view(), items_, shape.num_items),
        name_(absl::StrCat("cpu (", kernel.target, ")")),
        piece_blocks_(PieceBlocks(items_, num_threads)),
        workspaces_(network_->view(), num_threads) {
    if (num_threads > 1) {
      threads_ = std::make_unique<ThreadPool>(num_threads, "neumf-score");
    }
  }

  absl::Status Rank(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings) const override {
    NEUMF_CHECK(rankings.size() == queries.size());
    for (const RankQuery& query : queries) CheckQuery(query, shape_);

    std::unique_ptr<Workspace> workspace = workspaces_.Take(queries.size());
    Reset(queries, *workspace);
    Scan(queries, *workspace);
    for (size_t b = 0; b < queries.size(); ++b) {
      Collect(queries[b], b, *workspace, rankings[b]);
    }
    workspaces_.GiveBack(std::move(workspace));
    return absl::OkStatus();
  }

  const ModelShape& shape() const override { return shape_; }
  uint64_t resident_bytes() const override {
    return items_.resident_bytes() + network_->resident_bytes();
  }
  const char* name() const override { return name_.c_str(); }

 private:
  void Reset(absl::Span<const RankQuery> queries, Workspace& workspace) const {
    for (ThreadWorkspace& thread : workspace) {
      for (size_t b = 0; b < queries.size(); ++b) {
        thread.selections[b].top.Reset(queries[b], shape_.num_items);
        thread.selections[b].cancelled = false;
      }
    }
  }

  // Everything that is scored: each piece of the catalog for all queries that
  // scan it, then each short list.
  void Scan(absl::Span<const RankQuery> queries, Workspace& workspace) const {
    const size_t num_pieces =
        (items_.num_blocks() + piece_blocks_ - 1) / piece_blocks_;
    const auto run = [&](size_t index, size_t thread) {
      if (index < num_pieces) {
        ScanPiece(queries, index, workspace[thread]);
      } else {
        ScanList(queries, index - num_pieces, workspace[thread]);
      }
    };
    const size_t count = num_pieces + queries.size();
    if (threads_ != nullptr) return threads_->ParallelFor(count, run);
    for (size_t index = 0; index < count; ++index) run(index, 0);
  }

  void ScanPiece(absl::Span<const RankQuery> queries, size_t piece,
                 ThreadWorkspace& thread) const {
    const uint64_t first = piece * piece_blocks_;
    const uint64_t end = std::min(first + piece_blocks_, items_.num_blocks());
    for (size_t b = 0; b < queries.size(); ++b) {
      if (queries[b].k == 0 || queries[b].allow_rows) continue;
      scan_.ScanBlocks(queries[b], first, end, b, thread);
    }
  }

  void ScanList(absl::Span<const RankQuery> queries, size_t b,
                ThreadWorkspace& thread) const {
    if (queries[b].k == 0 || !queries[b].allow_rows) return;
    scan_.ScanRows(queries[b], *queries[b].allow_rows, b, thread);
  }

  void Collect(const RankQuery& query, size_t b, Workspace& workspace,
               Ranking& ranking) const {
    ThreadWorkspace::Selection& all = workspace.front().selections[b];
    for (size_t t = 1; t < workspace.size(); ++t) {
      const ThreadWorkspace::Selection& other = workspace[t].selections[b];
      all.top.Merge(other.top);
      all.cancelled = all.cancelled || other.cancelled;
    }
    ranking.cancelled = all.cancelled;
    all.top.Finish(&ranking.items);
    ranking.eligible_count = CountEligible(query, shape_.num_items);
  }

  const ModelShape shape_;
  const std::unique_ptr<const PackedNetwork> network_;
  const PackedItems items_;
  const CatalogScan scan_;
  const std::string name_;
  const uint64_t piece_blocks_;  // blocks of the catalog in one piece of work
  std::unique_ptr<ThreadPool> threads_;  // null: the caller works alone
  mutable WorkspaceList workspaces_;
};

class CpuScorerBuilder : public ScorerBuilder {
 public:
  CpuScorerBuilder(const ModelShape& shape, const ScoreNetwork& network,
                   const BlockKernel& kernel, size_t num_threads)
      : shape_(shape),
        kernel_(kernel),
        num_threads_(num_threads),
        progress_(shape),
        network_(std::make_unique<PackedNetwork>(shape, network)),
        items_(shape) {}

  absl::Status Add(const ItemRows& rows) override {
    NEUMF_RETURN_IF_ERROR(progress_.Advance(rows));
    items_.Store(rows);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Scorer>> Build() override {
    NEUMF_RETURN_IF_ERROR(progress_.CheckComplete());
    return std::make_unique<CpuScorer>(
        shape_, std::move(network_), std::move(items_), kernel_, num_threads_);
  }

 private:
  const ModelShape shape_;
  const BlockKernel& kernel_;
  const size_t num_threads_;
  ItemRowsProgress progress_;
  std::unique_ptr<PackedNetwork> network_;
  PackedItems items_;
};

}  // namespace

std::unique_ptr<ScorerBuilder> MaybeMakeCpuScorerBuilder(
    const ModelShape& shape, const ScoreNetwork& network,
    const ScorerOptions& options) {
  const BlockKernel* const kernel = FindBlockKernel();
  if (kernel == nullptr) return nullptr;
  return std::make_unique<CpuScorerBuilder>(
      shape, network, *kernel, std::max<size_t>(options.num_threads, 1));
}

}  // namespace neumf
