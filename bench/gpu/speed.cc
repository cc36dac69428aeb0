#include "bench/gpu/speed.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "bench/bench_model.h"
#include "bench/gpu/device_probes.h"
#include "bench/gpu/gpu_model.h"
#include "bench/gpu/large_catalog.h"
#include "bench/interleaved.h"
#include "bench/model_export.h"
#include "bench/scoring_case.h"

namespace neumf {
namespace {

constexpr uint64_t kMillion = 1'000'000;
constexpr size_t kBatch = 256;  // a pass
// Users who take turns; the CPU ranks each to choose what it has seen.
constexpr size_t kUsers = 32;
constexpr double kCallSeconds = 3;

// What the device can do.
struct Peaks {
  double copy_bytes = 0;  // a second
  double mma_macs = 0;
  double wide_macs = 0;

  double macs() const { return std::max(mma_macs, wide_macs); }
};

absl::StatusOr<Peaks> MeasurePeaks(cuda::Device& device,
                                   const FigureWriter& figures) {
  Peaks peaks;
  NEUMF_ASSIGN_OR_RETURN(peaks.copy_bytes, cuda::MeasureCopy(device));
  NEUMF_ASSIGN_OR_RETURN(peaks.mma_macs, cuda::MeasureMultiply(device));
  NEUMF_ASSIGN_OR_RETURN(peaks.wide_macs, cuda::MeasureMultiplyWide(device));
  const nlohmann::ordered_json gpu = {{"gpu", device.name()}};
  figures.Write(
      {"gpu.copy_bytes_per_second", peaks.copy_bytes, "bytes/s", gpu});
  figures.Write({"gpu.mma_macs_per_second", peaks.mma_macs, "MAC/s", gpu});
  figures.Write({"gpu.wgmma_macs_per_second", peaks.wide_macs, "MAC/s", gpu});
  return peaks;
}

// The users of `batch` over and over, up to a pass.
std::vector<RankQuery> Repeated(const QueryBatch& batch) {
  std::vector<RankQuery> queries;
  while (queries.size() < kBatch) {
    queries.push_back(batch.queries()[queries.size() % kUsers]);
  }
  return queries;
}

// Calls a second while `num_callers` threads call.
double CallsPerSecond(const Scorer& scorer,
                      const std::vector<RankQuery>& queries,
                      size_t num_callers) {
  std::vector<Measured> measured(num_callers);
  std::vector<std::thread> callers;
  for (Measured& own : measured) {
    callers.emplace_back([&scorer, &queries, &own] {
      std::vector<Ranking> rankings(queries.size());
      own = RunFor(kCallSeconds, [&] {
        NEUMF_CHECK(scorer.Rank(queries, absl::MakeSpan(rankings)).ok());
      });
    });
  }
  for (std::thread& caller : callers) caller.join();
  double calls = 0;
  for (const Measured& own : measured) calls += 1 / own.Median();
  return calls;
}

// The answers beside the exported model: of each user its rows, best first.
absl::Status ExportWithAnswers(const BenchModel& model, const Scorer& scorer,
                               absl::Span<const RankQuery> queries,
                               const std::string& directory) {
  std::filesystem::create_directories(directory);
  NEUMF_RETURN_IF_ERROR(ExportModel(model, queries, directory));
  std::vector<Ranking> rankings(queries.size());
  NEUMF_RETURN_IF_ERROR(scorer.Rank(queries, absl::MakeSpan(rankings)));
  nlohmann::json answers = nlohmann::json::array();
  for (const Ranking& ranking : rankings) {
    nlohmann::json rows = nlohmann::json::array();
    for (const ScoredRow& item : ranking.items) rows.push_back(item.row);
    answers.push_back(rows);
  }
  std::ofstream(directory + "/answers.json") << answers.dump();
  return absl::OkStatus();
}

class Speed {
 public:
  Speed(const SpeedOptions& options, const FigureWriter& figures,
        cuda::Device& device, const Peaks& peaks)
      : options_(options),
        figures_(figures),
        device_(device),
        peaks_(peaks),
        threads_(std::max(1U, std::thread::hardware_concurrency()), "rows") {}

  absl::Status MeasureTower(absl::string_view tower);
  absl::Status MeasureLarge(uint64_t millions);

 private:
  nlohmann::ordered_json Details(const BenchModel& model) const {
    return {{"gpu", device_.name()},
            {"macs_per_pair", MacsPerPair(model.shape)},
            {"weights", model.weights()}};
  }
  absl::Status MeasureCalls(const std::string& name, const BenchModel& model,
                            const Scorer& scorer, const QueryBatch& users,
                            double device_seconds);
  // Of a pass of the first `num_users`, in microseconds.
  absl::StatusOr<double> MeasurePass(const std::string& name,
                                     const BenchModel& model,
                                     uint64_t num_items,
                                     const GpuPasses& passes,
                                     absl::Span<const RankQuery> queries);

  const SpeedOptions options_;
  const FigureWriter& figures_;
  cuda::Device& device_;
  const Peaks peaks_;
  ThreadPool threads_;
};

absl::StatusOr<double> Speed::MeasurePass(const std::string& name,
                                          const BenchModel& model,
                                          uint64_t num_items,
                                          const GpuPasses& passes,
                                          absl::Span<const RankQuery> queries) {
  constexpr uint32_t kRounds = 21;
  NEUMF_ASSIGN_OR_RETURN(const double seconds,
                         passes.DeviceSeconds(queries, kRounds));
  const double pairs_per_second =
      static_cast<double>(num_items * queries.size()) / seconds;
  // What is read once a pass: the items in halves.
  const double bytes = 2.0 *
                       (model.shape.tower_width() + model.shape.gmf_width + 2) *
                       static_cast<double>(num_items);
  nlohmann::ordered_json details = Details(model);
  details["users"] = queries.size();
  details["pairs_per_second"] = pairs_per_second;
  details["peak_fraction"] =
      pairs_per_second * MacsPerPair(model.shape) / peaks_.macs();
  details["bandwidth_fraction"] = bytes / seconds / peaks_.copy_bytes;
  const bool is_one = queries.size() == 1;
  figures_.Write({absl::StrCat(name, ".b", queries.size(),
                               is_one ? ".device_us" : ".device_us_per_user"),
                  seconds * 1e6 / static_cast<double>(queries.size()), "us",
                  details});
  return seconds;
}

absl::Status Speed::MeasureCalls(const std::string& name,
                                 const BenchModel& model, const Scorer& scorer,
                                 const QueryBatch& users,
                                 double device_seconds) {
  const std::vector<RankQuery> queries = Repeated(users);
  const double pairs =
      static_cast<double>(model.shape.num_items * queries.size());
  const double one = pairs * CallsPerSecond(scorer, queries, 1);
  std::vector<Ranking> rankings(queries.size());
  NEUMF_RETURN_IF_ERROR(scorer.Rank(queries, absl::MakeSpan(rankings)));
  double rescored = 0;
  for (const Ranking& ranking : rankings) {
    rescored += static_cast<double>(ranking.rescored_count) / kBatch;
  }
  nlohmann::ordered_json details = Details(model);
  details["scorer"] = scorer.name();
  details["device_pairs_per_second"] = pairs / device_seconds;
  details["two_callers_pairs_per_second"] =
      pairs * CallsPerSecond(scorer, queries, 2);
  details["peak_fraction"] = one * MacsPerPair(model.shape) / peaks_.macs();
  details["rescored_per_user"] = rescored;
  details["host_us_one_user"] =
      1e6 / CallsPerSecond(scorer, {queries.front()}, 1);
  figures_.Write(
      {absl::StrCat(name, ".b256.pairs_per_second"), one, "pairs/s", details});
  return absl::OkStatus();
}

absl::Status Speed::MeasureTower(absl::string_view tower) {
  const std::string name = absl::StrCat("gpu.", tower, ".1m.k100");
  if (!figures_.WantsOneOf(name, {"b1.device_us", "b256.device_us_per_user",
                                  "b256.pairs_per_second"})) {
    return absl::OkStatus();
  }
  const BenchModel model = MakeTower(options_.towers, tower, kMillion);
  const auto rows = [&](ItemRowsSink sink) {
    return StreamItemTables(model.items, sink);
  };
  NEUMF_ASSIGN_OR_RETURN(const auto scorer,
                         MakeGpuScorer(model.shape, model.network, rows));
  NEUMF_ASSIGN_OR_RETURN(
      const auto passes,
      GpuPasses::Make(device_, model.shape, model.network, rows));
  const QueryBatch users(model, kUsers, kSeen, kBest);
  NEUMF_RETURN_IF_ERROR(
      MeasurePass(name, model, kMillion, *passes, users.queries().first(1))
          .status());
  NEUMF_ASSIGN_OR_RETURN(
      const double seconds,
      MeasurePass(name, model, kMillion, *passes, Repeated(users)));
  NEUMF_RETURN_IF_ERROR(MeasureCalls(name, model, *scorer, users, seconds));
  if (options_.export_to.empty()) return absl::OkStatus();
  return ExportWithAnswers(model, *scorer, users.queries(),
                           absl::StrCat(options_.export_to, "/", tower));
}

absl::Status Speed::MeasureLarge(uint64_t millions) {
  const std::string name = absl::StrCat("gpu.A.", millions, "m.k100");
  if (!figures_.WantsOneOf(name, {"b1.device_us", "b256.device_us_per_user"})) {
    return absl::OkStatus();
  }
  const BenchModel model = MakeTower(options_.towers, "A", kMillion);
  const LargeCatalog catalog(model, millions * kMillion);
  const auto passes = GpuPasses::Make(
      device_, catalog.shape(), model.network,
      [&](ItemRowsSink sink) { return catalog.Stream(threads_, sink); });
  NEUMF_RETURN_IF_ERROR(passes.status());
  const QueryBatch users(model, kUsers, kSeen, kBest);
  const uint64_t num_items = catalog.shape().num_items;
  NEUMF_RETURN_IF_ERROR(
      MeasurePass(name, model, num_items, **passes, users.queries().first(1))
          .status());
  return MeasurePass(name, model, num_items, **passes, Repeated(users))
      .status();
}

}  // namespace

absl::Status MeasureSpeed(const SpeedOptions& options,
                          const FigureWriter& figures) {
  NEUMF_ASSIGN_OR_RETURN(const auto device, cuda::Device::Open(0));
  NEUMF_ASSIGN_OR_RETURN(const Peaks peaks, MeasurePeaks(*device, figures));
  Speed speed(options, figures, *device, peaks);
  for (const absl::string_view tower : {"A", "B", "C"}) {
    NEUMF_RETURN_IF_ERROR(speed.MeasureTower(tower));
  }
  NEUMF_RETURN_IF_ERROR(speed.MeasureLarge(10));
  return options.quick ? absl::OkStatus() : speed.MeasureLarge(100);
}

}  // namespace neumf
