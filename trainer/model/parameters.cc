#include "trainer/model/parameters.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/logging.h"

namespace neumf {
namespace {

constexpr double kSmallDeviation = 0.01;  // of kD2l and kNcf
constexpr double kKerasLimit = 0.05;

void FillUniform(double limit, Random& random, absl::Span<float> values) {
  for (float& value : values) {
    value = static_cast<float>(random.Uniform(-limit, limit));
  }
}

void FillNormal(double deviation, Random& random, absl::Span<float> values) {
  for (float& value : values) {
    value = static_cast<float>(deviation * random.Normal());
  }
}

double GlorotLimit(double in, double out) { return std::sqrt(6 / (in + out)); }

// Draws the initial values of one model. Blocks are filled in the order in
// which they lie.
class Initializer {
 public:
  Initializer(Initialization how, double embedding_scale, Random& random,
              Parameters& parameters)
      : how_(how),
        embedding_scale_(embedding_scale),
        random_(random),
        parameters_(parameters),
        layout_(parameters.layout()) {}

  void Run() {
    const ModelSpec& spec = parameters_.spec();
    std::fill(parameters_.values().begin(), parameters_.values().end(), 0.0F);
    const uint64_t user_rows = spec.num_users + spec.num_user_features;
    FillEmbeddings(layout_.user_gmf, user_rows);
    FillEmbeddings(layout_.item_gmf, layout_.item_gmf.rows);
    FillEmbeddings(layout_.user_tower, user_rows);
    FillEmbeddings(layout_.item_tower, layout_.item_tower.rows);
    FillHiddenLayers();
    FillOutputLayer();
  }

 private:
  // The first `num_rows` rows: those of history stay 0.
  void FillEmbeddings(const ParameterBlock& block, uint64_t num_rows) {
    if (block.empty()) return;
    const absl::Span<float> values =
        parameters_.block(block).first(num_rows * block.cols);
    const double scale = EmbeddingScale(block.cols);
    if (how_ == Initialization::kKeras) {
      FillUniform(scale, random_, values);
    } else {
      FillNormal(scale, random_, values);
    }
  }

  double EmbeddingScale(uint64_t width) const {
    if (embedding_scale_ > 0) return embedding_scale_;
    switch (how_) {
      case Initialization::kD2l:
      case Initialization::kNcf:
        return kSmallDeviation;
      case Initialization::kTorch:
        return 1;
      case Initialization::kKeras:
        return kKerasLimit;
      case Initialization::kNormal:
        return 0.1 / std::sqrt(static_cast<double>(width));
    }
    NEUMF_CHECK(false);
    return 0;
  }

  void FillHiddenLayers() {
    // The halves of the first layer are one matrix to whoever draws it.
    const uint64_t first_in =
        layout_.first_user_weight.cols + layout_.first_item_weight.cols;
    FillHiddenWeight(layout_.first_user_weight, first_in);
    FillHiddenWeight(layout_.first_item_weight, first_in);
    FillHiddenBias(layout_.first_bias, first_in);
    for (const ParameterLayout::Dense& layer : layout_.layers) {
      FillHiddenWeight(layer.weight, layer.weight.cols);
      FillHiddenBias(layer.bias, layer.weight.cols);
    }
    FillHiddenWeight(layout_.linear.weight, layout_.linear.weight.cols);
    FillHiddenBias(layout_.linear.bias, layout_.linear.weight.cols);
  }

  void FillHiddenWeight(const ParameterBlock& block, uint64_t in) {
    if (block.empty()) return;
    const absl::Span<float> values = parameters_.block(block);
    const auto inputs = static_cast<double>(in);
    switch (how_) {
      case Initialization::kD2l:
        return FillNormal(kSmallDeviation, random_, values);
      case Initialization::kTorch:
        return FillUniform(1 / std::sqrt(inputs), random_, values);
      case Initialization::kNcf:
      case Initialization::kKeras:
      case Initialization::kNormal:
        return FillUniform(GlorotLimit(inputs, static_cast<double>(block.rows)),
                           random_, values);
    }
  }

  void FillHiddenBias(const ParameterBlock& block, uint64_t in) {
    if (block.empty()) return;
    if (how_ != Initialization::kD2l && how_ != Initialization::kTorch) return;
    FillUniform(1 / std::sqrt(static_cast<double>(in)), random_,
                parameters_.block(block));
  }

  // One layer over the product and the tower's output side by side.
  void FillOutputLayer() {
    const uint64_t in = layout_.gmf_head.cols + layout_.tower_head.cols;
    if (how_ == Initialization::kNormal && !layout_.gmf_head.empty()) {
      const absl::Span<float> head = parameters_.block(layout_.gmf_head);
      std::fill(head.begin(), head.end(), 1.0F);
    } else {
      FillOutputWeight(layout_.gmf_head, in);
    }
    FillOutputWeight(layout_.tower_head, in);
  }

  void FillOutputWeight(const ParameterBlock& block, uint64_t in) {
    if (block.empty()) return;
    const absl::Span<float> values = parameters_.block(block);
    const auto inputs = static_cast<double>(in);
    switch (how_) {
      case Initialization::kD2l:
        return FillNormal(kSmallDeviation, random_, values);
      case Initialization::kTorch:
        return FillUniform(1 / std::sqrt(inputs), random_, values);
      case Initialization::kKeras:
        return FillUniform(GlorotLimit(inputs, 1), random_, values);
      case Initialization::kNcf:
      case Initialization::kNormal:
        return FillUniform(std::sqrt(3 / inputs), random_, values);
    }
  }

  const Initialization how_;
  const double embedding_scale_;
  Random& random_;
  Parameters& parameters_;
  const ParameterLayout& layout_;
};

}  // namespace

ParameterLayout::ParameterLayout(const ModelSpec& spec) {
  const auto place = [this](absl::string_view name, uint64_t rows,
                            uint64_t cols, bool is_table) {
    ParameterBlock block;
    block.name = std::string(name);
    block.offset = size;
    block.rows = cols == 0 ? 0 : rows;
    block.cols = rows == 0 ? 0 : cols;
    block.is_table = is_table;
    size += block.size();
    return block;
  };
  const uint64_t user_rows = spec.num_users + spec.num_user_features;
  const uint64_t history_rows = spec.has_history() ? spec.num_items : 0;
  const uint64_t item_rows = spec.num_items + spec.num_item_features;
  const uint64_t user_width = spec.has_tower() ? spec.user_tower_factors : 0;
  const uint64_t item_width = spec.has_tower() ? spec.item_tower_factors : 0;

  user_gmf = place("user.gmf", user_rows + history_rows, spec.factors, true);
  item_gmf = place("item.gmf", item_rows, spec.factors, true);
  user_tower = place("user.tower", user_rows + history_rows, user_width, true);
  item_tower = place("item.tower", item_rows, item_width, true);
  user_bias = place("user.bias", user_rows, spec.user_bias ? 1 : 0, true);
  item_bias = place("item.bias", item_rows, spec.item_bias ? 1 : 0, true);

  const uint64_t first = spec.has_tower() ? spec.hidden[0] : 0;
  const uint64_t last = spec.has_tower() ? spec.hidden.back() : 0;
  first_user_weight = place("tower.1.user_weight", first, user_width, false);
  first_item_weight = place("tower.1.item_weight", first, item_width, false);
  first_bias = place("tower.1.bias", first > 0 ? 1 : 0, first, false);
  for (size_t l = 1; l < spec.hidden.size(); ++l) {
    Dense layer;
    layer.weight = place(absl::StrCat("tower.", l + 1, ".weight"),
                         spec.hidden[l], spec.hidden[l - 1], false);
    layer.bias =
        place(absl::StrCat("tower.", l + 1, ".bias"), 1, spec.hidden[l], false);
    layers.push_back(layer);
  }
  const uint64_t linear_width = spec.has_tower() ? spec.linear_width : 0;
  linear.weight = place("linear.weight", linear_width, last, false);
  linear.bias = place("linear.bias", 1, linear_width, false);
  gmf_head = place("head.gmf", 1, spec.learned_head ? spec.factors : 0, false);
  tower_head =
      place("head.tower", 1, linear_width > 0 ? linear_width : last, false);
  global_bias = place("head.bias", 1, spec.global_bias ? 1 : 0, false);
}

std::vector<const ParameterBlock*> ParameterLayout::Blocks() const {
  std::vector<const ParameterBlock*> blocks;
  const auto add = [&blocks](const ParameterBlock& block) {
    if (!block.empty()) blocks.push_back(&block);
  };
  for (const ParameterBlock* table : {&user_gmf, &item_gmf, &user_tower,
                                      &item_tower, &user_bias, &item_bias}) {
    add(*table);
  }
  for (const ParameterBlock* half :
       {&first_user_weight, &first_item_weight, &first_bias}) {
    add(*half);
  }
  for (const Dense& layer : layers) {
    add(layer.weight);
    add(layer.bias);
  }
  for (const ParameterBlock* block :
       {&linear.weight, &linear.bias, &gmf_head, &tower_head, &global_bias}) {
    add(*block);
  }
  return blocks;
}

Parameters::Parameters(const ModelSpec& spec)
    : spec_(spec), layout_(spec), values_(layout_.size) {}

void Parameters::Initialize(Initialization how, double embedding_scale,
                            Random& random) {
  Initializer(how, embedding_scale, random, *this).Run();
}

}  // namespace neumf
