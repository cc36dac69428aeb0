#pragma once

// Updates of the flat parameters from a gradient: SGD with momentum, Adagrad
// (Duchi et al. 2011), RMSprop (Hinton), Adam (Kingma and Ba 2015) and AdamW
// (Loshchilov and Hutter 2019), in PyTorch's form of each.
//
// Dense updates move every parameter at every step, as PyTorch does: rows that
// the batch did not touch go on moving by their momentum and decay. Row updates
// move only the touched rows of the tables, as PyTorch's SparseAdam does: each
// row keeps its own moments and they rest while the row does; the bias
// correction counts all steps. Dense blocks are always moved whole.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/thread_pool.h"
#include "trainer/model/parameters.h"
#include "trainer/step/gradient.h"
#include "trainer/step/optimizer_kernels.h"

namespace neumf {

enum class OptimizerKind { kSgd, kAdagrad, kRmsprop, kAdam, kAdamW };
enum class Updates { kDense, kRows };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kAdam;
  Updates updates = Updates::kDense;
  double learning_rate = 1e-3;
  double momentum = 0;   // sgd, rmsprop
  double beta1 = 0.9;    // adam, adamw
  double beta2 = 0.999;  // adam, adamw; of rmsprop its alpha (PyTorch: .99)
  double epsilon = 1e-8;
  // L2 added to the gradient (PyTorch's weight_decay) of all that is moved;
  // adamw takes it off the parameter instead.
  double weight_decay = 0;
};

const char* OptimizerKindName(OptimizerKind kind);

// INVALID_ARGUMENT says which option is out of range.
absl::Status ValidateOptimizerOptions(const OptimizerOptions& options);

// What a formula keeps of the steps before, each as long as the parameters.
struct MomentsUsed {
  bool first = false;
  bool second = false;
};
MomentsUsed MomentsOf(const OptimizerOptions& options);

// Step number `num_steps`, from 1, with the learning rate times `scale`.
// REQUIRES: ValidateOptimizerOptions(options) is OK.
UpdateRule RuleOf(const OptimizerOptions& options, uint64_t num_steps,
                  double scale);

// Belongs to one thread.
class Optimizer {
 public:
  // REQUIRES: ValidateOptimizerOptions(options) is OK.
  Optimizer(const ParameterLayout& layout, const OptimizerOptions& options);

  // Moves `parameters` by `gradient`, with the learning rate times `scale`,
  // which schedules change. The result does not depend on the number of
  // threads. REQUIRES: gradient and parameters are of the layout.
  void Step(const Gradient& gradient, double scale,
            absl::Span<float> parameters, ThreadPool& threads);

  // What a resumed run needs besides the options.
  uint64_t num_steps() const { return num_steps_; }
  // Up to two moments, each as long as the parameters or empty: the mean of the
  // gradients (or their sum, with momentum), and of their squares.
  absl::Span<float> first_moment() { return absl::MakeSpan(first_moment_); }
  absl::Span<float> second_moment() { return absl::MakeSpan(second_moment_); }
  void set_num_steps(uint64_t num_steps) { num_steps_ = num_steps; }

 private:
  // A piece of the work: elements in a row, or rows of a table.
  struct Piece {
    size_t first = 0;  // of the elements, or of the table
    size_t cols = 0;
    absl::Span<const uint32_t> rows;
    size_t count = 0;  // of elements
  };

  void AddRange(size_t first, size_t count);
  void AddRows(const ParameterBlock& table, absl::Span<const uint32_t> rows);

  const OptimizerOptions options_;
  const size_t size_;
  size_t dense_begin_ = 0;  // tables come first in the layout
  uint64_t num_steps_ = 0;
  std::vector<float> first_moment_;
  std::vector<float> second_moment_;
  std::vector<Piece> pieces_;  // of the current step; kept for its memory
};

}  // namespace neumf
