#include "tests/scoring/cuda/coarse_form.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "scoring/cuda/device/fragments.h"
#include "scoring/cuda/device/half.h"
#include "scoring/cuda/kernels/error_bound.h"
#include "scoring/cuda/kernels/measure_columns.h"
#include "scoring/cuda/kernels/prepare_users.h"
#include "tests/support/status_matchers.h"

namespace neumf::cuda {
namespace {

constexpr uint32_t kBlocks = 3;  // of kernels that take any number

float HalfOf(uint32_t word, uint32_t half) {
  return half == 0 ? LowHalf(word) : HighHalf(word);
}

// Of A fragments of `num_words` words a lane.
HalfMatrix UnpackA(const uint32_t* words, uint32_t num_words,
                   uint32_t num_tiles, uint32_t columns) {
  HalfMatrix matrix(uint64_t{num_tiles} * kTileItems, columns);
  const uint32_t steps = columns / (4 * num_words);
  for (uint64_t i = 0; i < uint64_t{num_tiles} * steps * kLanes * num_words;
       ++i) {
    const auto word = static_cast<uint32_t>(i % num_words);
    const auto lane = static_cast<uint32_t>(i / num_words % kLanes);
    const uint64_t fragment = i / num_words / kLanes;
    for (uint32_t half = 0; half < 2; ++half) {
      const Place place = PlaceInA(lane, word, half);
      matrix.at(fragment / steps * kTileItems + place.row,
                static_cast<uint32_t>(fragment % steps) * 4 * num_words +
                    place.column) = HalfOf(words[i], half);
    }
  }
  return matrix;
}

HalfMatrix UnpackLayer(const CoarseLayer& layer) {
  HalfMatrix matrix(layer.out, layer.in);
  const uint32_t steps = layer.in / 16;
  for (uint32_t i = 0; i < layer.out / 8 * steps * kLanes; ++i) {
    const uint32_t fragment = i / kLanes;
    for (uint32_t w = 0; w < 2; ++w) {
      for (uint32_t half = 0; half < 2; ++half) {
        const Place place = PlaceInB(i % kLanes, w, half);
        matrix.at(fragment / steps * 8 + place.column,
                  fragment % steps * 16 + place.row) =
            HalfOf(layer.weight[i].w[w], half);
      }
    }
  }
  return matrix;
}

HalfMatrix UnpackHead(const CoarseModel& model) {
  HalfMatrix head(1, model.head_width);
  for (uint32_t k = 0; k < model.head_width; ++k) {
    const uint32_t row = k % 16;
    head.at(0, k) =
        HalfOf(model.head[k / 16 * 4 + row % 8 / 2].w[row / 8], row % 2);
  }
  return head;
}

// acc + products of `depth` pairs.
float Multiply(float acc, const float* a, const float* b, uint32_t depth,
               CoarseSums sums) {
  double sum = acc;
  double greatest = std::fabs(sum);
  double magnitude = greatest;
  bool all_zero = true;
  for (uint32_t k = 0; k < depth; ++k) {
    const double product = double{a[k]} * b[k];
    sum += product;
    greatest = std::max(greatest, std::fabs(product));
    magnitude += std::fabs(product);
    all_zero = all_zero && product == 0;
  }
  if (all_zero) return acc;
  // A little less than what is allowed: the result is rounded once more.
  const double most = (depth + 0.9) * kTensorCoreRounding * magnitude;
  switch (sums) {
    case CoarseSums::kNearest:
      return static_cast<float>(sum);
    case CoarseSums::kUp:
      return static_cast<float>(sum + most);
    case CoarseSums::kDown:
      return static_cast<float>(sum - most);
    case CoarseSums::kAligned:
      break;
  }
  const double place = std::ldexp(1.0, std::ilogb(greatest) - 23);
  sum = std::trunc(acc / place) * place;
  for (uint32_t k = 0; k < depth; ++k) {
    sum += std::trunc(double{a[k]} * b[k] / place) * place;
  }
  const auto nearest = static_cast<float>(sum);
  return std::fabs(double{nearest}) > std::fabs(sum)
             ? std::nextafter(nearest, 0.0F)
             : nearest;
}

// The same of `count` pairs, step by step.
float MultiplyAll(float acc, const float* a, const float* b, uint32_t count,
                  uint32_t depth, CoarseSums sums) {
  for (uint32_t k = 0; k < count; k += depth) {
    acc = Multiply(acc, a + k, b + k, depth, sums);
  }
  return acc;
}

float HalfRelu(float x) { return FloatOfHalf(HalfBits(x > 0 ? x : 0)); }

}  // namespace

CoarseForm::CoarseForm(const TinyModel& tiny, const EmulationOptions& options)
    : tiny_(tiny), options_(options) {
  const ModelShape& shape = tiny.model.shape;
  const ScoreNetwork& network = tiny.model.network;
  MeasureItems();
  const TunedTower tower = FitTower(shape, network);
  network_ = CoarseNetwork::Make(tower, shape, network, ranges_);
  if (!exists()) return;
  const CoarseBytes bytes = CoarseBytesOf(tower, shape);
  EXPECT_EQ(network_->image().size(), bytes.image);
  image_.resize(bytes.image / sizeof(Words4) + 1);
  std::memcpy(image_.data(), network_->image().data(), bytes.image);
  tower_words_.resize(bytes.item_tower / sizeof(Words4));
  gmf_words_.resize(bytes.item_gmf / sizeof(Words2));
  starts_.resize(bytes.item_start / sizeof(float), NAN);
  PackItems();
  Unpack();
}

std::vector<ColumnRange> CoarseForm::Measure(const float* values,
                                             uint32_t width) const {
  std::vector<ColumnBits> bits(width);
  MeasureColumns kernel;
  kernel.values = values;
  kernel.num_rows = static_cast<uint32_t>(tiny_.model.shape.num_items);
  kernel.width = width;
  kernel.columns = bits.data();
  NEUMF_EXPECT_OK(RunGrid({kBlocks, 0}, kernel, options_));
  std::vector<ColumnRange> ranges;
  std::transform(bits.begin(), bits.end(), std::back_inserter(ranges), RangeOf);
  return ranges;
}

void CoarseForm::MeasureItems() {
  const ModelShape& shape = tiny_.model.shape;
  const ItemTables& items = tiny_.items;
  if (shape.has_tower()) {
    ranges_.tower = Measure(items.tower.data(), shape.tower_width());
  }
  if (shape.gmf_width > 0) {
    ranges_.gmf = Measure(items.gmf.data(), shape.gmf_width);
  }
  if (shape.has_item_bias) ranges_.bias = Measure(items.bias.data(), 1)[0];
}

void CoarseForm::PackItems() {
  CoarsePlaces places;
  places.image = reinterpret_cast<std::byte*>(image_.data());
  places.item_tower = tower_words_.data();
  places.item_gmf = gmf_words_.data();
  places.item_start = starts_.data();
  const ItemTables& items = tiny_.items;
  const Grid grid = {kBlocks, 0};
  if (!tower_words_.empty()) {
    NEUMF_EXPECT_OK(RunGrid(
        grid, network_->PackTower(places, items.tower.data()), options_));
  }
  if (!gmf_words_.empty()) {
    NEUMF_EXPECT_OK(
        RunGrid(grid, network_->PackGmf(places, items.gmf.data()), options_));
  }
  const float* const bias = items.bias.empty() ? nullptr : items.bias.data();
  NEUMF_EXPECT_OK(RunGrid(grid, network_->PackStarts(places, bias), options_));
  model_ = network_->ModelAt(places);
}

void CoarseForm::Unpack() {
  item_tower_ = UnpackA(reinterpret_cast<const uint32_t*>(tower_words_.data()),
                        4, model_.num_tiles, model_.tower_width);
  item_gmf_ = UnpackA(reinterpret_cast<const uint32_t*>(gmf_words_.data()), 2,
                      model_.num_tiles, model_.gmf_steps * 8);
  for (uint32_t l = 0; l < model_.num_layers; ++l) {
    weights_.push_back(UnpackLayer(model_.layers[l]));
  }
  head_ = UnpackHead(model_);
}

void CoarseForm::Prepare(absl::Span<const RankQuery> queries) {
  constexpr uint32_t kNonsense = 0x7FFF7FFF;  // NaN
  const ModelShape& shape = tiny_.model.shape;
  pass_.emplace(queries, shape, static_cast<uint32_t>(shape.num_items));
  user_tower_words_.assign(size_t{max_users()} * model_.tower_width / 2,
                           kNonsense);
  user_gmf_words_.assign(
      size_t{max_users()} / kGroupUsers * model_.gmf_steps * kLanes, kNonsense);
  for (uint32_t user = 0; user < max_users(); ++user) {
    pass_->threshold(user) = pass_->margin(user) = NAN;
    pass_->count(user) = 77;
  }
  PrepareUsers kernel;
  kernel.model = model_;
  kernel.pass = kernel_pass();
  kernel.gmf_width = shape.gmf_width;
  kernel.tower_width = shape.tower_width();
  NEUMF_EXPECT_OK(RunGrid({max_users(), PrepareUsers::SharedBytes(model_)},
                          kernel, options_));
  UnpackUsers();
}

Pass CoarseForm::kernel_pass() {
  Pass pass = pass_->pass();
  pass.user_tower = user_tower_words_.data();
  pass.user_gmf = user_gmf_words_.data();
  return pass;
}

void CoarseForm::UnpackUsers() {
  user_tower_ = HalfMatrix(max_users(), model_.tower_width);
  user_gmf_ = HalfMatrix(max_users(), model_.gmf_steps * 8);
  for (uint32_t user = 0; user < max_users(); ++user) {
    const uint32_t* const words =
        user_tower_words_.data() + size_t{user} * (model_.tower_width / 2);
    for (uint32_t k = 0; k < user_tower_.columns; ++k) {
      user_tower_.at(user, k) =
          HalfOf(words[UserTowerWord(k / 2)], k % 2);
    }
  }
  for (uint32_t i = 0; i < user_gmf_words_.size(); ++i) {
    const uint32_t fragment = i / kLanes;
    for (uint32_t half = 0; half < 2; ++half) {
      const Place place = PlaceInB(i % kLanes, 0, half);
      user_gmf_.at(fragment / model_.gmf_steps * kGroupUsers + place.column,
                   fragment % model_.gmf_steps * 8 + place.row) =
          HalfOf(user_gmf_words_[i], half);
    }
  }
}

float CoarseForm::Score(uint32_t user, uint32_t item, CoarseSums sums) const {
  const float score =
      MultiplyAll(starts_[item], item_gmf_.row(item), user_gmf_.row(user),
                  item_gmf_.columns, 8, sums);
  std::vector<float> h;
  for (uint32_t k = 0; k < model_.tower_width; ++k) {
    h.push_back(HalfRelu(item_tower_.at(item, k) + user_tower_.at(user, k)));
  }
  for (uint32_t l = 0; l < model_.num_layers; ++l) {
    const CoarseLayer& layer = model_.layers[l];
    std::vector<float> next;
    for (uint32_t o = 0; o < layer.out; ++o) {
      next.push_back(HalfRelu(MultiplyAll(
          layer.bias[o], h.data(), weights_[l].row(o), layer.in, 16, sums)));
    }
    h = next;
  }
  return MultiplyAll(score, h.data(), head_.row(0), model_.head_width,
                     model_.head_width == 8 ? 8 : 16, sums);
}

std::vector<float> ExactScores(const TinyModel& tiny, const RankQuery& query) {
  absl::StatusOr<std::unique_ptr<ScorerBuilder>> builder = MakeScorerBuilder(
      Backend::kReference, tiny.model.shape, tiny.model.network, {});
  NEUMF_EXPECT_OK(builder);
  NEUMF_EXPECT_OK(StreamItemTables(
      tiny.items, [&](const ItemRows& rows) { return (*builder)->Add(rows); }));
  const auto scorer = (*builder)->Build();
  NEUMF_EXPECT_OK(scorer);
  RankQuery all = query;
  all.k = static_cast<uint32_t>(tiny.model.shape.num_items);
  all.seen = {};
  std::vector<Ranking> rankings(1);
  NEUMF_EXPECT_OK((*scorer)->Rank({all}, absl::MakeSpan(rankings)));
  std::vector<float> scores(all.k, NAN);
  for (const ScoredRow& scored : rankings[0].items) {
    scores[scored.row] = scored.score;
  }
  return scores;
}

}  // namespace neumf::cuda
