// Measures the CPU backend against the machine's peak and against its peers,
// and prints one JSON object a figure. bench/README.md says what each means;
// bench/run builds, trains the towers, sets the environment and calls this.

#include <array>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "bench/bench_model.h"
#include "bench/figures.h"
#include "bench/scoring_case.h"

ABSL_FLAG(std::string, towers, "build/bench/towers",
          "Directory with the trained towers A, B and C, a directory of "
          "checkpoints each. What is missing is measured with random weights.");
ABSL_FLAG(size_t, threads, 1,
          "Threads of every contestant. OPENBLAS_NUM_THREADS and "
          "OMP_NUM_THREADS must say the same.");
ABSL_FLAG(std::string, only, "", "Measures figures whose name holds this.");
ABSL_FLAG(bool, quick, false, "Fewer rounds, shorter windows, no 1m catalog.");

namespace neumf {
namespace {

struct Catalog {
  const char* name;
  uint64_t num_items;
};
constexpr Catalog kCatalogs[] = {{"3706", 3706}, {"100k", 100'000}};
constexpr Catalog kLargeCatalog = {"1m", 1'000'000};
constexpr size_t kBatches[] = {1, 32};

InterleavedOptions MakeInterleavedOptions() {
  InterleavedOptions options;
  options.cpu_time = absl::GetFlag(FLAGS_threads) == 1;
  if (!absl::GetFlag(FLAGS_quick)) return options;
  options.window_seconds = 0.02;
  options.budget_seconds = 0.5;
  options.min_rounds = 3;
  return options;
}

CaseOptions MakeCaseOptions(const std::string& model_name, size_t batch) {
  CaseOptions options;
  options.batch = batch;
  options.num_threads = absl::GetFlag(FLAGS_threads);
  options.name = absl::StrCat(model_name, ".k", kBest, ".b", batch, ".t",
                              options.num_threads);
  options.interleaved = MakeInterleavedOptions();
  return options;
}

// Tower `name`, trained when there is such a checkpoint, with `num_items`.
BenchModel MakeTower(const char* name, uint64_t num_items) {
  const auto trained =
      LoadTrainedModel(absl::StrCat(absl::GetFlag(FLAGS_towers), "/", name));
  if (trained.ok()) return WithItems(*trained, num_items);
  std::cerr << "random weights for tower " << name << ": "
            << trained.status().message() << std::endl;
  return MakeRandomTower(name, num_items);
}

void MeasureTower(const char* tower, const Catalog& catalog,
                  const FigureWriter& figures) {
  const std::string name = absl::StrCat("scoring.", tower, ".", catalog.name);
  std::vector<CaseOptions> cases;
  for (size_t batch : kBatches) {
    const CaseOptions options = MakeCaseOptions(name, batch);
    if (figures.WantsOneOf(
            options.name,
            {".fma_peak_fraction", ".select_overhead", ".seen_overhead"})) {
      cases.push_back(options);
    }
  }
  if (cases.empty()) return;
  const BenchModel model = MakeTower(tower, catalog.num_items);
  for (const CaseOptions& options : cases) {
    MeasureAgainstPeak(model, options, figures);
  }
}

void MeasureScaling(const char* tower, const FigureWriter& figures) {
  CaseOptions options = MakeCaseOptions(
      absl::StrCat("scoring.", tower, ".", kLargeCatalog.name), 1);
  if (options.num_threads != 2 ||
      !figures.WantsOneOf(options.name, {".t2_over_t1"})) {
    return;
  }
  MeasureThreadScaling(MakeTower(tower, kLargeCatalog.num_items), options,
                       figures);
}

int Main() {
  const FigureWriter figures(absl::GetFlag(FLAGS_only));
  for (const char* tower : {"A", "B", "C"}) {
    for (const Catalog& catalog : kCatalogs) {
      MeasureTower(tower, catalog, figures);
    }
    if (!absl::GetFlag(FLAGS_quick)) MeasureScaling(tower, figures);
  }
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("measures the CPU scorer; see bench/README.md");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
