#pragma once

// Compares things on a machine whose clock and neighbours never hold still.
//
// The contestants run in windows of similar length, one after the other, round
// after round (A B C A B C ...), so that what disturbs one disturbs all. Compare
// by ratios within a round; the median over the rounds is the answer.
//
//   const auto measured = RunInterleaved(
//       {[&] { ours.Run(); }, [&] { peer.Run(); }}, options);
//   const double times_faster = MedianRatio(measured[1], measured[0]);
//
// Single-threaded itself; a contestant may use as many threads as it likes.

#include <functional>
#include <vector>

namespace neumf {

// Does one piece of work, the same amount each time.
using Contestant = std::function<void()>;

struct InterleavedOptions {
  // Counts the process's CPU time instead of elapsed time. For contestants of
  // one thread the two are the same on an idle machine, and on a busy one only
  // CPU time is theirs.
  bool cpu_time = false;
  // Length of a window. A contestant whose single run takes longer stretches
  // the windows of all.
  double window_seconds = 0.05;
  // Rounds are run until this is spent, within the two limits.
  double budget_seconds = 4;
  size_t min_rounds = 5;
  size_t max_rounds = 41;
};

// What one contestant needed.
struct Measured {
  std::vector<double> seconds;  // of one run, a value a round
  // CPU time of the whole process over elapsed time in its windows: the number
  // of threads that were busy.
  double cpu_over_wall = 0;

  double Median() const;
  double Minimum() const;
};

// One result a contestant, in their order.
std::vector<Measured> RunInterleaved(const std::vector<Contestant>& contestants,
                                     const InterleavedOptions& options);

// Runs `contestant` alone for `seconds`: a value a run, in elapsed time.
Measured RunFor(double seconds, const Contestant& contestant);

// Median over the rounds of a's seconds over b's in the same round.
double MedianRatio(const Measured& a, const Measured& b);

double Median(std::vector<double> values);

}  // namespace neumf
