// Which instruction sets were tested, said aloud: a vector path that was never
// run is not covered, however green the tests are.

#include <algorithm>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "hwy/highway.h"
#include "scoring/cpu/block_kernel.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

std::vector<std::string> NamesOf(int64_t targets) {
  std::vector<std::string> names;
  for (; targets != 0; targets &= targets - 1) {
    names.push_back(hwy::TargetName(targets & -targets));
  }
  return names;
}

int64_t TargetsOfAllCases() {
  int64_t targets = 0;
  for (const BackendCase& backend : AllBackends()) targets |= backend.target;
  return targets;
}

// Better targets have lower bits. Those before AVX2 have no fused multiply-add.
int64_t BestTargetOfThisMachine() {
  const int64_t best = hwy::SupportedAndGeneratedTargets().front();
#if HWY_ARCH_X86
  return best <= HWY_AVX2 ? best : 0;
#else
  return best;
#endif
}

class KernelTargetsTest : public testing::Test {
 protected:
  ~KernelTargetsTest() override { hwy::SetSupportedTargetsForTest(0); }

  static std::string NameWith(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    return MakeScorer({Backend::kCpu, 1, target}, MakeTinyModel({}))->name();
  }
};

TEST_F(KernelTargetsTest, TestsRunTheBestTargetOfThisMachine) {
  const int64_t tested = TargetsOfAllCases();
  const int64_t not_run = CompiledKernelTargets() & ~tested;
  std::cout << "tested: " << absl::StrJoin(NamesOf(tested), " ")
            << "; compiled, but this machine cannot run: "
            << (not_run == 0 ? "none" : absl::StrJoin(NamesOf(not_run), " "))
            << std::endl;
  const int64_t best = BestTargetOfThisMachine();
  EXPECT_EQ(tested & best, best) << hwy::TargetName(best) << " was not tested";
}

TEST_F(KernelTargetsTest, EveryCaseRunsTheTargetInItsName) {
  for (const BackendCase& backend : AllBackends()) {
    if (backend.target == 0) continue;
    EXPECT_EQ(NameWith(backend.target),
              absl::StrCat("cpu (", hwy::TargetName(backend.target), ")"));
  }
}

#if HWY_ARCH_X86
TEST_F(KernelTargetsTest, MachinesWithoutFusedMultiplyAddGetTheReference) {
  EXPECT_EQ(NameWith(HWY_SSE4), "reference");
}
#endif

}  // namespace
}  // namespace neumf
