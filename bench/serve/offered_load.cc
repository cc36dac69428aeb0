// Calls of Recommend that come at a given rate, whatever the server does with
// them, from one thread that leaves it most of the processors: an open loop as
// that of `neumfctl load-test`, at a fraction of its cost
// (paced_connections.h).
//
//   offered_load --target=ADDRESS --users=FILE [--connections=4] [--k=10]
//
// Each line of stdin, RATE SECONDS MILLIS, is answered by a line of JSON: what
// comes of so many calls a second that have so many milliseconds each.
//   {"calls", "answered",    all calls but those of the warm-up
//    "goodput",              answers within the deadline, a second
//    "p99_ms",               of all calls, from when they were due; null where
//                            too many have no answer
//    "lag_p99_ms"}           how late they left this program

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "bench/serve/paced_connections.h"
#include "neumf/v1/recommendation_service.pb.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(std::string, target, "", "Required. The server's address.");
ABSL_FLAG(std::string, users, "", "Required. Ids of users, one a line.");
ABSL_FLAG(size_t, connections, 4, "Connections, used in turn.");
ABSL_FLAG(int32_t, k, 10, "Items a user.");

namespace neumf {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr char kRecommend[] = "/neumf.v1.RecommendationService/Recommend";
// Load before that which counts.
constexpr double kWarmupSeconds = 0.5;
constexpr double kNever = std::numeric_limits<double>::infinity();

std::vector<std::string> ReadRequests() {
  std::ifstream file(absl::GetFlag(FLAGS_users));
  std::vector<std::string> requests;
  for (std::string line; std::getline(file, line);) {
    v1::RecommendRequest request;
    request.set_user_id(line);
    request.set_k(absl::GetFlag(FLAGS_k));
    requests.push_back(request.SerializeAsString());
  }
  NEUMF_CHECK(!requests.empty());
  return requests;
}

// What comes of a load: seconds, a call each.
struct Times {
  std::vector<double> latencies;  // kNever without an answer
  std::vector<double> lags;
};

double P99(std::vector<double> values) {
  if (values.empty()) return kNever;
  const auto rank = static_cast<ptrdiff_t>(0.99 * values.size());
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return values[static_cast<size_t>(rank)];
}

Times Offer(const std::vector<std::string>& requests, double rate,
            double seconds, double deadline_millis) {
  PacedConnections connections(
      std::vector<std::string>(absl::GetFlag(FLAGS_connections),
                               absl::GetFlag(FLAGS_target)),
      kRecommend, absl::StrCat(std::lround(deadline_millis), "m"));
  std::mt19937_64 random{1};
  std::exponential_distribution<double> gap(rate);
  std::vector<SteadyClock::time_point> due;  // by call
  Times times;
  const auto since = [&](size_t call) {
    return std::chrono::duration<double>(SteadyClock::now() - due[call])
        .count();
  };
  const auto begin = SteadyClock::now();
  const auto counts = [&](size_t call) {
    return due[call] - begin >= std::chrono::duration<double>(kWarmupSeconds);
  };
  const auto ended = [&](size_t call, const absl::string_view* message) {
    if (!counts(call)) return;
    times.latencies.push_back(message == nullptr ? kNever : since(call));
  };
  double next = gap(random);
  for (size_t call = 0; next < kWarmupSeconds + seconds; ++call) {
    due.push_back(begin + std::chrono::duration_cast<SteadyClock::duration>(
                              std::chrono::duration<double>(next)));
    connections.ReceiveUntil(due[call], ended);
    if (counts(call)) times.lags.push_back(since(call));
    connections.Start(call, requests[call % requests.size()]);
    next += gap(random);
  }
  connections.ReceiveAll(ended);
  return times;
}

Json ToJson(const Times& times, double seconds, double deadline_millis) {
  const auto count_within = [&](double limit) {
    return std::count_if(times.latencies.begin(), times.latencies.end(),
                         [&](double latency) { return latency <= limit; });
  };
  const double p99 = P99(times.latencies);
  return {{"calls", times.latencies.size()},
          {"answered",
           times.latencies.size() -
               static_cast<size_t>(std::count(times.latencies.begin(),
                                              times.latencies.end(), kNever))},
          {"goodput",
           static_cast<double>(count_within(deadline_millis / 1e3)) / seconds},
          {"p99_ms", p99 == kNever ? Json() : Json(1e3 * p99)},
          {"lag_p99_ms", 1e3 * P99(times.lags)}};
}

int Main() {
  prctl(PR_SET_TIMERSLACK, 1);  // calls leave when they are due
  const std::vector<std::string> requests = ReadRequests();
  double rate = 0;
  double seconds = 0;
  double millis = 0;
  while (std::cin >> rate >> seconds >> millis) {
    NEUMF_CHECK(rate >= 1 && seconds > 0 && millis >= 1);
    const Times times = Offer(requests, rate, seconds, millis);
    std::cout << ToJson(times, seconds, millis).dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("offers calls to a server; see bench/serve/");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
