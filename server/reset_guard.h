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
  using Calls = std::unordered_map<std::string, int64_t>;

 public:
  // Of one connection. It may have 256 open; gRPC is done with a call some time
  // after its client, who may have begun the next one by then.
  static constexpr int64_t kMostCalls = 2048;
  // A flood that goes on is reported again after so many more.
  static constexpr int64_t kCallsBetweenReports = 256;

  using Peer = Calls::value_type;

  // `report` gets the name and its number of calls, from a thread that counts,
  // without a lock.
  explicit ResetGuard(std::function<void(const std::string&, int64_t)> report);

  // The handler of a call of that peer runs. To be given back when gRPC is done
  // with the call.
  Peer* CallBegan(const std::string& name);
  void CallEnded(Peer* peer);

 private:
  const std::function<void(const std::string&, int64_t)> report_;

  Mutex mutex_;
  Calls calls_ ABSL_GUARDED_BY(mutex_);  // of those that have any
};

}  // namespace neumf
