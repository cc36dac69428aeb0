// Calls of Recommend that come at a given rate, whatever the server does with
// them, from one thread that leaves it most of the processors: what
// `neumfctl load-test` does at a fraction of its cost (paced_connections.h).
//
//   offered_load --target=ADDRESS --users=FILE [--connections=4] [--k=10]
//
// Each line of stdin is answered by a line of JSON, as of load-test:
//   load RATE SECONDS MILLIS     with a deadline
//   sweep RATE SECONDS MILLIS    for the highest rate at which the p99 of all
//                                calls is within so much; SECONDS a trial
// A call without an answer lasts for ever; whether it was refused is not told.

#include <sys/prctl.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/logging.h"
#include "bench/serve/paced_connections.h"
#include "client/arrival_schedule.h"
#include "client/load_report.h"
#include "client/load_result.h"
#include "client/rate_search.h"
#include "neumf/v1/recommendation_service.pb.h"

ABSL_FLAG(std::string, target, "", "Required. The server's address.");
ABSL_FLAG(std::string, users, "", "Required. Ids of users, one a line.");
ABSL_FLAG(size_t, connections, 4, "Connections, used in turn.");
ABSL_FLAG(int32_t, k, 10, "Items a user.");

namespace neumf {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr char kRecommend[] = "/neumf.v1.RecommendationService/Recommend";
// Load before that which counts.
constexpr absl::Duration kWarmup = absl::Milliseconds(500);
// As load-test: in a sweep a call that is late is told by its time, and the
// search ends when the rates kept and missed are this close.
constexpr absl::Duration kSweepDeadline = absl::Seconds(1);
constexpr double kSweepPrecision = 0.05;
constexpr double kQuantile = 0.99;

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

LoadResult Offer(const std::vector<std::string>& requests, double rate,
                 absl::Duration duration, absl::Duration deadline) {
  PacedConnections connections(
      std::vector<std::string>(absl::GetFlag(FLAGS_connections),
                               absl::GetFlag(FLAGS_target)),
      kRecommend, absl::StrCat(absl::ToInt64Milliseconds(deadline), "m"));
  LoadResult result(rate, duration, deadline);
  LatencyDistribution lags;
  ArrivalSchedule schedule(ArrivalSchedule::Kind::kPoisson, rate, /*seed=*/1);
  std::vector<absl::Duration> due;  // by call, since the start
  const auto start = SteadyClock::now();
  const auto since = [&](size_t call) {
    return absl::FromChrono(SteadyClock::now() - start) - due[call];
  };
  const auto ended = [&](size_t call, const absl::string_view* message) {
    if (due[call] < kWarmup) return;
    result.RecordCall(message != nullptr ? absl::OkStatus()
                                         : absl::UnavailableError("no answer"),
                      since(call));
  };
  for (;;) {
    const absl::Duration next = schedule.Next();
    if (next >= kWarmup + duration) break;
    connections.ReceiveUntil(start + absl::ToChronoNanoseconds(next), ended);
    due.push_back(next);
    const size_t call = due.size() - 1;
    if (next >= kWarmup) lags.Record(since(call));
    connections.Start(call, requests[call % requests.size()]);
  }
  connections.ReceiveAll(ended);
  result.AddLags(lags);
  return result;
}

// A rate of which this client lags by more than the goal is no rate.
RateVerdict Verdict(const LoadResult& result, absl::Duration goal) {
  if (!CheckClient(result, goal).ok()) return RateVerdict::kClientTooSlow;
  return result.Quantile(kQuantile) <= goal ? RateVerdict::kKept
                                            : RateVerdict::kMissed;
}

std::string Sweep(const std::vector<std::string>& requests, double start,
                  absl::Duration duration, absl::Duration goal) {
  std::vector<RateTrial> trials;
  const auto found =
      FindHighestRate(start, /*lowest=*/1, kSweepPrecision,
                      [&](double rate) -> absl::StatusOr<RateVerdict> {
                        const LoadResult result =
                            Offer(requests, rate, duration, kSweepDeadline);
                        const RateVerdict verdict = Verdict(result, goal);
                        trials.push_back({result, verdict});
                        return verdict;
                      });
  return SweepJson(trials, *found, goal);
}

int Main() {
  prctl(PR_SET_TIMERSLACK, 1);  // calls leave when they are due
  const std::vector<std::string> requests = ReadRequests();
  std::string command;
  double rate = 0;
  double seconds = 0;
  double millis = 0;
  while (std::cin >> command >> rate >> seconds >> millis) {
    NEUMF_CHECK(rate >= 1 && seconds > 0 && millis >= 1);
    const absl::Duration duration = absl::Seconds(seconds);
    const absl::Duration limit = absl::Milliseconds(millis);
    if (command == "load") {
      std::cout << LoadJson(Offer(requests, rate, duration, limit))
                << std::endl;
    } else if (command == "sweep") {
      std::cout << Sweep(requests, rate, duration, limit) << std::endl;
    } else {
      std::cerr << command << ": unknown" << std::endl;
      return 1;
    }
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
