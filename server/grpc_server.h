#pragma once

// How every gRPC server of the daemon is set up, and how one ends.

#include <cstdint>

#include "absl/time/time.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace neumf {

// Calls that a client may have open on one connection.
inline constexpr int kMaxStreamsPerConnection = 256;

// How long a connection may last.
struct ConnectionTimes {
  // From accept() to the client's first words, TLS included: against those who
  // connect and stay silent.
  absl::Duration handshake = absl::Seconds(10);
  // Without a call: against those who connect and forget. Clients connect again
  // by themselves.
  absl::Duration idle = absl::Minutes(15);
  // In all, give or take a tenth, so that load spreads over new servers; then
  // no new call is taken, and those that are there have `age_grace` to end.
  absl::Duration age = absl::Minutes(30);
  absl::Duration age_grace = absl::Seconds(60);
};

// What requests may take of the memory that there is, in bytes: a quarter of it,
// from 16 MiB to 512 MiB.
uint64_t DefaultRequestMemory();

// Limits and time-outs of connections and messages; no compression. While
// more is received than `memory` allows gRPC ends calls whose messages it has
// not handed on, of whomever.
void ConfigureServer(const ConnectionTimes& times,
                     const grpc::ResourceQuota& memory,
                     grpc::ServerBuilder* builder);

// Shuts `server` down; calls that still run after `grace` are cancelled.
// Returns when all reactors are finished.
void ShutDownWithin(absl::Duration grace, grpc::Server* server);

}  // namespace neumf
