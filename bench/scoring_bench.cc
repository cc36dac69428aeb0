// Measures the CPU backend against the machine's peak and against its peers,
// and prints one JSON object a figure. bench/README.md says what each means;
// bench/run builds, trains the towers, sets the environment and calls this.

#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
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
ABSL_FLAG(bool, quick, false,
          "Shorter windows; of B and C one user at a time only; no 1m "
          "catalog.");

namespace neumf {
namespace {

struct Catalog {
  const char* name;
  uint64_t num_items;
};
constexpr Catalog kCatalogs[] = {{"3706", 3706}, {"100k", 100'000}};
constexpr Catalog kLargeCatalog = {"1m", 1'000'000};
constexpr size_t kBatches[] = {1, 32};

constexpr const char* kOwnFigures[] = {"fma_peak_fraction", "select_overhead",
                                       "seen_overhead"};
const Peer kTorchSplit = {"vs_torch_precomputed",
                          "LibTorch, folded first layer + topk",
                          &MakeTorchSplit};
const Peer kTorchEager = {"vs_torch_eager",
                          "LibTorch, eager over expanded pairs + topk",
                          &MakeTorchEager};
const Peer kFaissFlat = {"vs_faiss_flat", "FAISS IndexFlatIP", &MakeFaissFlat,
                         /*knows_seen_items=*/false};
constexpr const char* kFirstPassFigures[] = {"lowprec_vs_float32"};
constexpr const char* kTowerFigures[] = {
    "fma_peak_fraction",    "select_overhead",
    "seen_overhead",        "lowprec_vs_float32",
    "vs_torch_precomputed", "float32_vs_torch_precomputed",
    "vs_torch_eager",       "float32_vs_torch_eager"};
constexpr const char* kScalingFigures[] = {"t2_over_t1", "float32_t2_over_t1"};
constexpr const char* kDotFigures[] = {"vs_faiss_flat"};

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

// What a run has found out so far.
class Bench {
 public:
  Bench() : figures_(absl::GetFlag(FLAGS_only)) {}

  void MeasureTower(absl::string_view tower, const Catalog& catalog);
  void MeasureScaling(absl::string_view tower);
  void MeasureDotProducts(uint32_t dim, const Catalog& catalog);

  // Contestants that disagreed, or measured something else than was asked for.
  bool failed() const { return failed_; }

 private:
  // The batch sizes of `model_name` of which one of `what` is wanted.
  std::vector<CaseOptions> WantedCases(
      const std::string& model_name, absl::Span<const char* const> what) const;
  void Compare(const BenchModel& model, const CaseOptions& options,
               const Peer& peer);
  // Says what went wrong.
  void Note(absl::string_view name, const absl::Status& status);

  const FigureWriter figures_;
  bool failed_ = false;
};

std::vector<CaseOptions> Bench::WantedCases(
    const std::string& model_name, absl::Span<const char* const> what) const {
  std::vector<CaseOptions> cases;
  for (const size_t batch : kBatches) {
    const CaseOptions options = MakeCaseOptions(model_name, batch);
    if (figures_.WantsOneOf(options.name, what)) {
      cases.push_back(options);
    }
  }
  return cases;
}

void Bench::MeasureTower(absl::string_view tower, const Catalog& catalog) {
  const auto cases = WantedCases(
      absl::StrCat("scoring.", tower, ".", catalog.name), kTowerFigures);
  if (cases.empty()) return;
  const BenchModel model =
      MakeTower(absl::GetFlag(FLAGS_towers), tower, catalog.num_items);
  for (const CaseOptions& options : cases) {
    if (absl::GetFlag(FLAGS_quick) && options.batch > 1 && tower != "A")
      continue;
    if (figures_.WantsOneOf(options.name, kOwnFigures)) {
      MeasureAgainstPeak(model, options, figures_);
    }
    if (figures_.WantsOneOf(options.name, kFirstPassFigures)) {
      Note(options.name, MeasureFirstPass(model, options, figures_));
    }
    Compare(model, options, kTorchSplit);
    Compare(model, options, kTorchEager);
  }
}

void Bench::MeasureScaling(absl::string_view tower) {
  const CaseOptions options = MakeCaseOptions(
      absl::StrCat("scoring.", tower, ".", kLargeCatalog.name), 1);
  if (options.num_threads != 2 ||
      !figures_.WantsOneOf(options.name, kScalingFigures)) {
    return;
  }
  MeasureThreadScaling(
      MakeTower(absl::GetFlag(FLAGS_towers), tower, kLargeCatalog.num_items),
      options, figures_);
}

void Bench::MeasureDotProducts(uint32_t dim, const Catalog& catalog) {
  const auto cases =
      WantedCases(absl::StrCat("dot.d", dim, ".", catalog.name), kDotFigures);
  if (cases.empty()) return;
  const BenchModel model = MakeRandomDotProduct(dim, catalog.num_items);
  for (const CaseOptions& options : cases) Compare(model, options, kFaissFlat);
}

void Bench::Compare(const BenchModel& model, const CaseOptions& options,
                    const Peer& peer) {
  const std::string float32 = absl::StrCat("float32_", peer.figure);
  const char* const figures[] = {peer.figure, float32.c_str()};
  // Threads of libraries that spin for each other measure the scheduler.
  if (options.num_threads > 1 || !figures_.WantsOneOf(options.name, figures)) {
    return;
  }
  Note(absl::StrCat(options.name, ".", peer.figure),
       MeasureAgainstPeer(model, options, peer, figures_));
}

void Bench::Note(absl::string_view name, const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << name << ": " << status.message() << std::endl;
  failed_ = failed_ || absl::IsInternal(status);
}

int Main() {
  Bench bench;
  for (const absl::string_view tower : {"A", "B", "C"}) {
    for (const Catalog& catalog : kCatalogs) {
      bench.MeasureTower(tower, catalog);
    }
    if (!absl::GetFlag(FLAGS_quick)) bench.MeasureScaling(tower);
  }
  for (const uint32_t dim : {8, 16, 64}) {
    bench.MeasureDotProducts(dim, kCatalogs[1]);
  }
  return bench.failed() ? 1 : 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("measures the CPU scorer; see bench/README.md");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
