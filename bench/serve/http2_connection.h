#pragma once

// One HTTP/2 connection that carries unary gRPC calls of one method, for
// benchmarks of servers: a call costs its caller about a tenth of what it costs
// with gRPC's client, which shares the processors with the server.
//
// It knows as much of HTTP/2 as servers of gRPC use, over plain text, and ends
// the process where they do anything else. Belongs to one thread.

#include <cstdint>
#include <string>
#include <unordered_map>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace neumf {

class Http2Connection {
 public:
  // Connects to "HOST:PORT", an IPv4 address. `path` is
  // "/package.Service/Method", `timeout` that of each call, as gRPC writes it:
  // "30S", "50m".
  Http2Connection(const std::string& address, absl::string_view path,
                  absl::string_view timeout);
  ~Http2Connection();
  Http2Connection(const Http2Connection&) = delete;
  Http2Connection& operator=(const Http2Connection&) = delete;

  // For poll().
  int descriptor() const { return descriptor_; }

  // Makes a call with a serialized message and returns its number. It is sent
  // by the next Flush().
  uint32_t Start(absl::string_view message);
  void Flush();

  // Learns which call has ended, and with which serialized message; null when
  // there was none.
  using Done =
      absl::FunctionRef<void(uint32_t call, const absl::string_view* message)>;
  // Waits until something comes and takes all that is there. `done` may Start()
  // other calls.
  void Receive(Done done);

 private:
  struct Frame;

  void TakeFrame(const Frame& frame, Done done);
  void TakeData(const Frame& frame);
  // `answered`: there may be a message.
  void End(uint32_t call, bool answered, Done done);
  void Append(const Frame& frame);

  int descriptor_ = -1;
  std::string first_headers_;  // fill the server's table of headers
  std::string later_headers_;  // refer to it
  uint32_t next_call_ = 1;
  int64_t send_window_;
  int64_t received_bytes_ = 0;  // since the window was last opened
  // The answer so far, by call.
  std::unordered_map<uint32_t, std::string> running_;
  std::string outgoing_;
  std::string incoming_;  // begins with a frame
};

}  // namespace neumf
