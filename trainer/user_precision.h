#pragma once

// --user_precision: in what precision a checkpoint holds the vectors of its
// users, by far the most numbers of a large model that a server keeps in memory.

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/manifest.h"
#include "model/serving_model.h"

namespace neumf {

enum class UserPrecision { kFloat32, kFloat16 };

// "f32", "f16"; else INVALID_ARGUMENT.
absl::StatusOr<UserPrecision> ParseUserPrecision(absl::string_view text);

// Rounds the users of `model`, which stays as it is with kFloat32, and writes
// into `probes` what the rounded model answers. Before that it must give the
// answers that they have, which are those of the trained form: rounding moves
// scores by more than a probe lets pass, so that a server could not tell a wrong
// fold from it. INVALID_ARGUMENT for vectors that float16 does not reach,
// FAILED_PRECONDITION for a probe that misses.
absl::Status SetUserPrecision(UserPrecision precision, const ItemTables& items,
                              size_t num_threads, ServingModel* model,
                              std::vector<Probe>* probes);

}  // namespace neumf
