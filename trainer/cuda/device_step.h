#pragma once

// Steps of training on a GPU: a batch drawn there, its gradient, an update.
//
//   NEUMF_ASSIGN_OR_RETURN(auto step, DeviceStep::Create(device, plan, train,
//                                                        sequences));
//   NEUMF_RETURN_IF_ERROR(step->Write(start));
//   NEUMF_RETURN_IF_ERROR(step->StartEpoch(1, order));
//   for (...) {
//     NEUMF_RETURN_IF_ERROR(step->QueueGradient(batch));
//     NEUMF_RETURN_IF_ERROR(step->QueueUpdate(1));
//   }
//   NEUMF_ASSIGN_OR_RETURN(std::vector<double> losses, step->Wait());
//
// On the device lie the parameters, their moments and gradient, the train events
// and what is never drawn for whom. Nothing but an epoch's order goes there, and
// nothing but losses comes back, until somebody reads.
//
// Errors are those of device.h. Belongs to one thread.

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "data/interactions.h"
#include "data/item_sequences.h"
#include "scoring/cuda/device/device.h"
#include "trainer/cuda/kernels/step_views.h"
#include "trainer/cuda/kernels/tile.h"
#include "trainer/cuda/step_plan.h"
#include "trainer/cuda/training_device.h"

namespace neumf::cuda {

// How a device goes over the tiles of a plan.
struct TileChoice {
  TileLayout layout;
  uint32_t max_blocks = 0;  // that run at once; 0: no layout fits
};

class DeviceStep {
 public:
  // Updates that may be queued between two calls of Wait().
  static constexpr uint32_t kMaxQueued = 64;

  // For the driver, which gives memory out by 2 MiB and takes some itself when a
  // kernel is first launched.
  static constexpr uint64_t kReserveBytes = uint64_t{64} << 20;

  // UNIMPLEMENTED when a few pairs' values in the plan's tower do not fit into
  // the device's shared memory, and for more events than it numbers;
  // RESOURCE_EXHAUSTED when BytesNeeded() are not free.
  // REQUIRES: CheckDeviceTrains(plan) is OK.
  static absl::Status CheckFits(Device& device, const StepPlan& plan,
                                const TrainingSize& size);

  // Of the device's memory: what Create() allocates, and the reserve.
  // REQUIRES: the plan's tower fits.
  static uint64_t BytesNeeded(Device& device, const StepPlan& plan,
                              const TrainingSize& size);

  // `device` must outlive it. REQUIRES: CheckFits() was OK; a user with an event
  // has an item that may be drawn.
  static absl::StatusOr<std::unique_ptr<DeviceStep>> Create(
      Device& device, const StepPlan& plan, const Interactions& train,
      const ItemSequences& sequences);

  // Parameters, moments and the number of steps. These two wait.
  absl::Status Write(const DeviceProgress& progress);
  absl::Status Read(DeviceProgress* progress);

  // `order` [events] is a permutation of the events' places in the sequences.
  absl::Status StartEpoch(uint32_t epoch, absl::Span<const uint32_t> order);

  // Draws batch number `number` < num_batches() of the epoch and leaves its
  // gradient on the device.
  absl::Status QueueGradient(uint64_t number);
  // Moves the parameters by it, the learning rate times `scale`.
  absl::Status QueueUpdate(double scale);
  // For each update since the last call the sum of its groups' losses.
  absl::StatusOr<std::vector<double>> Wait();

  uint64_t num_batches() const;
  uint64_t num_groups(uint64_t number) const;  // of a batch

  // What QueueGradient() left, [parameters], and the batch's pairs: users [B],
  // items [B, 1 + n]. For tests.
  absl::StatusOr<std::vector<float>> ReadGradient();
  struct Pairs {
    std::vector<uint32_t> users;
    std::vector<uint32_t> items;
  };
  absl::StatusOr<Pairs> ReadPairs();

 private:
  // Takes nothing of the device yet.
  DeviceStep(Device& device, const StepPlan& plan, const TrainingSize& size);

  // All that lies on the device, and how large it is to be; 0: not needed.
  struct Piece {
    Memory* memory;
    uint64_t bytes;
  };
  std::vector<Piece> Pieces();
  absl::Status Allocate();
  absl::Status UploadEvents(const ItemSequences& sequences,
                            const Interactions& train);
  absl::Status UploadMoment(absl::Span<const float> values, Memory& memory);
  // Between any memory of the host and the device, through pinned memory. Waits.
  template <typename T>
  absl::Status Upload(absl::Span<const T> from, const Memory& to);
  template <typename T>
  absl::Status Download(const Memory& from, size_t count, std::vector<T>* to);

  uint32_t group_size() const { return 1 + plan_.batches.num_negatives; }
  double Divisor() const;  // of the batch
  template <DensePlace kPlace>
  absl::Status LaunchTiles();
  EventsView Events() const;
  BatchView Batch() const;
  GradientView Gradient() const;

  Device& device_;
  const StepPlan plan_;
  const ModelView model_;
  const TileChoice tile_;
  const TrainingSize size_;
  const FixedPoint fixed_;

  Memory staging_;  // pinned
  Memory event_users_, event_items_, order_;
  Memory excluded_offsets_, excluded_;
  Memory users_, items_;  // of the batch
  Memory parameters_, first_moment_, second_moment_;
  Memory cells_, out_of_bounds_, losses_;
  Memory block_gradients_;  // of a tower that shared memory does not hold
  std::unique_ptr<Stream> stream_;

  uint32_t epoch_ = 0;
  uint32_t batch_groups_ = 0;
  uint64_t num_steps_ = 0;
  uint32_t num_queued_ = 0;
};

}  // namespace neumf::cuda
