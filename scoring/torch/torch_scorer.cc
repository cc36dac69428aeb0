#include "scoring/torch/torch_scorer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "scoring/eligibility.h"
#include "scoring/item_rows_progress.h"

namespace neumf {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// The one place where LibTorch's exceptions end.
absl::Status Fenced(absl::FunctionRef<void()> body) {
  try {
    const c10::InferenceMode inference;
    body();
    return absl::OkStatus();
  } catch (const c10::Error& error) {
    return absl::UnavailableError(
        absl::StrCat("LibTorch: ", error.what_without_backtrace()));
  }
}

// A tensor over memory of ours, which must outlive it. LibTorch has no tensors
// of const values; none of these is written to.
at::Tensor View(const float* values, at::IntArrayRef sizes) {
  return at::from_blob(const_cast<float*>(values), sizes, at::kFloat);
}

at::Tensor RowIndices(absl::Span<const uint32_t> rows) {
  const at::Tensor indices =
      at::empty({static_cast<int64_t>(rows.size())}, at::kLong);
  std::copy(rows.begin(), rows.end(), indices.data_ptr<int64_t>());
  return indices;
}

at::Tensor& Activate(Activation activation, at::Tensor& values) {
  switch (activation) {
    case Activation::kTanh:
      return values.tanh_();
    case Activation::kSigmoid:
      return values.sigmoid_();
    case Activation::kRelu:
      break;
  }
  return values.relu_();
}

struct Layer {
  at::Tensor weight;  // [in, out]
  at::Tensor bias;    // [out]
};

Layer MakeLayer(const DenseLayer& layer) {
  return {View(layer.weight.data(), {layer.out, layer.in})
              .t()
              .clone(at::MemoryFormat::Contiguous),
          View(layer.bias.data(), {layer.out}).clone()};
}

// The layers of kEager that the fold took away.
struct EagerLayers {
  Layer first;       // [2 H, H]: [I I]
  at::Tensor last;   // [G + HL, 1]: ones for the products, then the head
  at::Tensor bias;   // [1]
  at::Tensor items;  // [I]: 0, 1, ...
};

// The user vectors of a batch, [B, width].
at::Tensor Gather(absl::Span<const RankQuery> queries,
                  const float* RankQuery::*vector, int64_t width) {
  const auto num_users = static_cast<int64_t>(queries.size());
  const at::Tensor users = at::empty({num_users, width}, at::kFloat);
  float* to = users.data_ptr<float>();
  for (const RankQuery& query : queries) {
    to = std::copy_n(query.*vector, width, to);
  }
  return users;
}

class TorchScorer : public Scorer {
 public:
  TorchScorer(const ModelShape& shape, const ScoreNetwork& network,
              ItemTables items, const TorchScorerOptions& options)
      : shape_(shape),
        form_(options.form),
        activation_(network.activation),
        head_bias_(network.head_bias),
        pairs_per_step_(static_cast<int64_t>(options.pairs_per_step)),
        num_items_(static_cast<int64_t>(shape.num_items)),
        memory_(std::move(items)) {
    gmf_ = View(memory_.gmf.data(), {num_items_, shape.gmf_width});
    tower_ = View(memory_.tower.data(), {num_items_, shape.tower_width()});
    if (shape.has_item_bias) bias_ = View(memory_.bias.data(), {num_items_});
    if (form_ == TorchForm::kEager) eager_ = MakeEagerLayers(network);
    if (!shape.has_tower()) return;
    for (const DenseLayer& layer : network.layers) {
      layers_.push_back(MakeLayer(layer));
    }
    head_ =
        View(network.head_weight.data(), {shape.tower_widths.back()}).clone();
  }

  absl::Status Rank(absl::Span<const RankQuery> queries,
                    absl::Span<Ranking> rankings) const override {
    NEUMF_CHECK(rankings.size() == queries.size());
    for (const RankQuery& query : queries) CheckQuery(query, shape_);
    if (queries.empty()) return absl::OkStatus();
    return Fenced([&] {
      const at::Tensor scores = ScoreAll(queries);
      for (size_t b = 0; b < queries.size(); ++b) {
        Select(queries[b], scores[static_cast<int64_t>(b)], rankings[b]);
      }
    });
  }

  const ModelShape& shape() const override { return shape_; }
  uint64_t resident_bytes() const override {
    return (memory_.gmf.size() + memory_.tower.size() + memory_.bias.size()) *
           sizeof(float);
  }
  const char* name() const override {
    return form_ == TorchForm::kSplit ? "torch (split)" : "torch (eager)";
  }

 private:
  // Of a batch; undefined where the model has no such part.
  struct Users {
    at::Tensor gmf;    // [B, G]
    at::Tensor tower;  // [B, H]
    int64_t count = 0;
  };

  // [B, I]
  at::Tensor ScoreAll(absl::Span<const RankQuery> queries) const {
    Users users;
    users.count = static_cast<int64_t>(queries.size());
    if (shape_.gmf_width > 0) {
      users.gmf = Gather(queries, &RankQuery::user_gmf, shape_.gmf_width);
    }
    if (shape_.has_tower()) {
      users.tower =
          Gather(queries, &RankQuery::user_tower, shape_.tower_width());
    }
    return form_ == TorchForm::kEager ? EagerScores(users) : SplitScores(users);
  }

  EagerLayers MakeEagerLayers(const ScoreNetwork& network) const {
    const int64_t width = shape_.tower_width();
    const at::Tensor identity = at::eye(width);
    const auto head_width = static_cast<int64_t>(network.head_weight.size());
    EagerLayers layers;
    layers.first = {at::cat({identity, identity}), at::zeros({width})};
    layers.last = at::cat({at::ones({int64_t{shape_.gmf_width}}),
                           View(network.head_weight.data(), {head_width})})
                      .unsqueeze(1);
    layers.bias = at::full({1}, network.head_bias);
    layers.items = at::arange(num_items_);
    return layers;
  }

  // [B, I]
  at::Tensor EagerScores(const Users& users) const {
    std::vector<at::Tensor> scores;
    for (int64_t b = 0; b < users.count; ++b) {
      const at::Tensor user = at::full({num_items_}, b, at::kLong);
      scores.push_back(EagerForward(users, user, eager_.items).view({-1}));
      if (bias_.defined()) scores.back().add_(bias_);
    }
    return at::stack(scores);
  }

  // [pairs, 1] for pairs of rows.
  at::Tensor EagerForward(const Users& users, const at::Tensor& user,
                          const at::Tensor& item) const {
    std::vector<at::Tensor> joined;
    if (users.gmf.defined()) {
      joined.push_back(
          at::mul(at::embedding(users.gmf, user), at::embedding(gmf_, item)));
    }
    if (users.tower.defined()) {
      at::Tensor h = at::cat(
          {at::embedding(users.tower, user), at::embedding(tower_, item)}, 1);
      h = at::addmm(eager_.first.bias, h, eager_.first.weight);
      Activate(activation_, h);
      joined.push_back(Layers(h));
    }
    return at::addmm(eager_.bias, at::cat(joined, 1), eager_.last);
  }

  // [B, I]
  at::Tensor SplitScores(const Users& users) const {
    const int64_t step =
        pairs_per_step_ == 0
            ? num_items_
            : std::max<int64_t>(pairs_per_step_ / users.count, 1);
    if (step >= num_items_) return Score(users, 0, num_items_);
    at::Tensor scores = at::empty({users.count, num_items_}, at::kFloat);
    for (int64_t first = 0; first < num_items_; first += step) {
      const int64_t count = std::min(step, num_items_ - first);
      scores.narrow(1, first, count).copy_(Score(users, first, count));
    }
    return scores;
  }

  // [B, count]: the scores of `count` items from `first` on.
  at::Tensor Score(const Users& users, int64_t first, int64_t count) const {
    at::Tensor scores;
    if (users.tower.defined()) {
      const at::Tensor h = Tower(users, tower_.narrow(0, first, count));
      scores = at::mv(h, head_).view({users.count, count});
    }
    if (users.gmf.defined()) {
      const at::Tensor items = gmf_.narrow(0, first, count).t();
      scores = scores.defined() ? scores.addmm_(users.gmf, items)
                                : at::mm(users.gmf, items);
    }
    if (bias_.defined()) scores.add_(bias_.narrow(0, first, count));
    if (head_bias_ != 0) scores.add_(head_bias_);
    return scores;
  }

  // [B * count, HL]: what the last layer gives for each pair with `items`.
  at::Tensor Tower(const Users& users, const at::Tensor& items) const {
    at::Tensor h = at::add(users.tower.unsqueeze(1), items)
                       .view({-1, int64_t{shape_.tower_width()}});
    Activate(activation_, h);
    return Layers(h);
  }

  // Layers 2 and on, for rows of layer 1.
  at::Tensor Layers(at::Tensor h) const {
    for (const Layer& layer : layers_) {
      h = at::addmm(layer.bias, h, layer.weight);
      Activate(activation_, h);
    }
    return h;
  }

  // `scores` [I] are the query's, and are written to.
  void Select(const RankQuery& query, at::Tensor scores,
              Ranking& ranking) const {
    ranking.items.clear();
    ranking.cancelled = IsCancelled(query);
    if (ranking.cancelled) return;
    ranking.eligible_count = CountEligible(query, shape_.num_items);
    const auto count = static_cast<int64_t>(
        std::min<uint64_t>(query.k, ranking.eligible_count));
    if (count == 0) return;

    RemoveIneligible(query, scores);
    const auto [best, rows] = at::topk(scores, count);
    const float* const best_scores = best.data_ptr<float>();
    const int64_t* const best_rows = rows.data_ptr<int64_t>();
    for (int64_t i = 0; i < count; ++i) {
      ranking.items.push_back(
          {best_scores[i] + 0.0F, static_cast<uint32_t>(best_rows[i])});
    }
  }

  void RemoveIneligible(const RankQuery& query, at::Tensor& scores) const {
    if (query.allow_rows) {
      const at::Tensor rows = RowIndices(*query.allow_rows);
      scores = at::full_like(scores, kMinusInfinity)
                   .index_copy_(0, rows, scores.index_select(0, rows));
    }
    if (query.allow_mask != nullptr) {
      const at::Tensor refused = at::empty({num_items_}, at::kBool);
      bool* const bits = refused.data_ptr<bool>();
      for (uint64_t row = 0; row < shape_.num_items; ++row) {
        bits[row] = !query.allow_mask->allows(row);
      }
      scores.masked_fill_(refused, kMinusInfinity);
    }
    for (const auto rows : {query.seen, query.excluded}) {
      if (rows.empty()) continue;
      scores.index_fill_(0, RowIndices(rows), kMinusInfinity);
    }
  }

  const ModelShape shape_;
  const TorchForm form_;
  const Activation activation_;
  const float head_bias_;
  const int64_t pairs_per_step_;
  const int64_t num_items_;
  const ItemTables memory_;  // of the three tensors below
  at::Tensor gmf_;           // [I, G]
  at::Tensor tower_;         // [I, H]
  at::Tensor bias_;          // [I]; undefined without item biases
  EagerLayers eager_;        // of kEager
  std::vector<Layer> layers_;
  at::Tensor head_;  // [HL]
};

class TorchScorerBuilder : public ScorerBuilder {
 public:
  TorchScorerBuilder(const ModelShape& shape, const ScoreNetwork& network,
                     const TorchScorerOptions& options)
      : shape_(shape),
        network_(network),
        options_(options),
        progress_(shape),
        items_(MakeItemTables(shape)) {}

  absl::Status Add(const ItemRows& rows) override {
    NEUMF_RETURN_IF_ERROR(progress_.Advance(rows));
    StoreItemRows(rows, items_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Scorer>> Build() override {
    NEUMF_RETURN_IF_ERROR(progress_.CheckComplete());
    std::unique_ptr<Scorer> scorer;
    NEUMF_RETURN_IF_ERROR(Fenced([&] {
      at::set_num_threads(options_.num_threads);
      scorer = std::make_unique<TorchScorer>(shape_, network_,
                                             std::move(items_), options_);
    }));
    return scorer;
  }

 private:
  const ModelShape shape_;
  const ScoreNetwork network_;
  const TorchScorerOptions options_;
  ItemRowsProgress progress_;
  ItemTables items_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ScorerBuilder>> MakeTorchScorerBuilder(
    const ModelShape& shape, const ScoreNetwork& network,
    const TorchScorerOptions& options) {
  NEUMF_RETURN_IF_ERROR(ValidateShape(shape));
  NEUMF_RETURN_IF_ERROR(Validate(shape, network));
  return std::make_unique<TorchScorerBuilder>(shape, network, options);
}

}  // namespace neumf
