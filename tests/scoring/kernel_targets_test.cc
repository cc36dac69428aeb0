// Which instruction sets were tested, said aloud: a vector path that was never
// run is not covered, however green the tests are. The scorer tests check by
// name that each case runs the instruction set that it stands for.

#include <iostream>

#include "absl/strings/str_join.h"
#include "hwy/highway.h"
#include "scoring/cpu/block_kernel.h"
#include "scoring/cpu/coarse_kernel.h"
#include "tests/scoring/scorer_backends.h"

namespace neumf {
namespace {

std::string NamesOf(int64_t targets) {
  std::vector<std::string> names;
  for (; targets != 0; targets &= targets - 1) {
    names.emplace_back(hwy::TargetName(targets & -targets));
  }
  return names.empty() ? "none" : absl::StrJoin(names, " ");
}

int64_t TestedTargets() {
  int64_t targets = 0;
  for (const BackendCase& backend : AllBackends()) targets |= backend.target;
  return targets;
}

// What this machine has of the instruction sets that the kernel is meant for:
// with a fused multiply-add and vectors of a fixed size.
int64_t TargetsToExpect() {
#if HWY_ARCH_X86
  constexpr int64_t kMeantFor = HWY_AVX3_DL | HWY_AVX3 | HWY_AVX2;
#elif HWY_ARCH_ARM_A64
  constexpr int64_t kMeantFor = HWY_NEON;
#else
  constexpr int64_t kMeantFor = 0;
#endif
  return hwy::SupportedTargets() & kMeantFor;
}

class KernelTargetsTest : public testing::Test {
 protected:
  ~KernelTargetsTest() override { hwy::SetSupportedTargetsForTest(0); }
};

TEST_F(KernelTargetsTest, TestsRunEveryTargetOfThisMachine) {
  const int64_t tested = TestedTargets();
  std::cout << "instruction sets tested: " << NamesOf(tested)
            << "; compiled, but this machine cannot run: "
            << NamesOf(CompiledKernelTargets() & ~tested)
            << "; this machine has, but not compiled: "
            << NamesOf(hwy::SupportedTargets() & ~CompiledKernelTargets())
            << std::endl;
  EXPECT_EQ(NamesOf(TargetsToExpect() & ~tested), "none") << "was not tested";
}

TEST_F(KernelTargetsTest, TestsRunTheFirstPassOfThisMachine) {
  const bool has_vnni = (hwy::SupportedTargets() & HWY_AVX3_DL) != 0;
  std::cout << "int8 first pass (AVX3_DL): "
            << (has_vnni ? "tested"
                         : "compiled, but this machine cannot run it")
            << std::endl;
  EXPECT_EQ(FindCoarseKernel() != nullptr, has_vnni);
}

#if HWY_ARCH_X86
TEST_F(KernelTargetsTest, MachinesWithoutFusedMultiplyAddGetTheReference) {
  hwy::SetSupportedTargetsForTest(HWY_SSE4);
  const auto scorer = MakeScorer(CpuBackend(1), MakeTinyModel({}));
  EXPECT_STREQ(scorer->name(), "reference");
}
#endif

}  // namespace
}  // namespace neumf
