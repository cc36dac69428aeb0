#pragma once

// Notices connections with more calls than they can have open.
//
// A stream that its client resets is open no longer, so the limit of streams
// does not bound what such a client makes us do (rapid reset, CVE-2023-44487),
// and gRPC 1.51 has no limit of its own. But the calls are there until gRPC has
// cleaned up after them, which takes it longer than to begin new ones: that is
// where a flood shows, and where its memory goes. Who resets calls no faster
// than we clean up is left alone.
//
// Also keeps, for each connection that is there, how much of what it has sent
// has become calls (sender.h).
//
// A connection goes by the name that gRPC gives its peer; those of unix sockets
// share one.
//
// Any thread may call any method.

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "base/mutex.h"

namespace neumf {

class ResetGuard {
 private:
  struct Traffic {
    int64_t num_calls = 0;
    int64_t handled_bytes = 0;
    int num_connections = 0;
  };
  using Peers = std::unordered_map<std::string, Traffic>;

 public:
  // Of one connection. It may have 256 open; gRPC is done with a call some time
  // after its client, who may have begun the next one by then.
  static constexpr int64_t kMostCalls = 2048;
  // A flood that goes on is reported again after so many more.
  static constexpr int64_t kCallsBetweenReports = 256;

  using Peer = Peers::value_type;

  // `report` gets the name and its number of calls, from a thread that counts,
  // without a lock.
  explicit ResetGuard(std::function<void(const std::string&, int64_t)> report);

  // The handler of a call of that peer runs, which has taken so many bytes on
  // the wire. To be given back when gRPC is done with the call.
  Peer* CallBegan(const std::string& name, int64_t bytes);
  void CallEnded(Peer* peer);
  // A handler has a further message, of a call that has not ended, which has
  // taken so many bytes.
  void MessageCame(Peer* peer, int64_t bytes);

  // A connection of that name is there. To be given back when it is gone.
  Peer* Connected(const std::string& name);
  void Disconnected(Peer* peer);
  // What all calls have taken, since the name last was new.
  int64_t HandledBytes(const Peer* peer);

 private:
  const std::function<void(const std::string&, int64_t)> report_;

  void Forget(Peer* peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  // Those that are connected or have calls.
  Peers peers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
