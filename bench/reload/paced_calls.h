#pragma once

// Callers of Recommend who come at a given rate, whatever the server does (an
// open loop), and know what each version answers: what reloads do to callers is
// measured with them. A call is late from the moment it was due, so a stall is
// charged to every call that came due meanwhile. Belongs to one thread.
//
//   PacedCalls calls({"127.0.0.1:50051"}, users, 10);
//   calls.Learn();                        // answers of the version served now
//   PacedResult result = calls.Run(500, [] { return false; });

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "bench/serve/paced_connections.h"

namespace neumf {

struct PacedResult {
  // Of each call, on the clock of std::chrono::steady_clock, in seconds.
  std::vector<double> due;
  std::vector<double> sent;
  std::vector<double> ended;
  std::vector<size_t> failed;  // their numbers: calls without an answer
  // Answers that none of the versions gives that were learned.
  size_t inconsistent = 0;
};

class PacedCalls {
 public:
  // A connection to each of `addresses`, used in turn.
  PacedCalls(const std::vector<std::string>& addresses,
             const std::vector<std::string>& users, int32_t k);

  // Asks for each user once and remembers the answers. What files of one parity
  // of version answer has to be the same. False when a call failed.
  bool Learn();

  // Calls at `rate` a second, at random times, about random users, until
  // `stop`, which is asked before each call. Ends when all have been answered.
  PacedResult Run(double rate, absl::FunctionRef<bool()> stop);

 private:
  bool IsConsistent(size_t user, absl::string_view message) const;

  std::vector<std::string> requests_;  // serialized, a user each
  PacedConnections connections_;
  // By parity of the version and user: the answer without the version.
  std::vector<std::string> learned_[2];
  std::mt19937_64 random_{1};
};

}  // namespace neumf
