#pragma once

// One question to a gRPC server over a connection of its own, as a stranger
// would ask it: is anybody there?
//
// It speaks HTTP/2 by hand. gRPC's client shares threads with the servers of its
// process, so a server that is stuck could not be told from a client that is; nor
// does it say whether a connection was closed, which is a sign of life, or never
// accepted, which is none.
//
//   plain text, TLS      Health.Check is answered, whatever the answer
//   TLS that wants a     the server has done its part of the handshake: the
//   certificate          probe has no certificate that would get it further
//   any                  the server hangs up, as it does at its cap of
//                        connections: somebody has accepted

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/listen_address.h"
#include "server/unique_fd.h"

namespace neumf {

class HealthProbe {
 public:
  struct Target {
    ListenAddress address;
    bool encrypted = false;
    // Only with `encrypted`.
    bool wants_certificate = false;
  };

  // `timeout` is for one Run() as a whole.
  HealthProbe(const Target& target, absl::Duration timeout);

  // OK for a sign of life. DEADLINE_EXCEEDED and the errors of sockets say what
  // was missing; CANCELLED after Cancel(). Blocks SIGPIPE in the calling thread.
  // From one thread at a time.
  absl::Status Run() const;

  // Ends the Run() in progress, and all that follow. Any thread.
  void Cancel();

 private:
  const Target target_;
  const absl::Duration timeout_;
  const UniqueFd cancelled_;  // eventfd, readable for good
};

}  // namespace neumf
