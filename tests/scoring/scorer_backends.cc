#include "tests/scoring/scorer_backends.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "hwy/highway.h"
#include "scoring/cpu/block_kernel.h"

namespace neumf {

std::vector<BackendCase> AllBackends() {
  std::vector<BackendCase> cases = {BackendCase{}};
  for (size_t num_threads : {1, 2, 3, 5}) {
    const std::vector<BackendCase> more = CpuBackends(num_threads);
    std::copy(more.begin(), more.end(), std::back_inserter(cases));
  }
  return cases;
}

BackendCase CpuBackend(size_t num_threads) {
  BackendCase backend;
  backend.name = absl::StrCat("cpu_threads", num_threads);
  backend.scorer_name = testing::StartsWith("cpu (");
  backend.make_builder = [num_threads](const ModelShape& shape,
                                       const ScoreNetwork& network,
                                       const FirstPassOptions& first_pass) {
    ScorerOptions options;
    options.first_pass = first_pass;
    options.num_threads = num_threads;
    options.min_shared_macs = 0;  // small catalogs too
    return MakeScorerBuilder(Backend::kCpu, shape, network, options);
  };
  return backend;
}

std::vector<BackendCase> CpuBackends(size_t num_threads) {
  std::vector<BackendCase> cases;
  int64_t targets = hwy::SupportedTargets() & CompiledKernelTargets();
  for (; targets != 0; targets &= targets - 1) {
    BackendCase backend = CpuBackend(num_threads);
    backend.target = targets & -targets;
    const char* const target = hwy::TargetName(backend.target);
    backend.name = absl::StrCat("cpu_", target, "_threads", num_threads);
    backend.scorer_name =
        testing::AnyOf(absl::StrCat("cpu (", target, ")"),
                       absl::StrCat("cpu (", target, ", int8 first pass)"));
    cases.push_back(backend);
  }
  return cases;
}

}  // namespace neumf
