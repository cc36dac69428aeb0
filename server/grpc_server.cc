#include "server/grpc_server.h"

#include <algorithm>
#include <chrono>

#include "base/available_memory.h"
#include "server/admission.h"

namespace neumf {
namespace {

// gRPC's own refusal of a message has no details, hence it takes a bit more than
// ParseRequest() does, whose refusal has: of what exceeds the limit by little.
constexpr int kMaxMessageBytes = kMaxRequestBytes + (64 << 10);
constexpr int kMaxMetadataBytes = 8 << 10;
// gRPC reads up to 4 MiB at once otherwise, and makes calls of all that before
// anything can stop it (intake_guard.h).
constexpr int kMaxReadBytes = 16 << 10;

int Millis(absl::Duration time) {
  return static_cast<int>(absl::ToInt64Milliseconds(time));
}

void LimitConnections(const ConnectionTimes& times,
                      grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kMaxReadBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              kMaxStreamsPerConnection);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                              Millis(times.handshake));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                              Millis(times.idle));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                              Millis(times.age));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                              Millis(times.age_grace));
}

// gRPC would write trailers at the deadline, and again when the call is
// finished for it. CallRegistry watches over deadlines instead.
void LeaveDeadlinesToUs(grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
}

// Finds peers that vanished without a word, and bears clients that do the same.
void KeepAlive(grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                              Millis(absl::Seconds(60)));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                              Millis(absl::Seconds(20)));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      Millis(absl::Seconds(30)));
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
}

// Neither ours nor, against bombs, our callers'.
void ForbidCompression(grpc::ServerBuilder* builder) {
  builder->SetDefaultCompressionAlgorithm(GRPC_COMPRESS_NONE);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
}

}  // namespace

uint64_t DefaultRequestMemory() {
  constexpr uint64_t kLeast = 16 << 20;
  constexpr uint64_t kMost = 512 << 20;
  return std::clamp(FindAvailableMemory().bytes / 4, kLeast, kMost);
}

void ConfigureServer(const ConnectionTimes& times,
                     const grpc::ResourceQuota& memory,
                     grpc::ServerBuilder* builder) {
  builder->SetResourceQuota(memory);
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  LimitConnections(times, builder);
  KeepAlive(builder);
  LeaveDeadlinesToUs(builder);
  ForbidCompression(builder);
}

void ShutDownWithin(absl::Duration grace, grpc::Server* server) {
  server->Shutdown(std::chrono::system_clock::now() +
                   absl::ToChronoMilliseconds(grace));
}

}  // namespace neumf
