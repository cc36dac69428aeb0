#pragma once

// Calls that leave when they are due, whatever the server does with those
// before them (an open loop), over Http2Connections: a load that leaves the
// processors to the server. Belongs to one thread.
//
//   PacedConnections connections({"127.0.0.1:50051"}, path, "50m");
//   connections.Start(/*call=*/0, message);
//   connections.ReceiveUntil(next_is_due, ended);

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "bench/serve/http2_connection.h"

namespace neumf {

class PacedConnections {
 public:
  using SteadyTime = std::chrono::steady_clock::time_point;
  // Which call has ended, and with which serialized message; null when there
  // was none.
  using Ended =
      absl::FunctionRef<void(size_t call, const absl::string_view* message)>;

  // A connection to each of `addresses`, used in turn. `path` and `timeout` are
  // those of Http2Connection.
  PacedConnections(const std::vector<std::string>& addresses,
                   absl::string_view path, absl::string_view timeout);

  // Makes a call, at once where one of the connections has room for it: servers
  // end those with more calls than they allow. `call` is the caller's number.
  void Start(size_t call, std::string message);

  // Takes what comes until then; at least what is there. `ended` may Start()
  // other calls.
  void ReceiveUntil(SteadyTime until, Ended ended);
  // Takes what comes until no call runs.
  void ReceiveAll(Ended ended);

 private:
  struct Lane {
    std::unique_ptr<Http2Connection> connection;
    std::unordered_map<uint32_t, size_t> calls;  // by number there
  };

  struct Call {
    size_t number;
    std::string message;
  };

  // Sends as many of those that wait as there is room for.
  void Send();
  void Receive(Lane* lane, Ended ended);
  bool idle() const;

  std::vector<Lane> lanes_;
  size_t next_lane_ = 0;
  std::deque<Call> waiting_;
};

}  // namespace neumf
