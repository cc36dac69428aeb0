#pragma once

// A catalog on the GPU: as a scorer, and as what is inside one, whose time on
// the device can be told from the host's.

#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bench/gpu/device_probes.h"
#include "model/serving_model.h"
#include "scoring/cuda/cuda_model.h"
#include "scoring/cuda/device/device.h"
#include "scoring/scorer.h"

namespace neumf {

// Feeds all rows of a catalog to the sink that it is given.
using RowSource = absl::FunctionRef<absl::Status(ItemRowsSink)>;

absl::StatusOr<std::unique_ptr<Scorer>> MakeGpuScorer(
    const ModelShape& shape, const ScoreNetwork& network, RowSource rows);

// The passes of a scorer, one at a time.
class GpuPasses {
 public:
  // `device` must outlive it.
  static absl::StatusOr<std::unique_ptr<GpuPasses>> Make(
      cuda::Device& device, const ModelShape& shape,
      const ScoreNetwork& network, RowSource rows);

  // What a pass over `queries` takes on the device, the copies of questions and
  // answers included: the median of `rounds`. FAILED_PRECONDITION when they do
  // not fit one pass.
  absl::StatusOr<double> DeviceSeconds(absl::Span<const RankQuery> queries,
                                       uint32_t rounds) const;

 private:
  GpuPasses(std::unique_ptr<cuda::CudaModel> model, cuda::DeviceClock clock)
      : model_(std::move(model)), clock_(std::move(clock)) {}

  const std::unique_ptr<cuda::CudaModel> model_;
  const cuda::DeviceClock clock_;
};

}  // namespace neumf
