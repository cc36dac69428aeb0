#include "server/scoring_device.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"

namespace neumf {

absl::StatusOr<DeviceChoice> ChooseDevice(const DeviceOptions& options) {
  if (options.device == DeviceFlag::kCpu) {
    return DeviceChoice{false, "--device=cpu"};
  }
  const absl::StatusOr<CudaDeviceInfo> found = options.gpu.find();
  if (found.ok()) {
    return DeviceChoice{
        true, absl::StrCat(found->name, ", ", found->free_bytes, " of ",
                           found->total_bytes, " bytes free")};
  }
  const absl::string_view reason = found.status().message();
  if (options.device == DeviceFlag::kAuto) {
    return DeviceChoice{false, std::string(reason)};
  }
  return absl::UnavailableError(
      absl::StrCat("--device=cuda: ", reason,
                   "; --device=auto scores on the CPU where there is no GPU"));
}

void LogChoice(const DeviceChoice& choice) {
  LogEvent("device_chosen")
      .With("device", choice.uses_gpu ? "cuda" : "cpu")
      .With("reason", choice.reason);
}

ScoringDevice::ScoringDevice(DeviceOptions options, bool uses_gpu,
                             ServerMetrics* metrics,
                             std::function<void()> on_loss)
    : options_(std::move(options)),
      metrics_(metrics),
      on_loss_(std::move(on_loss)),
      uses_gpu_(uses_gpu) {}

absl::StatusOr<std::unique_ptr<ScorerBuilder>> ScoringDevice::TryGpu(
    uint64_t version, const ModelShape& shape, const ScoreNetwork& network,
    const Snapshot* served) {
  if (!uses_gpu_) return nullptr;
  if (lost()) return absl::UnavailableError("the GPU is lost");
  absl::StatusOr<std::unique_ptr<ScorerBuilder>> builder =
      options_.gpu.make_builder(shape, network);
  if (builder.ok()) return builder;
  const absl::Status& reason = builder.status();
  if (!GoesToCpu(version, reason, served)) return reason;
  return nullptr;
}

bool ScoringDevice::GoesToCpu(uint64_t version, const absl::Status& reason,
                              const Snapshot* served) const {
  if (!MayUseCpu(reason, served)) return false;
  LogEvent("checkpoint_on_cpu")
      .WithNumber("version", version)
      .With("reason", reason.message());
  return true;
}

bool ScoringDevice::MayUseCpu(const absl::Status& reason,
                              const Snapshot* served) const {
  if (options_.device != DeviceFlag::kAuto) return false;
  if (absl::IsUnimplemented(reason)) return true;
  const bool gpu_serves =
      served != nullptr && served->device_life.has_value() && !IsDead(*served);
  return absl::IsResourceExhausted(reason) && !gpu_serves;
}

bool ScoringDevice::HasRoomWithout(const Snapshot& served,
                                   uint64_t bytes) const {
  if (lost()) return false;
  const absl::StatusOr<CudaDeviceInfo> found = options_.gpu.find();
  const uint64_t freed = IsDead(served) ? 0 : served.device_bytes;
  return found.ok() &&
         bytes + options_.gpu.reserve_bytes <= found->free_bytes + freed;
}

void ScoringDevice::ReportError(uint64_t life, const absl::Status& error) {
  if (lost() || !losses_.compare_exchange_strong(life, life + 1)) return;
  metrics_->DeviceFailed();
  LogEvent("device_lost").With("reason", error.message());
  on_loss_();
}

absl::Status ScoringDevice::Renew() {
  if (options_.on_device_error == OnDeviceError::kCpu) {
    uses_gpu_ = false;
    LogChoice({false, "the GPU failed, and --on_device_error=cpu"});
  } else {
    NEUMF_RETURN_IF_ERROR(options_.gpu.reset());
  }
  renewed_.store(losses_);
  return absl::OkStatus();
}

void ScoringDevice::ReportMemory(const Snapshot* served) {
  if (!uses_gpu_) return metrics_->ClearGpuMemory();
  if (lost()) return;  // the last numbers stand until it is back
  const absl::StatusOr<CudaDeviceInfo> found = options_.gpu.find();
  if (found.ok()) {
    metrics_->SetGpuMemory(found->total_bytes, found->free_bytes);
  } else if (served != nullptr && served->device_life.has_value() &&
             absl::IsUnavailable(found.status())) {
    ReportError(*served->device_life, found.status());
  }
}

}  // namespace neumf
