#pragma once

// Scores with LibTorch, one operation after the other, as a user of LibTorch
// would: what the CPU backend is compared with, and the way to serve on a device
// that only LibTorch knows. The daemon does not link it.
//
// It keeps scorer.h's contract but for two points: scores, and so the order of
// items whose scores all but tie, agree with the reference up to float32
// rounding; and `cancelled` is looked at once a user.

#include <memory>

#include "absl/status/statusor.h"
#include "scoring/scorer.h"

namespace neumf {

enum class TorchForm {
  // The folded first layer: relu(user + item), then the layers. As good as
  // LibTorch gets.
  kSplit,
  // Every pair written out, [user; item] of width 2 H through a linear layer of
  // the weight [I I], which computes the same as the fold with the arithmetic of
  // a model that was never folded.
  kExpanded,
};

struct TorchScorerOptions {
  TorchForm form = TorchForm::kSplit;
  // (user, item) pairs that one operation takes: few keep activations in the
  // cache, many save calls. 0: the whole catalog for all users of a call.
  // Default: what was fastest for kSplit, with one user and with many.
  size_t pairs_per_step = 8192;
  // Of LibTorch's operations. This is LibTorch's setting for the whole process;
  // a BLAS below it may have its own (OPENBLAS_NUM_THREADS).
  int num_threads = 1;
};

// As MakeScorerBuilder(); what LibTorch throws comes back as UNAVAILABLE.
absl::StatusOr<std::unique_ptr<ScorerBuilder>> MakeTorchScorerBuilder(
    const ModelShape& shape, const ScoreNetwork& network,
    const TorchScorerOptions& options);

}  // namespace neumf
