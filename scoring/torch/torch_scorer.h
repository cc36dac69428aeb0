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
  // A model's own forward over (user, item) pairs, all pairs of a user at once:
  // both embeddings of each pair looked up, [user; item] of width 2 H through
  // the first layer, the product of the GMF embeddings and the tower joined and
  // put through the last. The weights of layers that the fold took away are
  // identities and ones, which compute the same.
  kEager,
};

struct TorchScorerOptions {
  TorchForm form = TorchForm::kSplit;
  // (user, item) pairs that one operation of kSplit takes: few keep activations
  // in the cache, many save calls. 0: the whole catalog for all users of a call.
  // Default: what was fastest, with one user and with many.
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
