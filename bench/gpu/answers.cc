#include "bench/gpu/answers.h"

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "bench/bench_model.h"
#include "bench/gpu/gpu_model.h"
#include "bench/gpu/large_catalog.h"
#include "bench/gpu/mixed_queries.h"

namespace neumf {
namespace {

// Two towers that are tuned as they are, one that rides in a wider one, one
// without tuning, and none.
const std::vector<std::vector<uint32_t>> kTowers = {
    {}, {32, 16, 8}, {64, 32, 16}, {128, 64}, {40, 20, 12}, {48, 24, 12, 6}};
constexpr uint32_t kGmfWidths[] = {8, 16, 64};
constexpr uint64_t kSizes[] = {1000, 4097, 100'000};
constexpr size_t kBatches[] = {1, 7, 120, 256, 1024};

bool AreSame(const Ranking& a, const Ranking& b) {
  if (a.eligible_count != b.eligible_count ||
      a.items.size() != b.items.size()) {
    return false;
  }
  // Bits, so that -0.0 does not pass for 0.
  return a.items.empty() ||
         std::memcmp(a.items.data(), b.items.data(),
                     a.items.size() * sizeof(ScoredRow)) == 0;
}

// Where two rankings differ first, in words.
std::string Difference(const Ranking& cpu, const Ranking& gpu) {
  if (cpu.eligible_count != gpu.eligible_count) {
    return absl::StrCat(cpu.eligible_count, " and ", gpu.eligible_count,
                        " eligible items");
  }
  if (cpu.items.size() != gpu.items.size()) {
    return absl::StrCat(cpu.items.size(), " and ", gpu.items.size(), " items");
  }
  size_t i = 0;
  while (i + 1 < cpu.items.size() &&
         std::memcmp(&cpu.items[i], &gpu.items[i], sizeof(ScoredRow)) == 0) {
    ++i;
  }
  return absl::StrCat("place ", i, ": row ", cpu.items[i].row, " with ",
                      cpu.items[i].score, " and row ", gpu.items[i].row,
                      " with ", gpu.items[i].score);
}

class Comparison {
 public:
  explicit Comparison(const FigureWriter& figures)
      : figures_(figures),
        threads_(std::max(1U, std::thread::hardware_concurrency()), "rows") {}

  absl::Status Compare(const BenchModel& model, uint64_t num_items,
                       absl::Span<const size_t> batches);
  // OK when there was no difference.
  absl::Status Conclude() const {
    if (difference_.empty()) return absl::OkStatus();
    return absl::InternalError(difference_);
  }

 private:
  struct Scorers {
    std::unique_ptr<Scorer> cpu;
    std::unique_ptr<Scorer> gpu;
  };
  absl::StatusOr<Scorers> MakeScorers(const BenchModel& model,
                                      uint64_t num_items);
  // Of `queries`, those that are answered alike.
  absl::StatusOr<size_t> CountSame(const std::string& name,
                                   const Scorers& scorers,
                                   absl::Span<const RankQuery> queries);

  const FigureWriter& figures_;
  ThreadPool threads_;
  std::string difference_;
};

absl::StatusOr<Comparison::Scorers> Comparison::MakeScorers(
    const BenchModel& model, uint64_t num_items) {
  const LargeCatalog catalog(model, num_items);
  ScorerOptions cpu_options;
  cpu_options.num_threads = threads_.num_threads();
  NEUMF_ASSIGN_OR_RETURN(const auto cpu,
                         MakeScorerBuilder(Backend::kCpu, catalog.shape(),
                                           model.network, cpu_options));
  Scorers scorers;
  NEUMF_ASSIGN_OR_RETURN(
      scorers.gpu,
      MakeGpuScorer(catalog.shape(), model.network, [&](ItemRowsSink to_gpu) {
        return catalog.Stream(threads_, [&](const ItemRows& rows) {
          NEUMF_RETURN_IF_ERROR(cpu->Add(rows));
          return to_gpu(rows);
        });
      }));
  NEUMF_ASSIGN_OR_RETURN(scorers.cpu, cpu->Build());
  return scorers;
}

absl::StatusOr<size_t> Comparison::CountSame(
    const std::string& name, const Scorers& scorers,
    absl::Span<const RankQuery> queries) {
  std::vector<Ranking> cpu(queries.size());
  std::vector<Ranking> gpu(queries.size());
  NEUMF_RETURN_IF_ERROR(scorers.cpu->Rank(queries, absl::MakeSpan(cpu)));
  NEUMF_RETURN_IF_ERROR(scorers.gpu->Rank(queries, absl::MakeSpan(gpu)));
  size_t same = 0;
  for (size_t b = 0; b < queries.size(); ++b) {
    if (AreSame(cpu[b], gpu[b])) {
      ++same;
    } else if (difference_.empty()) {
      difference_ = absl::StrCat(name, ", query ", b, " of ", queries.size(),
                                 ", CPU and GPU: ", Difference(cpu[b], gpu[b]));
    }
  }
  return same;
}

absl::Status Comparison::Compare(const BenchModel& model, uint64_t num_items,
                                 absl::Span<const size_t> batches) {
  const ModelShape& shape = model.shape;
  const std::string name = absl::StrCat(
      "gpu.same_items.[", absl::StrJoin(shape.tower_widths, ","), "].g",
      shape.gmf_width, ".", num_items, ".", model.weights());
  if (!figures_.Wants(name)) return absl::OkStatus();
  NEUMF_ASSIGN_OR_RETURN(const Scorers scorers, MakeScorers(model, num_items));
  size_t count = 0;
  size_t same = 0;
  for (const size_t batch : batches) {
    const MixedQueries queries(model, num_items, batch, batch);
    NEUMF_ASSIGN_OR_RETURN(const size_t some,
                           CountSame(name, scorers, queries.queries()));
    count += batch;
    same += some;
  }
  figures_.Write({name,
                  static_cast<double>(same) / static_cast<double>(count),
                  "of rankings",
                  {{"rankings", count},
                   {"weights", model.weights()},
                   {"scorer", scorers.gpu->name()},
                   {"cpu", scorers.cpu->name()}}});
  return absl::OkStatus();
}

absl::Status CompareTowers(const AnswerOptions& options,
                           absl::Span<const size_t> batches,
                           Comparison* comparison) {
  constexpr uint64_t kMillion = 1'000'000;
  for (const absl::string_view tower : {"A", "B", "C"}) {
    NEUMF_RETURN_IF_ERROR(comparison->Compare(
        MakeTower(options.towers, tower, kMillion / 10), kMillion, batches));
  }
  if (options.quick) return absl::OkStatus();
  return comparison->Compare(MakeTower(options.towers, "A", kMillion / 10),
                             10 * kMillion, batches.first(2));
}

absl::Status CompareRandomModels(absl::Span<const size_t> batches,
                                 Comparison* comparison) {
  for (const auto& widths : kTowers) {
    for (const uint32_t gmf : kGmfWidths) {
      for (const uint64_t size : kSizes) {
        NEUMF_RETURN_IF_ERROR(comparison->Compare(
            MakeRandomModel(widths, gmf, size), size, batches));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CompareAnswers(const AnswerOptions& options,
                            const FigureWriter& figures) {
  Comparison comparison(figures);
  const auto batches = absl::MakeConstSpan(kBatches);
  // What counts most comes first: the time may not be enough for all.
  NEUMF_RETURN_IF_ERROR(CompareTowers(options, batches.first(3), &comparison));
  NEUMF_RETURN_IF_ERROR(
      CompareRandomModels(batches.first(options.quick ? 3 : 5), &comparison));
  return comparison.Conclude();
}

}  // namespace neumf
