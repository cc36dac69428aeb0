#include <gtest/gtest.h>

#include "bench/fma_peak.h"
#include "bench/interleaved.h"

namespace neumf {
namespace {

TEST(FmaProbeTest, CountsWhatItRuns) {
  FmaProbe one(1);
  FmaProbe two(2);
  EXPECT_EQ(two.macs_per_run(), 2 * one.macs_per_run());
  one.Run();
  two.Run();
}

// A loop that the compiler had removed would be faster than any machine.
TEST(FmaProbeTest, IsNotFasterThanHardware) {
  FmaProbe probe(1);
  const double seconds = RunFor(0.02, [&] { probe.Run(); }).Minimum();
  constexpr double kMacsPerClock = 64;  // two pipes of 512 bits, twice
  constexpr double kClock = 6e9;
  EXPECT_LT(probe.macs_per_run() / seconds, kMacsPerClock * kClock);
  EXPECT_GT(probe.macs_per_run() / seconds, 1e8);
}

TEST(CopyProbeTest, CountsReadsAndWrites) {
  CopyProbe probe(2);
  probe.Run();
  EXPECT_EQ(probe.bytes_per_run(), 2.0 * (64 << 20));
}

}  // namespace
}  // namespace neumf
