#include "trainer/pretrained.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "checkpoint/safetensors.h"

namespace neumf {
namespace {

std::string ShapeOf(const ParameterBlock& block) {
  if (block.empty()) return "missing";
  return ShapeText({block.rows, block.cols});
}

// A model to start from.
struct Source {
  absl::string_view name;
  const Parameters& parameters;
  double scale;  // of its part in the output

  const ModelSpec& spec() const { return parameters.spec(); }
  const ParameterLayout& layout() const { return parameters.layout(); }
};

// A block of a source and its place in the model. The source's may have fewer
// rows; then the model's others stay as they are.
struct Copy {
  const Source* source;
  const ParameterBlock* from;
  const ParameterBlock* to;
};

struct Table {
  ParameterBlock ParameterLayout::*block;
  bool is_of_users;
};
constexpr Table kProductTables[] = {{&ParameterLayout::user_gmf, true},
                                    {&ParameterLayout::item_gmf, false}};
constexpr Table kTowerTables[] = {{&ParameterLayout::user_tower, true},
                                  {&ParameterLayout::item_tower, false}};
constexpr ParameterBlock ParameterLayout::*kBiases[] = {
    &ParameterLayout::user_bias, &ParameterLayout::item_bias,
    &ParameterLayout::global_bias};

// The layers of the tower but for the output weights, the linear one included.
std::vector<const ParameterBlock*> LayersOf(const ParameterLayout& layout) {
  std::vector<const ParameterBlock*> blocks = {
      &layout.first_user_weight, &layout.first_item_weight, &layout.first_bias};
  for (const ParameterLayout::Dense& layer : layout.layers) {
    blocks.push_back(&layer.weight);
    blocks.push_back(&layer.bias);
  }
  blocks.push_back(&layout.linear.weight);
  blocks.push_back(&layout.linear.bias);
  return blocks;
}

absl::Status Differ(const Source& source, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot start from ", source.name, ": ", what, " of both differ"));
}

absl::Status ShapesDiffer(const Source& source, const ParameterBlock& from,
                          const ParameterBlock& to) {
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot start from ", source.name, ": block ", to.name, " is ",
      ShapeOf(from), " there and ", ShapeOf(to), " in the model"));
}

// Checks everything before it changes anything.
class Start {
 public:
  Start(const Source* gmf, const Source* mlp, Parameters* parameters)
      : gmf_(gmf),
        mlp_(mlp),
        parameters_(*parameters),
        spec_(parameters->spec()),
        layout_(parameters->layout()) {}

  absl::Status Run() {
    if (gmf_ != nullptr) NEUMF_RETURN_IF_ERROR(PlanProduct());
    if (mlp_ != nullptr) NEUMF_RETURN_IF_ERROR(PlanTower());
    NEUMF_RETURN_IF_ERROR(CheckProductsOutput());
    for (const Source* source : {gmf_, mlp_}) {
      if (source != nullptr) NEUMF_RETURN_IF_ERROR(PlanBiases(*source));
    }
    for (const Copy& copy : copies_) Apply(copy);
    SetOutput();
    SetBiases();
    return absl::OkStatus();
  }

 private:
  absl::Status PlanProduct() {
    const ModelSpec& theirs = gmf_->spec();
    if (!theirs.has_product() || !spec_.has_product()) {
      return ShapesDiffer(*gmf_, gmf_->layout().user_gmf, layout_.user_gmf);
    }
    NEUMF_RETURN_IF_ERROR(PlanTables(*gmf_, kProductTables));
    if (theirs.cosine != spec_.cosine) return Differ(*gmf_, "--similarity");
    if (theirs.feature_interactions != spec_.feature_interactions) {
      return Differ(*gmf_, "the products of features");
    }
    if (spec_.feature_interactions && gmf_->scale != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot weigh ", gmf_->name,
                       " against a tower: products of features have no output "
                       "weights"));
    }
    return absl::OkStatus();
  }

  absl::Status PlanTower() {
    const ModelSpec& theirs = mlp_->spec();
    if (!theirs.has_tower() || !spec_.has_tower()) {
      return ShapesDiffer(*mlp_, mlp_->layout().tower_head, layout_.tower_head);
    }
    NEUMF_RETURN_IF_ERROR(PlanTables(*mlp_, kTowerTables));
    const std::vector<const ParameterBlock*> from = LayersOf(mlp_->layout());
    const std::vector<const ParameterBlock*> to = LayersOf(layout_);
    if (from.size() != to.size()) {
      return Differ(*mlp_, "the numbers of layers in --hidden");
    }
    for (size_t i = 0; i < from.size(); ++i) {
      NEUMF_RETURN_IF_ERROR(PlanSame(*mlp_, *from[i], *to[i]));
    }
    if (theirs.activation != spec_.activation) {
      return Differ(*mlp_, "--activation");
    }
    if (gmf_ == nullptr && spec_.feature_interactions) {
      return absl::InvalidArgumentError(
          "cannot start from a tower alone: products of features cannot be "
          "switched off");
    }
    return absl::OkStatus();
  }

  absl::Status PlanTables(const Source& source,
                          absl::Span<const Table> tables) {
    for (const Table& table : tables) {
      const ParameterBlock& from = source.layout().*table.block;
      const ParameterBlock& to = layout_.*table.block;
      // History may be new to the model, but not be lost.
      const bool fits = table.is_of_users && spec_.has_history() &&
                                !source.spec().has_history()
                            ? EntityRows(source.spec()) == EntityRows(spec_)
                            : from.rows == to.rows;
      if (!fits || from.cols != to.cols) return ShapesDiffer(source, from, to);
      copies_.push_back({&source, &from, &to});
    }
    return CheckRowsMeanTheSame(source);
  }

  static uint64_t EntityRows(const ModelSpec& spec) {
    return spec.num_users + spec.num_user_features;
  }

  absl::Status CheckRowsMeanTheSame(const Source& source) const {
    const ModelSpec& theirs = source.spec();
    if (theirs.num_users != spec_.num_users ||
        theirs.num_items != spec_.num_items) {
      return Differ(source, "the numbers of users and items");
    }
    if (!theirs.has_history()) return absl::OkStatus();
    if (theirs.history_length == spec_.history_length &&
        theirs.history_decay == spec_.history_decay) {
      return absl::OkStatus();
    }
    return Differ(source, "--history and --history_decay");
  }

  absl::Status PlanSame(const Source& source, const ParameterBlock& from,
                        const ParameterBlock& to) {
    if (from.rows != to.rows || from.cols != to.cols) {
      return ShapesDiffer(source, from, to);
    }
    copies_.push_back({&source, &from, &to});
    return absl::OkStatus();
  }

  // A product without output weights has no say in its weight: it is 1.
  absl::Status CheckProductsOutput() const {
    if (!spec_.has_product() || spec_.learned_head) return absl::OkStatus();
    if (gmf_ != nullptr && gmf_->scale == 1 && !gmf_->spec().learned_head) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        "cannot weigh the product and the tower: the product of this model has "
        "no output weights; models gmf and neumf have them");
  }

  // The source may lack a bias, which is 0 then, but not the model.
  absl::Status PlanBiases(const Source& source) {
    for (const auto member : kBiases) {
      const ParameterBlock& from = source.layout().*member;
      const ParameterBlock& to = layout_.*member;
      if (from.empty()) continue;
      if (from.rows != to.rows) return ShapesDiffer(source, from, to);
      biases_.push_back({&source, &from, &to});
    }
    return absl::OkStatus();
  }

  void Apply(const Copy& copy) {
    const absl::Span<const float> from =
        copy.source->parameters.block(*copy.from);
    std::copy(from.begin(), from.end(), parameters_.block(*copy.to).begin());
  }

  void SetOutput() {
    SetHead(layout_.gmf_head, gmf_,
            gmf_ == nullptr ? nullptr : &gmf_->layout().gmf_head);
    SetHead(layout_.tower_head, mlp_,
            mlp_ == nullptr ? nullptr : &mlp_->layout().tower_head);
  }

  void SetHead(const ParameterBlock& to, const Source* source,
               const ParameterBlock* from) {
    const absl::Span<float> head = parameters_.block(to);
    for (size_t i = 0; i < head.size(); ++i) {
      double weight = 0;
      if (source != nullptr) {
        const bool is_learned = !from->empty();
        weight = source->scale *
                 (is_learned ? source->parameters.block(*from)[i] : 1.0);
      }
      head[i] = static_cast<float>(weight);
    }
  }

  void SetBiases() {
    for (const auto member : kBiases) {
      const absl::Span<float> bias = parameters_.block(layout_.*member);
      std::vector<double> sums(bias.size());
      for (const Copy& copy : biases_) {
        if (copy.to != &(layout_.*member)) continue;
        const auto from = copy.source->parameters.block(*copy.from);
        for (size_t i = 0; i < sums.size(); ++i) {
          sums[i] += copy.source->scale * double{from[i]};
        }
      }
      std::transform(sums.begin(), sums.end(), bias.begin(),
                     [](double sum) { return static_cast<float>(sum); });
    }
  }

  const Source* const gmf_;
  const Source* const mlp_;
  Parameters& parameters_;
  const ModelSpec& spec_;
  const ParameterLayout& layout_;
  std::vector<Copy> copies_;
  std::vector<Copy> biases_;
};

}  // namespace

absl::Status StartFromPretrained(const Parameters* gmf, const Parameters* mlp,
                                 double alpha, Parameters* parameters) {
  NEUMF_CHECK(gmf != nullptr || mlp != nullptr);
  const bool has_both = gmf != nullptr && mlp != nullptr;
  if (has_both && !(alpha >= 0 && alpha <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--alpha is ", alpha, ", not from 0 to 1"));
  }
  const auto source_of = [&](absl::string_view name, const Parameters* source,
                             double scale) {
    return Source{name, source == nullptr ? *parameters : *source,
                  has_both ? scale : 1};
  };
  const Source product = source_of("the pretrained product", gmf, alpha);
  const Source tower = source_of("the pretrained tower", mlp, 1 - alpha);
  return Start(gmf == nullptr ? nullptr : &product,
               mlp == nullptr ? nullptr : &tower, parameters)
      .Run();
}

}  // namespace neumf
