#pragma once

// What the processes of a distributed run tell each other besides gradients:
// that they do the same thing, where they stand, and when they end.

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/sha256.h"
#include "trainer/distributed/collective.h"
#include "trainer/training_state.h"

namespace neumf {

// FAILED_PRECONDITION in every process when one has another identity than
// process 0; that one's names what differs.
absl::Status CheckSameRun(const RunIdentity& run, Collective& collective);

// FAILED_PRECONDITION in every process when one has other bits than process 0.
// Returns their digest.
absl::StatusOr<Sha256Digest> CheckSameParameters(
    absl::Span<const float> parameters, Collective& collective);

// Process 0's state in every process, without the run and the curve; none when
// process 0 has none.
absl::StatusOr<std::optional<TrainingState>> ShareState(
    const std::optional<TrainingState>& state, Collective& collective);

// The `status` of process 0 as all see it: OK, or in the other processes
// ABORTED, which refers to what process 0 says. Waits for process 0.
absl::Status ShareStatus(const absl::Status& status, Collective& collective);

// Whether any process says so.
absl::StatusOr<bool> AnySays(bool is_so, Collective& collective);

}  // namespace neumf
