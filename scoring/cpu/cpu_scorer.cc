#include "scoring/cpu/cpu_scorer.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "scoring/cpu/block_kernel.h"
#include "scoring/cpu/catalog_scan.h"
#include "scoring/cpu/division.h"
#include "scoring/cpu/first_pass.h"
#include "scoring/cpu/packed_items.h"
#include "scoring/cpu/packed_network.h"
#include "scoring/cpu/workspace.h"
#include "scoring/eligibility.h"
#include "scoring/item_rows_progress.h"

namespace neumf {
namespace {

// Costs are counted in multiply-adds, of which a core does some 60 in a
// nanosecond; what follows is measured, and good to a factor of two.

// To merge and sort a result.
constexpr uint64_t kResultCost = 1500;
// To prepare the first pass of a user, over the network for one item.
constexpr uint64_t kPreparationCost = 400;
// How many times faster than the kernel the first pass is, roughly.
constexpr uint64_t kFirstPassSpeed = 3;

// Multiply-adds of one pair.
uint64_t MacsPerItem(const KernelNetwork& network) {
  uint64_t macs = network.gmf_width + network.head_width;
  for (size_t l = 0; l < network.num_layers; ++l) {
    macs += network.layers[l].in * network.layers[l].out;
  }
  return macs;
}

// A query that goes through the catalog from the first item to the last.
bool ScansCatalog(const RankQuery& query) {
  return query.k > 0 && !query.allow_rows;
}

// What the threads' first passes left of query `b`; false when it is too much.
bool MergeSurvivors(size_t b, std::vector<ThreadWorkspace>& threads,
                    std::vector<uint32_t>* left) {
  Survivors& all = threads.front().selections[b].survivors;
  for (size_t t = 1; t < threads.size(); ++t) {
    all.Merge(threads[t].selections[b].survivors);
  }
  return all.Finish(left);
}

class CpuScorer : public Scorer {
 public:
  // All but `kernel` is taken over. `first_pass` may be null, and so may
  // `threads`: then the caller works alone.
  CpuScorer(const ModelShape& shape, std::unique_ptr<PackedNetwork> network,
            PackedItems items, std::unique_ptr<const FirstPass> first_pass,
            const BlockKernel& kernel, std::unique_ptr<ThreadPool> threads,
            const ScorerOptions& options)
      : shape_(shape),
        options_(options),
        kernel_(kernel),
        network_(std::move(network)),
        items_(std::move(items)),
        first_pass_(std::move(first_pass)),
        scan_(kernel, network_->view(), items_, shape.num_items,
              first_pass_.get()),
        name_(absl::StrCat("cpu (", kernel.target,
                           first_pass_ ? ", int8 first pass)" : ")")),
        threads_(std::move(threads)),
        macs_per_item_(MacsPerItem(network_->view())),
        workspaces_(network_->view(), num_threads()) {}

  absl::Status Rank(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings) const override {
    NEUMF_CHECK(rankings.size() == queries.size());
    for (const RankQuery& query : queries) CheckQuery(query, shape_);

    std::unique_ptr<Workspace> workspace = workspaces_.Take(queries.size());
    Reset(queries, workspace->threads);
    Plan(queries, &workspace->plan);
    BeginFirstPass(queries, *workspace);
    Scan(queries, queries.size(), *workspace);
    for (size_t b = 0; b < queries.size(); ++b) rankings[b].rescored_count = 0;
    EndFirstPass(queries, rankings, *workspace);
    const auto collect = [&](size_t b, size_t) {
      Collect(queries[b], b, workspace->threads, rankings[b]);
    };
    Run(queries.size(), MacsOfResults(queries), collect);
    workspaces_.GiveBack(std::move(workspace));
    return absl::OkStatus();
  }

  const ModelShape& shape() const override { return shape_; }
  uint64_t resident_bytes() const override {
    return items_.resident_bytes() + network_->resident_bytes() +
           (first_pass_ ? first_pass_->resident_bytes() : 0);
  }
  const char* name() const override { return name_.c_str(); }

 private:
  void Reset(absl::Span<const RankQuery> queries,
             std::vector<ThreadWorkspace>& threads) const {
    for (ThreadWorkspace& thread : threads) {
      for (size_t b = 0; b < queries.size(); ++b) {
        ThreadWorkspace::Selection& selection = thread.selections[b];
        selection.top.Reset(queries[b].k, shape_.num_items);
        selection.removed = RemovedRows(queries[b]);
        selection.cancelled = false;
      }
    }
  }

  // Without a tower, users scan together.
  void Plan(absl::Span<const RankQuery> queries, ScanPlan* plan) const {
    plan->alone.clear();
    plan->num_groups = 0;
    plan->num_coarse = 0;
    std::array<size_t, DotUsers::kMax> together;
    size_t num_together = 0;
    for (size_t b = 0; b < queries.size(); ++b) {
      if (!ScansCatalog(queries[b])) continue;
      if (first_pass_ != nullptr && first_pass_->PaysFor(queries[b]) &&
          balance_.IsPositive()) {
        AddCoarse(b, plan);
        continue;
      }
      if (shape_.has_tower()) {
        plan->alone.push_back(b);
        continue;
      }
      together[num_together++] = b;
      if (num_together == together.size()) {
        AddGroup(queries, together, plan);
        num_together = 0;
      }
    }
    if (num_together == 1) {
      plan->alone.push_back(together[0]);
    } else if (num_together > 1) {
      AddGroup(queries, absl::MakeSpan(together).first(num_together), plan);
    }
  }

  void AddGroup(absl::Span<const RankQuery> queries,
                absl::Span<const size_t> users, ScanPlan* plan) const {
    if (plan->num_groups == plan->groups.size()) {
      plan->groups.emplace_back(network_->view(), kernel_.widths);
    }
    plan->groups[plan->num_groups++].Reset(queries, users);
  }

  void AddCoarse(size_t b, ScanPlan* plan) const {
    if (plan->num_coarse == plan->coarse.size()) {
      plan->coarse.push_back(
          {CoarseUser(first_pass_->network(), first_pass_->items().ranges())});
    }
    plan->coarse[plan->num_coarse++].query = b;
  }

  size_t num_threads() const {
    return threads_ == nullptr ? 1 : threads_->num_threads();
  }

  // Calls body(index, thread) for each index below `count`: on all threads, but
  // for work of fewer multiply-adds than it takes to wake them.
  template <typename Body>
  void Run(size_t count, uint64_t macs, const Body& body) const {
    if (threads_ != nullptr && count > 1 && macs >= options_.min_shared_macs) {
      return threads_->ParallelFor(count, body);
    }
    for (size_t index = 0; index < count; ++index) body(index, 0);
  }

  // What the scans of a plan cost, in multiply-adds of the kernel.
  uint64_t MacsOf(const ScanPlan& plan) const {
    const uint64_t macs = shape_.num_items * macs_per_item_;
    return macs * (plan.alone.size() + plan.num_groups * DotUsers::kMax) +
           macs * plan.num_coarse / kFirstPassSpeed;
  }

  uint64_t MacsOfResults(absl::Span<const RankQuery> queries) const {
    uint64_t num_results = 0;
    for (const RankQuery& query : queries) {
      num_results += std::min<uint64_t>(query.k, shape_.num_items);
    }
    return num_results * kResultCost;
  }

  // Users without a bound scan alone, in float32.
  void BeginFirstPass(absl::Span<const RankQuery> queries,
                      Workspace& workspace) const {
    ScanPlan& plan = workspace.plan;
    const auto prepare = [&](size_t i, size_t) {
      CoarseQuery& coarse = plan.coarse[i];
      coarse.is_bounded = coarse.user.Prepare(queries[coarse.query]);
    };
    Run(plan.num_coarse, plan.num_coarse * macs_per_item_ * kPreparationCost,
        prepare);
    for (size_t i = 0; i < plan.num_coarse; ++i) {
      const CoarseQuery& coarse = plan.coarse[i];
      const RankQuery& query = queries[coarse.query];
      if (!coarse.is_bounded) plan.alone.push_back(coarse.query);
      for (ThreadWorkspace& thread : workspace.threads) {
        thread.selections[coarse.query].survivors.Reset(
            query.k, 2 * coarse.user.error(), first_pass_->MaxSurvivors(query));
      }
    }
  }

  // Scores what the first pass left, or the catalog where that is too much.
  void EndFirstPass(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings, Workspace& workspace) const {
    ScanPlan& plan = workspace.plan;
    if (plan.num_coarse == 0) return;
    plan.alone.clear();
    plan.num_groups = 0;
    const auto merge = [&](size_t i, size_t) {
      CoarseQuery& coarse = plan.coarse[i];
      coarse.left.clear();
      coarse.has_paid =
          coarse.is_bounded &&
          MergeSurvivors(coarse.query, workspace.threads, &coarse.left);
    };
    Run(plan.num_coarse, MacsOfResults(queries), merge);
    for (size_t i = 0; i < plan.num_coarse; ++i) {
      const CoarseQuery& coarse = plan.coarse[i];
      rankings[coarse.query].rescored_count =
          coarse.has_paid ? coarse.left.size() : shape_.num_items;
      if (!coarse.is_bounded) continue;  // has been scanned in float32
      balance_.Add(coarse.has_paid);
      if (!coarse.has_paid) plan.alone.push_back(coarse.query);
    }
    Rescore(queries, workspace);
    plan.num_coarse = 0;
    if (!plan.alone.empty()) Scan(queries, 0, workspace);
  }

  // The rows that are left, a part of each query's a thread.
  void Rescore(absl::Span<const RankQuery> queries,
               Workspace& workspace) const {
    const size_t num_parts = num_threads();
    uint64_t num_rows = 0;
    for (size_t i = 0; i < workspace.plan.num_coarse; ++i) {
      num_rows += workspace.plan.coarse[i].left.size();
    }
    const auto rescore = [&](size_t i, size_t thread) {
      const CoarseQuery& coarse = workspace.plan.coarse[i / num_parts];
      const size_t count = coarse.left.size();
      const size_t first = count * (i % num_parts) / num_parts;
      const size_t end = count * (i % num_parts + 1) / num_parts;
      scan_.ScanRows(
          queries[coarse.query],
          absl::MakeConstSpan(coarse.left).subspan(first, end - first),
          coarse.query, workspace.threads[thread]);
    };
    Run(workspace.plan.num_coarse * num_parts, num_rows * macs_per_item_,
        rescore);
  }

  // The catalog for all queries that scan it, then the short lists of the first
  // `num_lists` queries.
  void Scan(absl::Span<const RankQuery> queries, size_t num_lists,
            Workspace& workspace) const {
    const ScanPlan& plan = workspace.plan;
    const Division division = Divide(
        items_.num_blocks(), items_.block_floats(),
        plan.num_groups + plan.num_coarse + plan.alone.size(), num_threads());
    const size_t num_shares = division.num_pieces * division.num_parts;
    const auto scan = [&](size_t index, size_t thread) {
      if (index < num_shares) {
        ScanShare(queries, division, index, plan, workspace.threads[thread]);
      } else {
        ScanList(queries, index - num_shares, workspace.threads[thread]);
      }
    };
    uint64_t num_listed = 0;
    for (const RankQuery& query : queries.first(num_lists)) {
      if (query.allow_rows) num_listed += query.allow_rows->size();
    }
    Run(num_shares + num_lists, MacsOf(plan) + num_listed * macs_per_item_,
        scan);
  }

  void ScanShare(absl::Span<const RankQuery> queries, const Division& division,
                 size_t share, const ScanPlan& plan,
                 ThreadWorkspace& thread) const {
    const uint64_t first = share / division.num_parts * division.piece_blocks;
    const uint64_t end =
        std::min(first + division.piece_blocks, items_.num_blocks());
    const size_t part = share % division.num_parts;
    for (size_t g = part; g < plan.num_groups; g += division.num_parts) {
      scan_.ScanDots(queries, plan.groups[g], first, end, thread);
    }
    for (size_t i = part; i < plan.num_coarse; i += division.num_parts) {
      const CoarseQuery& coarse = plan.coarse[i];
      if (!coarse.is_bounded) continue;
      scan_.ScanCoarse(queries[coarse.query], coarse.user, first, end,
                       coarse.query, thread);
    }
    for (size_t i = part; i < plan.alone.size(); i += division.num_parts) {
      const size_t b = plan.alone[i];
      scan_.ScanBlocks(queries[b], first, end, b, thread);
    }
  }

  void ScanList(absl::Span<const RankQuery> queries, size_t b,
                ThreadWorkspace& thread) const {
    if (queries[b].k == 0 || !queries[b].allow_rows) return;
    scan_.ScanRows(queries[b], *queries[b].allow_rows, b, thread);
  }

  void Collect(const RankQuery& query, size_t b,
               std::vector<ThreadWorkspace>& threads, Ranking& ranking) const {
    ThreadWorkspace::Selection& all = threads.front().selections[b];
    for (size_t t = 1; t < threads.size(); ++t) {
      const ThreadWorkspace::Selection& other = threads[t].selections[b];
      all.top.Merge(other.top);
      all.cancelled = all.cancelled || other.cancelled;
    }
    ranking.cancelled = all.cancelled;
    all.top.Finish(&ranking.items);
    ranking.eligible_count = CountEligible(query, shape_.num_items);
  }

  const ModelShape shape_;
  const ScorerOptions options_;
  const BlockKernel& kernel_;
  const std::unique_ptr<const PackedNetwork> network_;
  const PackedItems items_;
  const std::unique_ptr<const FirstPass> first_pass_;  // may be null
  const CatalogScan scan_;
  const std::string name_;
  const std::unique_ptr<ThreadPool> threads_;  // null: the caller works alone
  const uint64_t macs_per_item_;
  mutable FirstPassBalance balance_;
  mutable WorkspaceList workspaces_;
};

class CpuScorerBuilder : public ScorerBuilder {
 public:
  CpuScorerBuilder(const ModelShape& shape, const ScoreNetwork& network,
                   const BlockKernel& kernel, const ScorerOptions& options)
      : shape_(shape),
        network_(network),
        kernel_(kernel),
        options_(options),
        progress_(shape),
        packed_network_(
            std::make_unique<PackedNetwork>(shape, network, kernel.widths)),
        items_(shape) {
    if (options_.num_threads > 1) {
      threads_ =
          std::make_unique<ThreadPool>(options_.num_threads, "neumf-score");
    }
  }

  absl::Status Add(const ItemRows& rows) override {
    NEUMF_RETURN_IF_ERROR(progress_.Advance(rows));
    items_.Store(rows);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Scorer>> Build() override {
    NEUMF_RETURN_IF_ERROR(progress_.CheckComplete());
    auto first_pass =
        FirstPass::MaybeMake(shape_, network_, items_, options_.first_pass,
                             options_.build_alone ? nullptr : threads_.get());
    return std::make_unique<CpuScorer>(shape_, std::move(packed_network_),
                                       std::move(items_), std::move(first_pass),
                                       kernel_, std::move(threads_), options_);
  }

 private:
  const ModelShape shape_;
  const ScoreNetwork network_;
  const BlockKernel& kernel_;
  const ScorerOptions options_;
  ItemRowsProgress progress_;
  std::unique_ptr<PackedNetwork> packed_network_;
  PackedItems items_;
  // Of the scorer: they have the priority of whoever makes the builder.
  std::unique_ptr<ThreadPool> threads_;
};

}  // namespace

std::unique_ptr<ScorerBuilder> MaybeMakeCpuScorerBuilder(
    const ModelShape& shape, const ScoreNetwork& network,
    const ScorerOptions& options) {
  const BlockKernel* const kernel = FindBlockKernel();
  if (kernel == nullptr) return nullptr;
  return std::make_unique<CpuScorerBuilder>(shape, network, *kernel, options);
}

std::optional<ScorerMemory> PredictCpuScorerMemory(
    const ModelShape& shape, const ScoreNetwork& network,
    const ScorerOptions& options) {
  const BlockKernel* const kernel = FindBlockKernel();
  if (kernel == nullptr) return std::nullopt;
  ScorerMemory memory;
  memory.kept_bytes = PackedItems::MappedBytes(shape) +
                      PackedNetwork::MappedBytes(network, kernel->widths);
  if (FirstPass::Applies(shape, network, options.first_pass)) {
    memory.kept_bytes += FirstPass::MappedBytes(shape, network);
    memory.making_bytes = FirstPass::MakingBytes(shape);
    memory.user_bytes = FirstPass::UserBytes(shape, options.num_threads);
  }
  memory.making_bytes += HostBytes(network);  // of the builder's copy
  return memory;
}

}  // namespace neumf
