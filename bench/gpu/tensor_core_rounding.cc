// Measures how tensor cores round, and holds it against what the error bound of
// the coarse scan takes for granted: prints a figure for each kind of product.
// The status is 1 when one rounds more than it may, 77 without a GPU.

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "bench/figures.h"
#include "bench/gpu/probe_kernels.h"
#include "bench/gpu/rounding_trials.h"
#include "scoring/cuda/device/device.h"
#include "scoring/cuda/device/launch.h"

namespace neumf::cuda {
namespace {

constexpr uint32_t kTrials = 20'000;
constexpr uint64_t kSeeds = 10;

// A copy of `values` that kernels reach too.
template <typename T>
absl::StatusOr<Memory> Pinned(Device& device, const std::vector<T>& values) {
  NEUMF_ASSIGN_OR_RETURN(Memory memory,
                         Memory::Allocate(device, Memory::Place::kPinned,
                                          sizeof(T) * values.size()));
  std::copy(values.begin(), values.end(), memory.as<T>());
  return memory;
}

// trials->acc += trials->a x trials->b, on the device.
template <typename Kernel>
absl::Status Run(Device& device, uint32_t shared_bytes,
                 RoundingTrials* trials) {
  NEUMF_ASSIGN_OR_RETURN(const Memory a, Pinned(device, trials->a));
  NEUMF_ASSIGN_OR_RETURN(const Memory b, Pinned(device, trials->b));
  NEUMF_ASSIGN_OR_RETURN(const Memory acc, Pinned(device, trials->acc));
  NEUMF_ASSIGN_OR_RETURN(const auto stream, device.MakeStream());
  Kernel kernel;
  kernel.count = trials->count;
  kernel.a = a.as<uint32_t>();
  kernel.b = b.as<uint32_t>();
  kernel.acc = acc.as<float>();
  NEUMF_RETURN_IF_ERROR(Launch(
      *stream, {device.num_multiprocessors() * 4, shared_bytes}, kernel));
  NEUMF_RETURN_IF_ERROR(stream->Synchronize());
  std::copy_n(acc.as<float>(), trials->acc.size(), trials->acc.begin());
  return absl::OkStatus();
}

// Whether products of this form round no more than they may.
template <typename Kernel>
absl::StatusOr<bool> Measure(Device& device, const ProductForm& form,
                             uint32_t shared_bytes) {
  double worst = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    RoundingTrials trials = MakeRoundingTrials(form, kTrials, seed);
    NEUMF_RETURN_IF_ERROR(Run<Kernel>(device, shared_bytes, &trials));
    worst = std::max(worst, WorstRounding(trials));
  }
  const double allowed = AllowedRounding(form);
  FigureWriter("").Write({std::string("gpu.rounding.") + form.name,
                          worst,
                          "of 2^-22 of the magnitude",
                          {{"allowed", allowed}, {"gpu", device.name()}}});
  return worst <= allowed;
}

absl::StatusOr<bool> MeasureAll(Device& device) {
  NEUMF_ASSIGN_OR_RETURN(const bool mma16,
                         Measure<MultiplyOnce<4>>(device, kMma16Form, 0));
  NEUMF_ASSIGN_OR_RETURN(const bool mma8,
                         Measure<MultiplyOnce<2>>(device, kMma8Form, 0));
  if (!device.has_wide_mma()) return mma16 && mma8;
  NEUMF_ASSIGN_OR_RETURN(
      const bool wide, Measure<MultiplyOnceWide>(
                           device, kWideForm, MultiplyOnceWide::kSharedBytes));
  return mma16 && mma8 && wide;
}

int Main() {
  const auto device = Device::Open(0);
  if (!device.ok()) {
    std::cerr << device.status().message() << std::endl;
    return 77;
  }
  const absl::StatusOr<bool> is_right = MeasureAll(**device);
  if (!is_right.ok()) {
    std::cerr << is_right.status().message() << std::endl;
    return 1;
  }
  return *is_right ? 0 : 1;
}

}  // namespace
}  // namespace neumf::cuda

int main() { return neumf::cuda::Main(); }
