#pragma once

// Which device scores, and whether it still can.
//
// ChooseDevice() decides once, at the start, whether there is a GPU to use. Each
// checkpoint then asks for a place on it:
//
//   what the GPU says of a model    --device=cuda    --device=auto
//   it takes it                     GPU              GPU
//   UNIMPLEMENTED, e.g. a GELU      refused          CPU: no GPU ever takes it
//   RESOURCE_EXHAUSTED, and a
//     version is served by the GPU  refused          refused: the CPU would be
//                                                    many times slower, and the
//                                                    old version can serve on
//     otherwise                     refused          CPU: better than nothing
//   UNAVAILABLE                     refused          refused: the GPU is lost
//
// LIVES. An error of a GPU takes down everything on it. So scorers carry the
// number of the life of the GPU that they were made in. Whoever meets an error
// reports it with that number: the first report ends the life, further ones
// change nothing, and what was made in an ended life is dead, for ever. Renew()
// begins the next life, or leaves the GPU for good (--on_device_error=cpu).
//
// Any thread may call any method, but for TryGpu(), GoesToCpu(), BytesNeeded(),
// HasRoomWithout(), Renew() and ReportMemory(): one thread at a time.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/serving_model.h"
#include "scoring/scorer.h"
#include "server/gpu.h"
#include "server/server_metrics.h"
#include "server/snapshot.h"

namespace neumf {

enum class DeviceFlag { kAuto, kCpu, kCuda };
enum class OnDeviceError { kRecover, kCpu };

struct DeviceOptions {
  // Where to score. kCuda takes the CPU only after an error of the GPU, if that
  // is asked for below. Default: the GPU where there is one and the model fits
  // it.
  DeviceFlag device = DeviceFlag::kAuto;
  // What follows an error of the GPU: it is reset and the model loaded to it
  // again, or the CPU takes over. Default: the GPU, since a CPU may be too slow
  // for the load that it was bought for.
  OnDeviceError on_device_error = OnDeviceError::kRecover;
  // Default: the first CUDA device.
  Gpu gpu = MakeCudaGpu(0);
};

struct DeviceChoice {
  bool uses_gpu = false;
  std::string reason;
};

// UNAVAILABLE names the flag: the GPU was asked for, and there is none.
absl::StatusOr<DeviceChoice> ChooseDevice(const DeviceOptions& options);
// One line.
void LogChoice(const DeviceChoice& choice);

class ScoringDevice {
 public:
  // `uses_gpu` is that of ChooseDevice(). `on_loss` is called once for each
  // life that ends, by the thread that reports it, and must not block.
  // `metrics` must outlive this.
  ScoringDevice(DeviceOptions options, bool uses_gpu, ServerMetrics* metrics,
                std::function<void()> on_loss);

  // A builder on the GPU, or null when the CPU shall score this model; then one
  // line says why, unless it always does. `served` keeps its memory meanwhile;
  // null when nothing is served. Errors: see the table.
  absl::StatusOr<std::unique_ptr<ScorerBuilder>> TryGpu(
      uint64_t version, const ModelShape& shape, const ScoreNetwork& network,
      const Snapshot* served);

  // Whether the CPU shall take what TryGpu() or its builder did not, for this
  // reason; then one line says so.
  bool GoesToCpu(uint64_t version, const absl::Status& reason,
                 const Snapshot* served) const;

  // That a model takes of the GPU. REQUIRES: there is one.
  uint64_t BytesNeeded(const ModelShape& shape,
                       const ScoreNetwork& network) const {
    return options_.gpu.bytes_needed(shape, network);
  }
  // Whether a model of so many would find room there if `served` were gone.
  // False when the GPU is lost.
  bool HasRoomWithout(const Snapshot& served, uint64_t bytes) const;

  // The life that a builder made now belongs to.
  uint64_t life() const { return losses_; }
  // Ends `life` because of `error`, if it has not ended.
  void ReportError(uint64_t life, const absl::Status& error);
  // Whether the GPU that is to score it has failed since it was made.
  bool IsDead(const Snapshot& snapshot) const {
    return snapshot.device_life.has_value() && *snapshot.device_life != losses_;
  }
  // From the end of a life until Renew() has begun the next.
  bool lost() const { return renewed_ != losses_; }

  // UNAVAILABLE when the GPU stays lost.
  absl::Status Renew();

  // Brings the metric of the GPU's memory up to date. A GPU that cannot even say
  // that is reported as lost when it serves `served` (null: nothing is), so that
  // it is brought back before somebody asks for a score.
  void ReportMemory(const Snapshot* served);

 private:
  // Whether the CPU may take what the GPU did not, for this reason.
  bool MayUseCpu(const absl::Status& reason, const Snapshot* served) const;

  const DeviceOptions options_;
  ServerMetrics* const metrics_;
  const std::function<void()> on_loss_;

  bool uses_gpu_;  // of the one thread that may call what reads it
  std::atomic<uint64_t> losses_{0};
  std::atomic<uint64_t> renewed_{0};  // the losses that Renew() has mended
};

}  // namespace neumf
