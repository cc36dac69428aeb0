#include "scoring/cuda/pass_kernels.h"

#include <algorithm>

#include "base/status_macros.h"
#include "scoring/cuda/device/launch.h"
#include "scoring/cuda/kernels/finish.h"
#include "scoring/cuda/kernels/prepare_users.h"
#include "scoring/cuda/kernels/rescore.h"
#include "scoring/cuda/kernels/scan_exact.h"
#include "scoring/cuda/kernels/scan_tower.h"
#include "scoring/cuda/kernels/scan_wide.h"
#include "scoring/cuda/kernels/select_level.h"
#include "scoring/cuda/pass_size.h"
#include "scoring/cuda/towers.h"

namespace neumf::cuda {
namespace {

// Of all kernels that score in float32.
constexpr uint32_t kExactThreads = Rescore::kThreads;
static_assert(ScanExact::kThreads == kExactThreads);
static_assert(RadixHistogram::kThreads == kExactThreads);
static_assert(RadixCollect::kThreads == kExactThreads);

// A block with more shared memory than this has too few beside it to hide the
// time that memory takes, so that memory of the device serves better.
constexpr uint64_t kMaxSharedScratch = 64 << 10;
// What all blocks together may have of that.
constexpr uint64_t kMaxDeviceScratch = 128 << 20;
constexpr uint32_t kMaxScratchBlocks = 512;

// More blocks would find nothing to do in a user's list.
constexpr uint32_t kMaxParts = 32;

uint64_t BlockScratchBytes(const ExactModel& exact) {
  return uint64_t{ExactScratchFloats(exact)} * kExactThreads * sizeof(float);
}

bool IsScratchShared(const ExactModel& exact) {
  return BlockScratchBytes(exact) <= kMaxSharedScratch;
}

// Blocks for which there is scratch.
uint32_t ScratchBlocks(const ExactModel& exact) {
  if (IsScratchShared(exact)) return kNone;
  const uint64_t blocks = kMaxDeviceScratch / BlockScratchBytes(exact);
  return static_cast<uint32_t>(std::clamp<uint64_t>(
      blocks / kGroupUsers * kGroupUsers, kGroupUsers, kMaxScratchBlocks));
}

uint32_t AtLeastOne(uint32_t count) { return std::max<uint32_t>(count, 1); }

template <typename Kernel>
struct KernelType {
  using Type = Kernel;
};

// visit(KernelType<Kernel>()) with the kernel that scans for `coarse`.
template <typename Visit>
auto VisitScan(const CoarseScanner& coarse, const Visit& visit) {
  switch (coarse.tower) {
    case TunedTower::kA:
      if (coarse.is_wide) return visit(KernelType<ScanWide<TowerA>>());
      return visit(KernelType<ScanTower<TowerA>>());
    case TunedTower::kB:
      if (coarse.is_wide) return visit(KernelType<ScanWide<TowerB>>());
      return visit(KernelType<ScanTower<TowerB>>());
    case TunedTower::kC:
      if (coarse.is_wide) return visit(KernelType<ScanWide<TowerC>>());
      return visit(KernelType<ScanTower<TowerC>>());
    case TunedTower::kDot:
    case TunedTower::kUntuned:
      break;
  }
  return visit(KernelType<ScanTower<NoTower>>());
}

template <typename... Kernels>
absl::Status LoadKernels(const Device& device) {
  absl::Status status;
  (status.Update(LoadKernel<Kernels>(device)), ...);
  return status;
}

}  // namespace

uint64_t PassKernels::ScratchBytes(const ExactModel& exact) {
  return IsScratchShared(exact)
             ? 0
             : ScratchBlocks(exact) * BlockScratchBytes(exact);
}

uint32_t PassKernels::MaxUsers(const ExactModel& exact) {
  return std::min(ScratchBlocks(exact), kMaxPassUsers);
}

PassKernels::PassKernels(const Device& device, const ExactModel& exact,
                         const std::optional<CoarseScanner>& coarse)
    : device_(device), exact_(exact), coarse_(coarse) {}

bool PassKernels::HaveRoomFor(uint32_t users) const {
  if (!coarse_) return true;
  const uint32_t scan = VisitScan(*coarse_, [&](auto kernel) {
    return decltype(kernel)::Type::SharedBytes(users, coarse_->model.gmf_steps);
  });
  return std::max(scan, PrepareUsers::SharedBytes(coarse_->model)) <=
         device_.max_shared_bytes();
}

absl::Status PassKernels::Load() const {
  if (coarse_) {
    NEUMF_RETURN_IF_ERROR(VisitScan(*coarse_, [&](auto kernel) {
      return LoadKernel<typename decltype(kernel)::Type>(device_);
    }));
    NEUMF_RETURN_IF_ERROR(LoadKernel<PrepareUsers>(device_));
  } else {
    NEUMF_RETURN_IF_ERROR((LoadKernels<StartExact, ScanExact>(device_)));
  }
  return LoadKernels<SelectLevel, Rescore, Finish, RadixHistogram, RadixStep,
                     RadixCollect, FinishAgain>(device_);
}

absl::Status PassKernels::QueuePass(Stream& stream, const Pass& pass,
                                    const ExactScratch& scratch,
                                    const Levels& levels, bool scans) const {
  NEUMF_RETURN_IF_ERROR(QueueStart(stream, pass));
  for (uint32_t l = 0; scans && l < levels.count; ++l) {
    NEUMF_RETURN_IF_ERROR(QueueScan(stream, pass, scratch, levels.level[l]));
    // After the last level it spares scores in float32: where there are any to
    // come, and so many that they take longer than this.
    const bool spares = is_coarse() && pass.max_users > kGroupUsers;
    if (l + 1 == levels.count && !spares) break;
    NEUMF_RETURN_IF_ERROR(Launch(stream,
                                 {pass.max_users, SelectLevel::SharedBytes()},
                                 SelectLevel{pass}));
  }
  NEUMF_RETURN_IF_ERROR(QueueRescore(stream, pass, scratch));
  return Launch(stream, {pass.max_users, Finish::SharedBytes()},
                Finish{pass, is_coarse()});
}

absl::Status PassKernels::QueueAgain(Stream& stream, const Pass& pass,
                                     const ExactScratch& scratch,
                                     const RadixUsers& users,
                                     const RadixMemory& memory) const {
  for (uint32_t round = 0; round < kRadixRounds; ++round) {
    NEUMF_RETURN_IF_ERROR(
        Launch(stream, ExactGrid<RadixHistogram>(),
               RadixHistogram{exact_, pass, scratch, users, memory, round}));
    NEUMF_RETURN_IF_ERROR(Launch(stream,
                                 {users.count, RadixStep::SharedBytes()},
                                 RadixStep{pass, users, memory, round}));
  }
  NEUMF_RETURN_IF_ERROR(
      Launch(stream, ExactGrid<RadixCollect>(),
             RadixCollect{exact_, pass, scratch, users, memory}));
  return Launch(stream, {users.count, FinishAgain::SharedBytes()},
                FinishAgain{pass, users});
}

absl::Status PassKernels::QueueStart(Stream& stream, const Pass& pass) const {
  if (!coarse_) return Launch(stream, {1, 0}, StartExact{pass});
  return Launch(
      stream, {pass.max_users, PrepareUsers::SharedBytes(coarse_->model)},
      PrepareUsers{coarse_->model, pass, exact_.gmf_width, exact_.tower_width});
}

absl::Status PassKernels::QueueScan(Stream& stream, const Pass& pass,
                                    const ExactScratch& scratch,
                                    const Level& level) const {
  if (coarse_) {
    return VisitScan(*coarse_, [&](auto kernel) {
      return QueueCoarse<typename decltype(kernel)::Type>(stream, pass, level);
    });
  }
  Grid grid = ExactGrid<ScanExact>();
  const uint64_t pieces = uint64_t{NumChunks(level)} *
                          (kChunkItems / kExactThreads) * pass.max_users;
  grid.blocks = static_cast<uint32_t>(std::min<uint64_t>(grid.blocks, pieces));
  return Launch(stream, grid, ScanExact{exact_, pass, level, scratch});
}

absl::Status PassKernels::QueueRescore(Stream& stream, const Pass& pass,
                                       const ExactScratch& scratch) const {
  Grid grid = ExactGrid<Rescore>();
  const uint32_t parts =
      std::min(AtLeastOne(grid.blocks / pass.max_users), kMaxParts);
  grid.blocks = pass.max_users * parts;
  return Launch(stream, grid,
                Rescore{exact_, pass, scratch, parts, !is_coarse()});
}

uint32_t PassKernels::NumChunks(const Level& level) const {
  return level.NumChunks(AtLeastOne((exact_.num_items - 1) / kChunkItems + 1));
}

template <typename Kernel>
Grid PassKernels::ExactGrid() const {
  const bool is_shared = IsScratchShared(exact_);
  Grid grid;
  grid.shared_bytes =
      is_shared ? static_cast<uint32_t>(BlockScratchBytes(exact_)) : 0;
  const uint32_t at_once =
      device_.num_multiprocessors() *
      BlocksPerMultiprocessor<Kernel>(device_, grid.shared_bytes);
  grid.blocks = std::min(AtLeastOne(at_once), ScratchBlocks(exact_));
  return grid;
}

template <typename Kernel>
absl::Status PassKernels::QueueCoarse(Stream& stream, const Pass& pass,
                                      const Level& level) const {
  Grid grid;
  grid.shared_bytes =
      Kernel::SharedBytes(pass.max_users, coarse_->model.gmf_steps);
  const uint32_t at_once =
      device_.num_multiprocessors() *
      BlocksPerMultiprocessor<Kernel>(device_, grid.shared_bytes);
  // A warp has a tile or more, for eight users or more.
  const uint64_t warps = uint64_t{NumChunks(level)} * kTilesPerChunk *
                         (pass.max_users / kGroupUsers);
  grid.blocks = static_cast<uint32_t>(std::min<uint64_t>(
      AtLeastOne(at_once), warps / (Kernel::kThreads / kLanes) + 1));
  Kernel kernel;
  kernel.model = coarse_->model;
  kernel.pass = pass;
  kernel.level = level;
  return Launch(stream, grid, kernel);
}

}  // namespace neumf::cuda
