#include "bench/scoring_case.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "bench/fma_peak.h"
#include "bench/kernel_alone.h"

namespace neumf {
namespace {

constexpr size_t kUsers = 32;

nlohmann::ordered_json DetailsOf(const BenchModel& model,
                                 const CaseOptions& options,
                                 const Measured& ours) {
  const double pairs =
      static_cast<double>(options.batch * model.shape.num_items);
  return {{"median_us", ours.Median() * 1e6},
          {"pairs_per_second", pairs / ours.Median()},
          {"macs_per_pair", MacsPerPair(model.shape)},
          {"threads", options.num_threads},
          {"cpu_over_wall", ours.cpu_over_wall},
          {"rounds", ours.seconds.size()},
          {"weights", model.weights()}};
}

}  // namespace

RankLoop::RankLoop(const Scorer& scorer, const QueryBatch& users, size_t batch)
    : scorer_(scorer), queries_(users.queries()), rankings_(batch) {
  NEUMF_CHECK(queries_.size() % batch == 0);
}

void RankLoop::RunOnce() {
  const auto batch = queries_.subspan(next_, rankings_.size());
  NEUMF_CHECK(scorer_.Rank(batch, absl::MakeSpan(rankings_)).ok());
  next_ = (next_ + batch.size()) % queries_.size();
}

void MeasureAgainstPeak(const BenchModel& model, const CaseOptions& options,
                        const FigureWriter& figures) {
  const auto scorer = MakeScorer(model, Backend::kCpu, options.num_threads);
  const QueryBatch users(model, kUsers, kSeen, kBest);
  const QueryBatch newcomers(model, kUsers, 0, kBest);
  RankLoop rank(*scorer, users, options.batch);
  RankLoop rank_unfiltered(*scorer, newcomers, options.batch);
  KernelAlone kernel(model, options.num_threads);
  FmaProbe fma(options.num_threads);
  CopyProbe copy(options.num_threads);

  const auto measured =
      RunInterleaved({[&] { rank.RunOnce(); }, [&] { fma.Run(); },
                      [&] { kernel.Run(users.queries().first(options.batch)); },
                      [&] { rank_unfiltered.RunOnce(); }, [&] { copy.Run(); }},
                     options.interleaved);
  const Measured& ours = measured[0];
  const double macs =
      static_cast<double>(options.batch * model.shape.num_items) *
      MacsPerPair(model.shape);

  nlohmann::ordered_json details = DetailsOf(model, options, ours);
  details["peak_macs_per_second"] = fma.macs_per_run() / measured[1].Median();
  details["copy_bytes_per_second"] =
      copy.bytes_per_run() / measured[4].Median();
  details["target"] = FmaProbe::target();
  details["baseline"] = "FMA probe, same threads, adjacent windows";
  figures.Write({absl::StrCat(options.name, ".fma_peak_fraction"),
                 macs / fma.macs_per_run() * MedianRatio(measured[1], ours),
                 "of peak", details});
  details["baseline"] = "the kernel over the same blocks, nothing selected";
  figures.Write({absl::StrCat(options.name, ".select_overhead"),
                 MedianRatio(ours, measured[2]) - 1, "of kernel time",
                 details});
  details["baseline"] = "the same users with nothing seen";
  figures.Write({absl::StrCat(options.name, ".seen_overhead"),
                 MedianRatio(ours, measured[3]) - 1, "of unfiltered time",
                 details});
}

void MeasureThreadScaling(const BenchModel& model, const CaseOptions& options,
                          const FigureWriter& figures) {
  const auto one = MakeScorer(model, Backend::kCpu, 1);
  const auto two = MakeScorer(model, Backend::kCpu, 2);
  const QueryBatch users(model, kUsers, kSeen, kBest);
  RankLoop rank_one(*one, users, options.batch);
  RankLoop rank_two(*two, users, options.batch);
  const auto measured =
      RunInterleaved({[&] { rank_one.RunOnce(); }, [&] { rank_two.RunOnce(); }},
                     options.interleaved);
  nlohmann::ordered_json details = DetailsOf(model, options, measured[1]);
  details["baseline"] = "one thread";
  figures.Write({absl::StrCat(options.name, ".t2_over_t1"),
                 MedianRatio(measured[0], measured[1]), "x", details});
}

}  // namespace neumf
