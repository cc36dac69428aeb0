#include "scoring/cuda/cuda_model.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "scoring/cuda/self_check.h"

namespace neumf::cuda {
namespace {

// Of pinned memory, twice: as long as a copy takes, the disk is read.
constexpr uint64_t kUploadBytes = 4 << 20;

TunedTower TowerFor(const ModelShape& shape, const ScoreNetwork& network,
                    const CudaScorerOptions& options) {
  return options.coarse ? FitTower(shape, network) : TunedTower::kUntuned;
}

PassSizes SizesFor(const ModelShape& shape, const ExactModel& exact,
                   uint32_t max_users) {
  return PassSizes(
      shape.num_items,
      std::clamp<uint32_t>(max_users, 1, PassKernels::MaxUsers(exact)));
}

PassMemorySizes MemoryFor(const ModelShape& shape, const ExactModel& exact,
                          TunedTower tower, const PassSizes& sizes) {
  PassMemorySizes memory;
  memory.max_users = sizes.max_users();
  memory.num_candidates = sizes.num_candidates();
  memory.num_results = sizes.num_results();
  memory.input_bytes = sizes.InputBytes(shape);
  memory.scratch_bytes = PassKernels::ScratchBytes(exact);
  if (tower == TunedTower::kUntuned) return memory;
  const absl::Span<const uint32_t> widths = TunedWidths(tower);
  memory.coarse_tower_width = widths.empty() ? 0 : widths.front();
  memory.gmf_steps = (shape.gmf_width + 7) / 8;
  return memory;
}

// Smaller catalogs take the first scan that is right: there is little to win.
constexpr uint64_t kTimedItems = 65'536;

// The likely fastest first. Layer 2 of the towers differs in what it gains from
// being multiplied by warpgroups.
std::vector<CoarseScanner> Scanners(const Device& device, TunedTower tower,
                                    const CoarseTables& tables) {
  std::vector<CoarseScanner> scanners = {{tower, false, tables.model()}};
  if (device.has_wide_mma() && PassKernels::HasWideScan(tower)) {
    const bool is_first = tower == TunedTower::kC;
    scanners.insert(is_first ? scanners.begin() : scanners.end(),
                    {tower, true, tables.model()});
  }
  return scanners;
}

uint32_t NumStreams(const CudaScorerOptions& options) {
  return std::max<uint32_t>(options.num_streams, 1);
}

}  // namespace

uint64_t CudaModel::BytesNeeded(const ModelShape& shape,
                                const ScoreNetwork& network,
                                const CudaScorerOptions& options) {
  const ExactModel exact = SizesOfExactModel(shape, network);
  const TunedTower tower = TowerFor(shape, network, options);
  const PassMemorySizes memory =
      MemoryFor(shape, exact, tower, SizesFor(shape, exact, options.max_users));
  return ExactTables::Bytes(shape, network) +
         (tower == TunedTower::kUntuned ? 0
                                        : CoarseTables::Bytes(tower, shape)) +
         NumStreams(options) * memory.DeviceBytes();
}

absl::StatusOr<std::unique_ptr<CudaModel>> CudaModel::Make(
    Device& device, const ModelShape& shape, const ScoreNetwork& network,
    const CudaScorerOptions& options) {
  NEUMF_ASSIGN_OR_RETURN(const uint64_t free_bytes, device.FreeBytes());
  const uint64_t needed = BytesNeeded(shape, network, options);
  if (needed + kCudaReserveBytes > free_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(device.name(), ": the model takes ", needed,
                     " bytes of the device and ", kCudaReserveBytes,
                     " have to be left, but ", free_bytes, " are free"));
  }
  std::unique_ptr<CudaModel> model(
      new CudaModel(device, shape, network, options));
  const uint64_t exact_bytes = ExactTables::Bytes(shape, network);
  NEUMF_ASSIGN_OR_RETURN(
      model->uploader_,
      Uploader::Make(device, std::min(kUploadBytes, exact_bytes)));
  NEUMF_ASSIGN_OR_RETURN(
      model->exact_,
      ExactTables::Make(device, shape, network, *model->uploader_));
  return model;
}

absl::Status CudaModel::Add(const ItemRows& rows) {
  return exact_->Add(rows, *uploader_);
}

absl::Status CudaModel::Finish() {
  const TunedTower tower = TowerFor(shape_, network_, options_);
  if (tower != TunedTower::kUntuned) NEUMF_RETURN_IF_ERROR(MakeCoarse(tower));
  NEUMF_RETURN_IF_ERROR(uploader_->Finish());
  uploader_.reset();
  if (!kernels_) {
    coarse_.reset();
    kernels_.emplace(device_, exact_->model(), std::nullopt);
  }

  uint32_t max_users =
      SizesFor(shape_, exact_->model(), options_.max_users).max_users();
  while (!kernels_->HaveRoomFor(max_users)) max_users -= kGroupUsers;
  sizes_.emplace(SizesFor(shape_, exact_->model(), max_users));
  const PassMemorySizes memory =
      MemoryFor(shape_, exact_->model(),
                is_coarse() ? tower : TunedTower::kUntuned, *sizes_);
  // What there is no memory for fails here, not while it serves.
  NEUMF_RETURN_IF_ERROR(kernels_->Load());
  for (uint32_t i = 0; i < NumStreams(options_); ++i) {
    NEUMF_ASSIGN_OR_RETURN(std::unique_ptr<Workspace> workspace,
                           Workspace::Make(device_, *kernels_, memory, shape_));
    NEUMF_RETURN_IF_ERROR(workspace->RecordUsual(sizes_->Of(1)));
    workspaces_.Add(std::move(workspace));
  }
  return absl::OkStatus();
}

// Of the kernels that scan this tower, the fastest that is right.
absl::Status CudaModel::MakeCoarse(TunedTower tower) {
  NEUMF_ASSIGN_OR_RETURN(coarse_,
                         CoarseTables::Make(device_, tower, shape_, network_,
                                            exact_->model(), *uploader_));
  if (!coarse_) return absl::OkStatus();
  double least_seconds = std::numeric_limits<double>::infinity();
  for (const CoarseScanner& scanner : Scanners(device_, tower, *coarse_)) {
    const PassKernels kernels(device_, exact_->model(), scanner);
    if (!kernels.HaveRoomFor(kGroupUsers)) continue;
    NEUMF_ASSIGN_OR_RETURN(const std::optional<double> seconds, Try(kernels));
    if (!seconds || *seconds >= least_seconds) continue;
    least_seconds = *seconds;
    kernels_.emplace(kernels);
    if (shape_.num_items < kTimedItems) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<double>> CudaModel::Try(
    const PassKernels& kernels) const {
  const PassSizes sizes = SizesFor(shape_, exact_->model(), kTimedUsers);
  const PassMemorySizes memory = MemoryFor(
      shape_, exact_->model(), TowerFor(shape_, network_, options_), sizes);
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<Workspace> workspace,
                         Workspace::Make(device_, kernels, memory, shape_));
  NEUMF_ASSIGN_OR_RETURN(
      const double worst,
      MeasureCoarseError(kernels, *workspace, shape_, sizes, coarse_->ranges(),
                         coarse_->model().score_scale));
  if (worst <= 1) {
    const bool is_timed =
        shape_.num_items >= kTimedItems && kernels.HaveRoomFor(kTimedUsers);
    if (!is_timed) return 0;
    return MeasureScanSeconds(kernels, *workspace, shape_);
  }
  LogEvent("cuda_first_pass_refused")
      .With("device", device_.name())
      .WithNumber("spread_over_margin", worst);
  return std::nullopt;
}

uint64_t CudaModel::resident_bytes() const {
  return exact_->size_bytes() + (coarse_ ? coarse_->size_bytes() : 0);
}

}  // namespace neumf::cuda
