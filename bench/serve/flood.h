#pragma once

// Callers of Recommend who each wait for their answer before they call again,
// over Http2Connections: what answers the most requests a second is found with
// callers that cost little. Belongs to one thread.

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/serve/http2_connection.h"

namespace neumf {

struct FloodResult {
  size_t answered = 0;         // calls that got a message
  std::vector<double> micros;  // of each call
};

class Flood {
 public:
  // `requests` are serialized messages, drawn at random. A connection to each of
  // `addresses`, which share the callers.
  Flood(const std::vector<std::string>& addresses,
        std::vector<std::string> requests);

  // Ends a little after `seconds`, with the last call.
  FloodResult Run(size_t callers, double seconds);

 private:
  const std::vector<std::string> requests_;
  std::vector<std::unique_ptr<Http2Connection>> connections_;
  std::mt19937_64 random_{1};
};

}  // namespace neumf
