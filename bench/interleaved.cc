#include "bench/interleaved.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/logging.h"

namespace neumf {
namespace {

double SecondsOf(clockid_t clock) {
  timespec now;
  NEUMF_CHECK(clock_gettime(clock, &now) == 0);
  return static_cast<double>(now.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec);
}

struct Window {
  double wall = 0;
  double cpu = 0;
};

Window Time(const Contestant& contestant, size_t runs) {
  const double wall = SecondsOf(CLOCK_MONOTONIC);
  const double cpu = SecondsOf(CLOCK_PROCESS_CPUTIME_ID);
  for (size_t i = 0; i < runs; ++i) contestant();
  return {SecondsOf(CLOCK_MONOTONIC) - wall,
          SecondsOf(CLOCK_PROCESS_CPUTIME_ID) - cpu};
}

// A contestant, how often it runs in a window, and what was measured.
struct Lane {
  const Contestant* contestant = nullptr;
  double seconds_once = 0;
  size_t runs = 0;
  Window total;
  Measured measured;

  // A window begins when caches are warm again and the threads of the one
  // before have gone to sleep: libraries let them spin for a while.
  void RunWindow(double window_seconds, bool cpu_time) {
    Time(*contestant, SettlingRuns(window_seconds));
    const Window window = Time(*contestant, runs);
    measured.seconds.push_back((cpu_time ? window.cpu : window.wall) /
                               static_cast<double>(runs));
    total.wall += window.wall;
    total.cpu += window.cpu;
  }

  // A tenth of the window; none for a run that fills half of it.
  size_t SettlingRuns(double window_seconds) const {
    if (seconds_once > window_seconds / 2) return 0;
    return static_cast<size_t>(std::ceil(window_seconds / 10 / seconds_once));
  }
};

std::vector<Lane> WarmUp(const std::vector<Contestant>& contestants) {
  std::vector<Lane> lanes;
  for (const Contestant& contestant : contestants) {
    Lane lane;
    lane.contestant = &contestant;
    contestant();
    lane.seconds_once = Time(contestant, 1).wall;
    lanes.push_back(lane);
  }
  return lanes;
}

double SlowestRun(const std::vector<Lane>& lanes) {
  double slowest = 0;
  for (const Lane& lane : lanes) slowest = std::max(slowest, lane.seconds_once);
  return slowest;
}

}  // namespace

double Measured::Median() const { return neumf::Median(seconds); }

double Measured::Minimum() const {
  return *std::min_element(seconds.begin(), seconds.end());
}

std::vector<Measured> RunInterleaved(const std::vector<Contestant>& contestants,
                                     const InterleavedOptions& options) {
  std::vector<Lane> lanes = WarmUp(contestants);
  const double window = std::max(options.window_seconds, SlowestRun(lanes));
  for (Lane& lane : lanes) {
    lane.runs = static_cast<size_t>(std::ceil(window / lane.seconds_once));
  }
  const double start = SecondsOf(CLOCK_MONOTONIC);
  for (size_t round = 0; round < options.max_rounds; ++round) {
    const double spent = SecondsOf(CLOCK_MONOTONIC) - start;
    if (round >= options.min_rounds && spent > options.budget_seconds) break;
    for (Lane& lane : lanes) {
      lane.RunWindow(window, options.cpu_time);
    }
  }
  std::vector<Measured> results;
  for (Lane& lane : lanes) {
    lane.measured.cpu_over_wall = lane.total.cpu / lane.total.wall;
    results.push_back(lane.measured);
  }
  return results;
}

Measured RunFor(double seconds, const Contestant& contestant) {
  Measured measured;
  Window total;
  contestant();
  while (total.wall < seconds) {
    const Window window = Time(contestant, 1);
    measured.seconds.push_back(window.wall);
    total.wall += window.wall;
    total.cpu += window.cpu;
  }
  measured.cpu_over_wall = total.cpu / total.wall;
  return measured;
}

double MedianRatio(const Measured& a, const Measured& b) {
  NEUMF_CHECK(a.seconds.size() == b.seconds.size());
  std::vector<double> ratios;
  for (size_t round = 0; round < a.seconds.size(); ++round) {
    ratios.push_back(a.seconds[round] / b.seconds[round]);
  }
  return Median(ratios);
}

double Median(std::vector<double> values) {
  NEUMF_CHECK(!values.empty());
  const size_t middle = values.size() / 2;
  std::sort(values.begin(), values.end());
  return values.size() % 2 == 1 ? values[middle]
                                : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace neumf
