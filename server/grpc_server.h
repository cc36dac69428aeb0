#pragma once

// How every gRPC server of the daemon is set up, and how one ends.

#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace neumf {

// Calls that a client may have open on one connection.
inline constexpr int kMaxStreamsPerConnection = 256;

// Limits and time-outs of connections and messages; no compression. Reflection
// is taken out unless `reflection`.
void ConfigureServer(bool reflection, grpc::ServerBuilder* builder);

// Shuts `server` down; calls that still run after `grace` are cancelled.
// Returns when all reactors are finished.
void ShutDownWithin(absl::Duration grace, grpc::Server* server);

}  // namespace neumf
