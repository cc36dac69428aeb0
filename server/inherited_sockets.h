#pragma once

// Listening sockets that the service manager has opened for us, as
// sd_listen_fds(3) describes: LISTEN_FDS of them, from descriptor 3 on, named
// by LISTEN_FDNAMES, for the process LISTEN_PID.
//
// The manager keeps them while the service is restarted: who connects meanwhile
// waits instead of being refused.
//
// Written by hand: libsystemd would be a library for three variables.

#include <optional>

#include "absl/status/statusor.h"
#include "server/listen_address.h"

namespace neumf {

// Those that were passed take the place of --listen and --admin_listen.
struct InheritedSockets {
  std::optional<ListenSocket> grpc;
  std::optional<ListenSocket> admin;
};

// None when none are announced to this process. Without names the first is
// `grpc` and the second `admin`. INVALID_ARGUMENT names the variable that is
// wrong: there are too many, a name is not one of these two or comes twice, or
// what was passed is not ListenSocket::Adopt()ed.
// Takes the variables out of the environment: before there are other threads,
// and before anything else is opened.
absl::StatusOr<InheritedSockets> TakeInheritedSockets();

}  // namespace neumf
