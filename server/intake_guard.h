#pragma once

// Bounds the calls that gRPC has taken up and no handler has seen yet.
//
// A client may have so many streams open, but one that is reset is open no
// longer (rapid reset, CVE-2023-44487): the thread that reads such a connection
// makes calls of what it reads, 20 KB of memory each, faster than handlers can
// be run for them, and gRPC 1.51 has no limit. Neither has it a hook where a
// connection is known before its calls are made. But it asks for the context of
// each call where that is made, by the thread that reads. There we count, and
// hold that thread up while too many calls wait for their handlers: so the
// flood waits in its socket. When that does not help for kPatience, somebody
// is told to find and cut the connection.
//
// Honest clients do not come near: each thread of gRPC turns to handlers after
// each connection that it has read, and no connection has more streams open
// than a quarter of kMostPending.
//
//   IntakeGuard guard([&] { acceptor.CutFullest(); });
//   builder.SetContextAllocator(guard.MakeContexts());
//
// Must outlive the servers. Any thread may call any method.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "grpcpp/server_context.h"

namespace neumf {

class IntakeGuard {
 public:
  static constexpr int64_t kMostPending = 1000;
  // How long a thread that reads is held up, again and again after so many
  // calls.
  static constexpr absl::Duration kPatience = absl::Milliseconds(10);
  static constexpr int64_t kCallsBetweenWaits = 256;

  // `on_flood` must not wait for gRPC.
  explicit IntakeGuard(std::function<void()> on_flood);

  // For one server.
  std::unique_ptr<grpc::ContextAllocator> MakeContexts();

  // A handler has the call of `context`; does nothing for contexts that come
  // from elsewhere.
  static void HandlerEntered(grpc::CallbackServerContext* context);

  int64_t pending() const { return pending_.load(std::memory_order_relaxed); }

  // What contexts tell about their calls.
  void Arrived();
  void Left() { pending_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  const std::function<void()> on_flood_;
  std::atomic<int64_t> pending_{0};
};

}  // namespace neumf
