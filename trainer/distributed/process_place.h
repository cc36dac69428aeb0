#pragma once

// Which of the processes of a distributed run this one is. Launchers such as
// torchrun, and jobs of Kubernetes, say it in the environment.

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace neumf {

struct ProcessPlace {
  uint32_t rank = 0;  // below size
  uint32_t size = 1;
  // Where the processes meet. Process 0 listens there, unless the launcher does
  // as torchrun: it then starts all processes again when one is lost, and
  // `attempt` keeps those of one start apart from those before.
  std::string host;
  uint16_t port = 0;
  bool launcher_listens = false;
  std::string attempt;

  // For all processes to come.
  absl::Duration join_timeout = absl::Minutes(1);
  // For each operation of all of them: process 0 evaluates and publishes while
  // the others wait.
  absl::Duration exchange_timeout = absl::Minutes(10);
};

// From RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, and torchrun's
// TORCHELASTIC_USE_AGENT_STORE and TORCHELASTIC_RESTART_COUNT. None when neither of the
// first two is set, and for a WORLD_SIZE of 1. INVALID_ARGUMENT names the
// variable that is missing or that is no such number.
absl::StatusOr<std::optional<ProcessPlace>> PlaceFromEnvironment();

}  // namespace neumf
