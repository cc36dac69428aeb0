#include "trainer/step/optimizer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "trainer/step/names.h"

namespace neumf {
namespace {

// Elements of a piece: enough to be worth taking, few enough to share evenly.
constexpr size_t kPieceElements = size_t{1} << 14;
// Waking the threads costs as much as moving some 50,000 elements.
constexpr size_t kMinParallelElements = 200'000;

constexpr Named<OptimizerKind> kOptimizerKinds[] = {
    {"sgd", OptimizerKind::kSgd},         {"adagrad", OptimizerKind::kAdagrad},
    {"rmsprop", OptimizerKind::kRmsprop}, {"adam", OptimizerKind::kAdam},
    {"adamw", OptimizerKind::kAdamW},
};

UpdateFormula FormulaOf(const OptimizerOptions& options) {
  const bool has_momentum = options.momentum > 0;
  switch (options.kind) {
    case OptimizerKind::kSgd:
      return has_momentum ? UpdateFormula::kSgdMomentum : UpdateFormula::kSgd;
    case OptimizerKind::kAdagrad:
      return UpdateFormula::kAdagrad;
    case OptimizerKind::kRmsprop:
      return has_momentum ? UpdateFormula::kRmspropMomentum
                          : UpdateFormula::kRmsprop;
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      break;
  }
  return UpdateFormula::kAdam;
}

absl::Status RequireBelowOne(const char* option, double value) {
  if (value >= 0 && value < 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(option, " is ", value, "; it has to be from 0 to below 1"));
}

absl::Status RequireNotNegative(const char* option, double value) {
  if (value >= 0 && std::isfinite(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(option, " is ", value, "; it has to be 0 or more"));
}

}  // namespace

const char* OptimizerKindName(OptimizerKind kind) {
  return NameOf<OptimizerKind>(kind, kOptimizerKinds);
}

absl::Status ValidateOptimizerOptions(const OptimizerOptions& options) {
  absl::Status status =
      RequireNotNegative("the learning rate", options.learning_rate);
  status.Update(RequireBelowOne("the momentum", options.momentum));
  status.Update(RequireBelowOne("beta1", options.beta1));
  status.Update(RequireBelowOne("beta2", options.beta2));
  status.Update(RequireNotNegative("epsilon", options.epsilon));
  status.Update(RequireNotNegative("the weight decay", options.weight_decay));
  return status;
}

MomentsUsed MomentsOf(const OptimizerOptions& options) {
  const UpdateFormula formula = FormulaOf(options);
  return {
      formula == UpdateFormula::kSgdMomentum ||
          formula == UpdateFormula::kRmspropMomentum ||
          formula == UpdateFormula::kAdam,
      formula != UpdateFormula::kSgd && formula != UpdateFormula::kSgdMomentum};
}

UpdateRule RuleOf(const OptimizerOptions& options, uint64_t num_steps,
                  double scale) {
  double rate = options.learning_rate * scale;
  UpdateRule rule;
  rule.formula = FormulaOf(options);
  if (options.kind == OptimizerKind::kAdamW) {
    rule.shrink = static_cast<float>(1 - rate * options.weight_decay);
  } else {
    rule.decay = static_cast<float>(options.weight_decay);
  }
  if (rule.formula == UpdateFormula::kAdam) {
    // The moments start at 0 and are that much too small.
    const auto steps = static_cast<double>(num_steps);
    rate /= 1 - std::pow(options.beta1, steps);
    rule.root_scale =
        static_cast<float>(1 / std::sqrt(1 - std::pow(options.beta2, steps)));
  }
  rule.rate = static_cast<float>(rate);
  rule.momentum = static_cast<float>(options.momentum);
  rule.beta1 = static_cast<float>(options.beta1);
  rule.beta2 = static_cast<float>(options.beta2);
  rule.rest1 = static_cast<float>(1 - options.beta1);
  rule.rest2 = static_cast<float>(1 - options.beta2);
  rule.epsilon = static_cast<float>(options.epsilon);
  return rule;
}

Optimizer::Optimizer(const ParameterLayout& layout,
                     const OptimizerOptions& options)
    : options_(options), size_(layout.size) {
  NEUMF_CHECK(ValidateOptimizerOptions(options).ok());
  for (const ParameterBlock* const block : layout.Blocks()) {
    if (block->is_table) dense_begin_ = block->offset + block->size();
  }
  const MomentsUsed moments = MomentsOf(options);
  if (moments.first) first_moment_.resize(size_);
  if (moments.second) second_moment_.resize(size_);
}

void Optimizer::AddRange(size_t first, size_t count) {
  for (size_t begin = 0; begin < count; begin += kPieceElements) {
    Piece piece;
    piece.first = first + begin;
    piece.count = std::min(kPieceElements, count - begin);
    pieces_.push_back(piece);
  }
}

void Optimizer::AddRows(const ParameterBlock& table,
                        absl::Span<const uint32_t> rows) {
  const size_t piece_rows = 1 + (kPieceElements - 1) / table.cols;
  for (size_t begin = 0; begin < rows.size(); begin += piece_rows) {
    Piece piece;
    piece.first = table.offset;
    piece.cols = table.cols;
    piece.rows = rows.subspan(begin, piece_rows);
    piece.count = piece.rows.size() * table.cols;
    pieces_.push_back(piece);
  }
}

void Optimizer::Step(const Gradient& gradient, double scale,
                     absl::Span<float> parameters, ThreadPool& threads) {
  NEUMF_CHECK(gradient.values().size() == size_ && parameters.size() == size_);
  ++num_steps_;
  const UpdateRule rule = RuleOf(options_, num_steps_, scale);
  const UpdateArrays arrays{gradient.values().data(), parameters.data(),
                            first_moment_.data(), second_moment_.data()};
  pieces_.clear();
  if (options_.updates == Updates::kDense) {
    AddRange(0, size_);
  } else {
    for (size_t t = 0; t < gradient.num_tables(); ++t) {
      AddRows(gradient.table(t), gradient.touched(t));
    }
    AddRange(dense_begin_, size_ - dense_begin_);
  }

  size_t num_elements = 0;
  for (const Piece& piece : pieces_) num_elements += piece.count;
  const auto move = [&](size_t index, size_t /*thread*/) {
    const Piece& piece = pieces_[index];
    if (piece.rows.empty()) {
      UpdateRange(rule, arrays, piece.first, piece.count);
    } else {
      UpdateRows(rule, arrays, piece.first, piece.cols, piece.rows.data(),
                 piece.rows.size());
    }
  };
  if (num_elements >= kMinParallelElements) {
    threads.ParallelFor(pieces_.size(), move);
  } else {
    for (size_t index = 0; index < pieces_.size(); ++index) move(index, 0);
  }
}

}  // namespace neumf
