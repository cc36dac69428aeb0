#pragma once

// A Collective by LibTorch: Gloo over TCP, or NCCL where LibTorch has it.

#include <memory>

#include "absl/status/statusor.h"
#include "trainer/distributed/collective.h"
#include "trainer/distributed/process_place.h"

namespace neumf {

// Meets the other processes.
// GLOO_SOCKET_IFNAME names the network interface to exchange over; NEUMF_NCCL=1
// asks for NCCL over the GPU LOCAL_RANK (0 without it). UNAVAILABLE when they do
// not all come within place.join_timeout; UNIMPLEMENTED when this LibTorch lacks
// what was asked for. REQUIRES: place.size > 1.
absl::StatusOr<std::unique_ptr<Collective>> JoinProcesses(
    const ProcessPlace& place);

}  // namespace neumf
