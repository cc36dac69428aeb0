#pragma once

// The scoring figures of one model, batch size and number of threads.

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "bench/bench_model.h"
#include "bench/figures.h"
#include "bench/interleaved.h"
#include "bench/peers.h"

namespace neumf {

inline constexpr uint32_t kBest = 100;
inline constexpr size_t kSeen = 200;

// What a case is measured with.
struct CaseOptions {
  std::string name;  // "scoring.A.100k.k100.b32.t1"
  size_t batch = 1;
  size_t num_threads = 1;
  InterleavedOptions interleaved;
};

// A scorer at work on a batch of queries, `batch` of them at a time and the next
// ones the next time, so that no figure hangs on one user.
class RankLoop {
 public:
  // Both must outlive it.
  RankLoop(const Scorer& scorer, const QueryBatch& users, size_t batch);

  void RunOnce();

 private:
  const Scorer& scorer_;
  const absl::Span<const RankQuery> queries_;
  std::vector<Ranking> rankings_;
  size_t next_ = 0;
};

// fma_peak_fraction, select_overhead and seen_overhead of the CPU backend
// without its first pass: with one it does not do the multiply-adds.
void MeasureAgainstPeak(const BenchModel& model, const CaseOptions& options,
                        const FigureWriter& figures);

// lowprec_vs_float32: how much faster the first pass makes it. INTERNAL when it
// changes an answer.
absl::Status MeasureFirstPass(const BenchModel& model,
                              const CaseOptions& options,
                              const FigureWriter& figures);

// Another scorer to compare with.
struct Peer {
  const char* figure = nullptr;    // "vs_torch_eager"
  const char* baseline = nullptr;  // what it is, in words
  absl::StatusOr<std::unique_ptr<Scorer>> (*make)(const BenchModel& model,
                                                  size_t num_threads) = nullptr;
  bool knows_seen_items = true;
};

// How many times faster the CPU backend is than `peer`, once their answers are
// found to be the same; with a tower also without its first pass
// (float32_vs_...). INTERNAL when they are not, or when a contestant kept more
// than its threads busy; other errors mean that there is nothing to compare
// with here.
absl::Status MeasureAgainstPeer(const BenchModel& model,
                                const CaseOptions& options, const Peer& peer,
                                const FigureWriter& figures);

// t2_over_t1: how much faster two threads answer than one; float32_t2_over_t1
// without the first pass.
void MeasureThreadScaling(const BenchModel& model, const CaseOptions& options,
                          const FigureWriter& figures);

}  // namespace neumf
