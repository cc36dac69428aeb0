// What metrics cost a request: all observations that one Recommend makes, from
// its arrival to its answer, in a batch of its own, with the times that are read
// for them. In bigger batches it is less. bench/run starts it; it lies here and
// not in bench/ because programs do not include each other.
//
// serve.metrics_cost_ns.<threads>: CPU time a request in one thread, the median
// over windows. With two threads both meet at the same counters all the time,
// which they never do in a server that has to score, too.

#include <algorithm>
#include <atomic>
#include <ctime>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/logging.h"
#include "nlohmann/json.hpp"
#include "server/server_metrics.h"

ABSL_FLAG(bool, quick, false, "Measures fewer windows.");
ABSL_FLAG(std::string, only, "", "Measures figures whose name holds this.");

namespace neumf {
namespace {

constexpr size_t kRequestsAWindow = 50'000;

double ThreadCpuNanos() {
  timespec now = {};
  NEUMF_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) * 1e9 +
         static_cast<double>(now.tv_nsec);
}

// What call_record, scoring_call and request_batcher do, in their order.
void ObserveRecommend(const Clock& clock, ServerMetrics* metrics) {
  constexpr RpcMethod kMethod = RpcMethod::kRecommend;
  const absl::Duration started = clock.MonotonicNow();
  metrics->CallStarted(kMethod);
  metrics->MessageReceived(kMethod);
  const absl::Duration admitted = clock.MonotonicNow();
  metrics->StageTook(Stage::kAdmission, admitted - started);
  metrics->SetQueueUsers(1);
  metrics->SetQueueUsers(0);
  const absl::Duration taken = clock.MonotonicNow();
  const absl::Duration gathered = clock.MonotonicNow();
  const absl::Duration scored = clock.MonotonicNow();
  metrics->BatchScored(1);
  metrics->ItemsRescored(100);
  metrics->StageTook(Stage::kQueue, taken - admitted);
  metrics->StageTook(Stage::kGather, gathered - taken);
  metrics->StageTook(Stage::kScore, scored - gathered);
  metrics->MessageSent(kMethod);
  const absl::Duration finished = clock.MonotonicNow();
  metrics->StageTook(Stage::kEncode, finished - scored);
  metrics->CallHandled(kMethod, 0, finished - started);
}

// CPU nanoseconds a request in one thread, of `num_threads` that do the same.
double MeasureWindow(size_t num_threads) {
  const std::unique_ptr<Clock> clock = MakeRealClock();
  ServerMetrics metrics;
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  for (size_t i = 1; i < num_threads; ++i) {
    others.emplace_back([&] {
      while (!stop) ObserveRecommend(*clock, &metrics);
    });
  }
  const double before = ThreadCpuNanos();
  for (size_t i = 0; i < kRequestsAWindow; ++i) {
    ObserveRecommend(*clock, &metrics);
  }
  const double nanos = ThreadCpuNanos() - before;
  stop = true;
  for (std::thread& other : others) other.join();
  return nanos / kRequestsAWindow;
}

void Measure(size_t num_threads) {
  const std::string name = absl::StrCat("serve.metrics_cost_ns.t", num_threads);
  if (!absl::StrContains(name, absl::GetFlag(FLAGS_only))) return;
  std::vector<double> windows(absl::GetFlag(FLAGS_quick) ? 9 : 41);
  for (double& nanos : windows) nanos = MeasureWindow(num_threads);
  std::sort(windows.begin(), windows.end());
  std::cout << nlohmann::ordered_json({{"name", name},
                                       {"value", windows[windows.size() / 2]},
                                       {"unit", "ns"},
                                       {"threads", num_threads}})
            << std::endl;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("measures what metrics cost a request");
  absl::ParseCommandLine(argc, argv);
  for (const size_t num_threads : {1, 2}) neumf::Measure(num_threads);
  return 0;
}
