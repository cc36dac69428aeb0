#include "scoring/cpu/first_pass.h"

#include <algorithm>
#include <utility>

namespace neumf {
namespace {

// Survivors are gathered one by one, a cache line each column: from an eighth of
// the catalog on, a scan of everything is as quick.
constexpr uint64_t kMaxSurvivorsShare = 8;
// Of small catalogs that lie in the cache more can be taken.
constexpr uint64_t kMaxSurvivorsTimesK = 4;

uint64_t MacsOfLayers(const ScoreNetwork& network) {
  uint64_t macs = 0;
  for (const DenseLayer& layer : network.layers) macs += layer.weight.size();
  return macs;
}

// A pass that was in vain has cost about as much as one that was not has saved.
// Where those in vain lead, hundreds of queries go without before another one
// pays for a trial.
constexpr int kMaxBalance = 16;
constexpr int kPausedQueries = 256;

}  // namespace

bool FirstPassBalance::IsPositive() {
  if (balance_.load(std::memory_order_relaxed) >= 0) return true;
  balance_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void FirstPassBalance::Add(bool has_paid) {
  const int balance = balance_.load(std::memory_order_relaxed);
  const int next = has_paid       ? std::min(balance + 1, kMaxBalance)
                   : balance == 0 ? -kPausedQueries
                                  : balance - 1;
  balance_.store(next, std::memory_order_relaxed);
}

bool FirstPass::Applies(const ModelShape& shape, const ScoreNetwork& network,
                        const FirstPassOptions& options) {
  return FindCoarseKernel() != nullptr && options.enabled &&
         !network.layers.empty() && network.activation == Activation::kRelu &&
         shape.num_items >= options.min_items &&
         shape.num_items * MacsOfLayers(network) >= options.min_catalog_macs;
}

std::unique_ptr<const FirstPass> FirstPass::MaybeMake(
    const ModelShape& shape, const ScoreNetwork& network,
    const PackedItems& items, const FirstPassOptions& options,
    ThreadPool* threads) {
  if (!Applies(shape, network, options)) return nullptr;
  CoarseItems coarse(shape, items, threads);
  if (!coarse.ranges().finite) return nullptr;
  return std::unique_ptr<const FirstPass>(new FirstPass(
      shape, network, std::move(coarse), options, *FindCoarseKernel()));
}

FirstPass::FirstPass(const ModelShape& shape, const ScoreNetwork& network,
                     CoarseItems items, const FirstPassOptions& options,
                     const CoarseKernel& kernel)
    : num_items_(shape.num_items),
      options_(options),
      kernel_(kernel),
      items_(std::move(items)),
      network_(shape, network) {}

uint64_t FirstPass::UserBytes(const ModelShape& shape, uint64_t num_threads) {
  const uint64_t found = std::min(
      shape.num_items / kMaxSurvivorsShare * num_threads, shape.num_items);
  return 2 * found * sizeof(uint64_t);  // a vector that grows doubles its room
}

bool FirstPass::PaysFor(const RankQuery& query) const {
  return query.k * options_.min_items_per_result <= num_items_;
}

uint64_t FirstPass::MaxSurvivors(const RankQuery& query) const {
  return std::max<uint64_t>(num_items_ / kMaxSurvivorsShare,
                            kMaxSurvivorsTimesK * query.k);
}

}  // namespace neumf
