#include "bench/scoring_case.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "bench/fma_peak.h"
#include "bench/kernel_alone.h"
#include "bench/same_items.h"

namespace neumf {
namespace {

constexpr size_t kUsers = 32;
// A batch of one is checked for some users more.
constexpr size_t kCheckedUsers = 4;
// CPU time over elapsed time that `n` busy threads may show.
constexpr double kMeasuringError = 1.05;

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

std::vector<Ranking> RankAll(const Scorer& scorer,
                             absl::Span<const RankQuery> queries) {
  std::vector<Ranking> rankings(queries.size());
  NEUMF_CHECK(scorer.Rank(queries, absl::MakeSpan(rankings)).ok());
  return rankings;
}

absl::Status CheckBusyThreads(const std::vector<Measured>& measured,
                              size_t num_threads) {
  for (const Measured& contestant : measured) {
    const double busy = contestant.cpu_over_wall;
    if (busy <= kMeasuringError * static_cast<double>(num_threads)) continue;
    return absl::InternalError(absl::StrCat(
        "a contestant kept ", busy, " threads busy instead of ", num_threads));
  }
  return absl::OkStatus();
}

// INTERNAL unless items and score bits are the same.
absl::Status CheckEqual(absl::Span<const Ranking> a,
                        absl::Span<const Ranking> b) {
  for (size_t u = 0; u < a.size(); ++u) {
    if (a[u].items == b[u].items) continue;
    return absl::InternalError(
        absl::StrCat("the first pass changed the answer of user ", u));
  }
  return absl::OkStatus();
}

double MeanRescored(absl::Span<const Ranking> rankings) {
  double sum = 0;
  for (const Ranking& ranking : rankings) {
    sum += static_cast<double>(ranking.rescored_count);
  }
  return sum / static_cast<double>(rankings.size());
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
  const auto scorer = MakeFloat32Scorer(model, options.num_threads);
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
  details["probe_cpu_over_wall"] = measured[1].cpu_over_wall;
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

absl::Status MeasureFirstPass(const BenchModel& model,
                              const CaseOptions& options,
                              const FigureWriter& figures) {
  const auto scorer = MakeScorer(model, options.num_threads);
  const auto float32 = MakeFloat32Scorer(model, options.num_threads);
  const QueryBatch users(model, kUsers, kSeen, kBest);
  const std::vector<Ranking> rankings = RankAll(*scorer, users.queries());
  NEUMF_RETURN_IF_ERROR(
      CheckEqual(rankings, RankAll(*float32, users.queries())));

  RankLoop with(*scorer, users, options.batch);
  RankLoop without(*float32, users, options.batch);
  const auto measured =
      RunInterleaved({[&] { with.RunOnce(); }, [&] { without.RunOnce(); }},
                     options.interleaved);
  nlohmann::ordered_json details = DetailsOf(model, options, measured[0]);
  details["baseline"] = "the same scorer without its first pass";
  details["baseline_median_us"] = measured[1].Median() * 1e6;
  details["scorer"] = scorer->name();
  details["rescored_per_user"] = MeanRescored(rankings);
  figures.Write({absl::StrCat(options.name, ".lowprec_vs_float32"),
                 MedianRatio(measured[1], measured[0]), "x", details});
  return absl::OkStatus();
}

absl::Status MeasureAgainstPeer(const BenchModel& model,
                                const CaseOptions& options, const Peer& peer,
                                const FigureWriter& figures) {
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<Scorer> other,
                         peer.make(model, options.num_threads));
  NEUMF_RETURN_IF_ERROR(CheckBlas(options.num_threads));
  const auto scorer = MakeScorer(model, options.num_threads);
  const auto float32 = MakeFloat32Scorer(model, options.num_threads);
  const QueryBatch users(model, kUsers, peer.knows_seen_items ? kSeen : 0,
                         kBest);
  const auto checked =
      users.queries().first(std::max(options.batch, kCheckedUsers));
  const std::vector<Ranking> expected = RankAll(*scorer, checked);
  NEUMF_RETURN_IF_ERROR(CheckEqual(expected, RankAll(*float32, checked)));
  NEUMF_RETURN_IF_ERROR(
      CheckSameItems(other->name(), expected, RankAll(*other, checked)));

  RankLoop ours(*scorer, users, options.batch);
  RankLoop theirs(*other, users, options.batch);
  RankLoop ours_in_float32(*float32, users, options.batch);
  const auto measured =
      RunInterleaved({[&] { ours.RunOnce(); }, [&] { theirs.RunOnce(); },
                      [&] { ours_in_float32.RunOnce(); }},
                     options.interleaved);
  NEUMF_RETURN_IF_ERROR(CheckBusyThreads(measured, options.num_threads));

  nlohmann::ordered_json details = DetailsOf(model, options, measured[0]);
  details["baseline"] = peer.baseline;
  details["baseline_median_us"] = measured[1].Median() * 1e6;
  details["baseline_cpu_over_wall"] = measured[1].cpu_over_wall;
  figures.Write({absl::StrCat(options.name, ".", peer.figure),
                 MedianRatio(measured[1], measured[0]), "x", details});
  if (!model.shape.has_tower()) return absl::OkStatus();
  details.update(DetailsOf(model, options, measured[2]));
  figures.Write({absl::StrCat(options.name, ".float32_", peer.figure),
                 MedianRatio(measured[1], measured[2]), "x", details});
  return absl::OkStatus();
}

void MeasureThreadScaling(const BenchModel& model, const CaseOptions& options,
                          const FigureWriter& figures) {
  const std::unique_ptr<Scorer> scorers[] = {
      MakeScorer(model, 1), MakeScorer(model, 2), MakeFloat32Scorer(model, 1),
      MakeFloat32Scorer(model, 2)};
  const QueryBatch users(model, kUsers, kSeen, kBest);
  FmaProbe probe_one(1);
  FmaProbe probe_two(2);
  std::vector<Contestant> contestants = {[&] { probe_one.Run(); },
                                         [&] { probe_two.Run(); }};
  for (const auto& scorer : scorers) {
    contestants.emplace_back(
        [rank = RankLoop(*scorer, users, options.batch)]() mutable {
          rank.RunOnce();
        });
  }
  const auto measured = RunInterleaved(contestants, options.interleaved);

  const auto write = [&](const char* figure, const Measured& one,
                         const Measured& two) {
    nlohmann::ordered_json details = DetailsOf(model, options, two);
    details["baseline"] = "one thread";
    details["baseline_median_us"] = one.Median() * 1e6;
    // What this machine gave a loop that shares nothing at the same time.
    details["probe_t2_over_t1"] = probe_two.macs_per_run() /
                                  probe_one.macs_per_run() *
                                  MedianRatio(measured[0], measured[1]);
    figures.Write({absl::StrCat(options.name, ".", figure),
                   MedianRatio(one, two), "x", details});
  };
  write("t2_over_t1", measured[2], measured[3]);
  write("float32_t2_over_t1", measured[4], measured[5]);
}

}  // namespace neumf
