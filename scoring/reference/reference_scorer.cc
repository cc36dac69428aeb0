#include "scoring/reference/reference_scorer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/logging.h"
#include "base/status_macros.h"
#include "scoring/activation.h"
#include "scoring/eligibility.h"
#include "scoring/item_rows_progress.h"

namespace neumf {
namespace {

bool IsIn(absl::Span<const uint32_t> ascending_rows, uint32_t row) {
  return std::binary_search(ascending_rows.begin(), ascending_rows.end(), row);
}

bool IsEligible(const RankQuery& query, uint32_t row) {
  return !IsIn(query.seen, row) && !IsIn(query.excluded, row) &&
         (query.allow_mask == nullptr || query.allow_mask->allows(row)) &&
         (!query.allow_rows || IsIn(*query.allow_rows, row));
}

std::vector<float> FirstLayer(Activation activation, const float* user,
                              absl::Span<const float> item) {
  std::vector<float> h(item.size());
  for (size_t k = 0; k < h.size(); ++k) h[k] = user[k] + item[k];
  Activate(activation, h.data(), h.size());
  return h;
}

std::vector<float> NextLayer(Activation activation, const DenseLayer& layer,
                             const std::vector<float>& in) {
  std::vector<float> out(layer.bias);
  for (size_t o = 0; o < layer.out; ++o) {
    for (size_t k = 0; k < layer.in; ++k) {
      out[o] = std::fma(layer.weight[o * layer.in + k], in[k], out[o]);
    }
  }
  Activate(activation, out.data(), out.size());
  return out;
}

class ReferenceScorer : public Scorer {
 public:
  ReferenceScorer(const ModelShape& shape, const ScoreNetwork& network,
                  ItemTables items)
      : shape_(shape), network_(network), items_(std::move(items)) {}

  absl::Status Rank(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings) const override {
    NEUMF_CHECK(rankings.size() == queries.size());
    for (size_t b = 0; b < queries.size(); ++b) {
      CheckQuery(queries[b], shape_);
      RankOne(queries[b], rankings[b]);
    }
    return absl::OkStatus();
  }

  const ModelShape& shape() const override { return shape_; }
  uint64_t resident_bytes() const override {
    return (items_.gmf.size() + items_.tower.size() + items_.bias.size()) *
           sizeof(float);
  }
  const char* name() const override { return "reference"; }

 private:
  void RankOne(const RankQuery& query, Ranking& ranking) const {
    ranking.items.clear();
    ranking.eligible_count = 0;
    for (uint32_t row = 0; row < shape_.num_items; ++row) {
      ranking.cancelled = IsCancelled(query);
      if (ranking.cancelled) return;
      if (!IsEligible(query, row)) continue;
      ++ranking.eligible_count;
      const float score = Score(query, row);
      // A NaN has no place in an order. No model that was checked gives one.
      if (!std::isnan(score)) ranking.items.push_back({score, row});
    }
    std::sort(ranking.items.begin(), ranking.items.end());
    if (query.k < ranking.items.size()) ranking.items.resize(query.k);
  }

  float Score(const RankQuery& query, uint64_t row) const {
    float score = network_.head_bias;
    for (uint32_t k = 0; k < shape_.gmf_width; ++k) {
      score = std::fma(query.user_gmf[k], items_.gmf.row(row)[k], score);
    }
    if (shape_.has_tower()) {
      const std::vector<float> h = TowerOutput(query, row);
      for (size_t k = 0; k < h.size(); ++k) {
        score = std::fma(network_.head_weight[k], h[k], score);
      }
    }
    if (shape_.has_item_bias) score += items_.bias[row];
    return score + 0.0F;
  }

  std::vector<float> TowerOutput(const RankQuery& query, uint64_t row) const {
    std::vector<float> h = FirstLayer(network_.activation, query.user_tower,
                                      items_.tower.row(row));
    for (const DenseLayer& layer : network_.layers) {
      h = NextLayer(network_.activation, layer, h);
    }
    return h;
  }

  const ModelShape shape_;
  const ScoreNetwork network_;
  const ItemTables items_;
};

class ReferenceScorerBuilder : public ScorerBuilder {
 public:
  ReferenceScorerBuilder(const ModelShape& shape, const ScoreNetwork& network)
      : shape_(shape),
        network_(network),
        progress_(shape),
        items_(MakeItemTables(shape)) {}

  absl::Status Add(const ItemRows& rows) override {
    NEUMF_RETURN_IF_ERROR(progress_.Advance(rows));
    StoreItemRows(rows, items_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Scorer>> Build() override {
    NEUMF_RETURN_IF_ERROR(progress_.CheckComplete());
    return std::make_unique<ReferenceScorer>(shape_, network_,
                                             std::move(items_));
  }

 private:
  const ModelShape shape_;
  const ScoreNetwork network_;
  ItemRowsProgress progress_;
  ItemTables items_;
};

}  // namespace

std::unique_ptr<ScorerBuilder> MakeReferenceScorerBuilder(
    const ModelShape& shape, const ScoreNetwork& network) {
  return std::make_unique<ReferenceScorerBuilder>(shape, network);
}

ScorerMemory PredictReferenceScorerMemory(const ModelShape& shape,
                                          const ScoreNetwork& network) {
  ScorerMemory memory;
  memory.kept_bytes =
      MappedBytes(shape.num_items * shape.gmf_width, sizeof(float)) +
      MappedBytes(shape.num_items * shape.tower_width(), sizeof(float)) +
      HostBytes(network);
  if (shape.has_item_bias) memory.kept_bytes += shape.num_items * sizeof(float);
  memory.making_bytes = HostBytes(network);  // of the builder's copy
  return memory;
}

}  // namespace neumf
