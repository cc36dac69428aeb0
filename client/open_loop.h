#pragma once

// Sends calls at the times that they are due, whatever the server does with
// them (an open loop), and takes down what became of each.
//
//   NEUMF_ASSIGN_OR_RETURN(auto loop, OpenLoop::Create(options));
//   LoadResult result(rate, duration, options.deadline);
//   loop->Run([&] { return next_call(); }, &result);
//
// THREADS. Run() sends from the calling thread and takes the answers in one
// more of its own; no call has a thread. One process offers tens of thousands
// of calls a second. Whether it kept up is part of the result: see
// LoadResult::lag() and receiver_load().
//
// The retries of gRPC are off, so that every refusal is counted.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/channel_security.h"
#include "client/load_result.h"
#include "google/protobuf/message.h"
#include "grpcpp/generic/generic_stub.h"

namespace neumf {

// A call that is to be made.
struct ScheduledCall {
  absl::Duration due;     // since the start of the run
  bool counts = true;     // in the result
  bool is_batch = false;  // BatchRecommend, else Recommend
  grpc::ByteBuffer request;
};

// The bytes of a request.
grpc::ByteBuffer ToBytes(const google::protobuf::Message& request);

class OpenLoop {
 public:
  struct Options {
    // "host:port", "dns:///host:port" or "unix:PATH".
    std::string target;
    // Default: plain text without a token.
    ChannelSecurity security;
    // Connections, used in turn; more of them spread a load over several
    // servers behind one address. Default: 1.
    int connections = 1;
    // Of a call, from the moment it was due. Default: 1 s.
    absl::Duration deadline = absl::Seconds(1);
    // For all connections together. Default: 5 s.
    absl::Duration connect_timeout = absl::Seconds(5);
  };

  // Connects. INVALID_ARGUMENT for options out of range, UNAVAILABLE when a
  // connection is not there in time.
  static absl::StatusOr<std::unique_ptr<OpenLoop>> Create(Options options);

  // Makes the calls that `next` gives until it gives none, and returns when the
  // last one has ended. None may be due before the one that was given before it.
  // One run at a time.
  void Run(absl::FunctionRef<std::optional<ScheduledCall>()> next,
           LoadResult* result);

 private:
  class Receiver;

  explicit OpenLoop(Options options);
  absl::Status Connect();

  const Options options_;
  std::vector<grpc::GenericStub> stubs_;  // one a connection
};

}  // namespace neumf
