#include "trainer/cuda/device_step.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "scoring/cuda/device/launch.h"
#include "trainer/cuda/kernels/draw_batch.h"
#include "trainer/cuda/kernels/train_tiles.h"
#include "trainer/cuda/kernels/update.h"
#include "trainer/cuda/model_view.h"
#include "trainer/model/parameters.h"
#include "trainer/step/draws.h"

namespace neumf::cuda {
namespace {

constexpr size_t kStagingBytes = size_t{16} << 20;

// Blocks of the kernels whose threads go over an array in strides: enough to
// fill the device.
constexpr uint32_t kBlocksPerMultiprocessor = 8;

ModelView ViewOf(const ModelSpec& spec) {
  return ModelViewOf(spec, ParameterLayout(spec));
}

uint64_t MaxPairs(const StepPlan& plan) {
  return uint64_t{plan.batches.batch_size} * (1 + plan.batches.num_negatives);
}

uint32_t TileBlocks(const Device& device, const TileLayout& tile) {
  if (tile.bytes() > device.max_shared_bytes()) return 0;
  const uint32_t blocks =
      tile.dense_place == DensePlace::kShared
          ? BlocksPerMultiprocessor<TrainTiles<DensePlace::kShared>>(
                device, tile.bytes())
          : BlocksPerMultiprocessor<TrainTiles<DensePlace::kGlobal>>(
                device, tile.bytes());
  return device.num_multiprocessors() * blocks;
}

// The layouts that a plan may have, the fastest first.
std::vector<TileLayout> TilesOf(const StepPlan& plan) {
  struct Form {
    DensePlace place;
    uint32_t pairs;
  };
  constexpr Form kForms[] = {
      {DensePlace::kShared, 64}, {DensePlace::kShared, 32},
      {DensePlace::kGlobal, 64}, {DensePlace::kGlobal, 32},
      {DensePlace::kGlobal, 16},
  };
  const ModelView model = ViewOf(plan.spec);
  const uint32_t group_size = 1 + plan.batches.num_negatives;
  std::vector<TileLayout> tiles;
  for (const Form& form : kForms) {
    if (form.pairs < group_size) continue;
    tiles.push_back(MakeTileLayout(model, group_size, form.pairs, form.place));
  }
  return tiles;
}

TileChoice ChooseTile(const Device& device, const StepPlan& plan) {
  for (const TileLayout& tile : TilesOf(plan)) {
    const uint32_t blocks = TileBlocks(device, tile);
    if (blocks > 0) return {tile, blocks};
  }
  return {};
}

Grid GridFor(const Device& device, uint64_t count, uint32_t threads) {
  const uint64_t wanted = (count + threads - 1) / threads;
  const uint64_t most =
      uint64_t{device.num_multiprocessors()} * kBlocksPerMultiprocessor;
  return {static_cast<uint32_t>(std::clamp<uint64_t>(wanted, 1, most)), 0};
}

}  // namespace

absl::Status DeviceStep::CheckFits(Device& device, const StepPlan& plan,
                                   const TrainingSize& size) {
  if (size.num_events > std::numeric_limits<uint32_t>::max()) {
    return absl::UnimplementedError("a GPU trains on less than 2^32 events");
  }
  if (ChooseTile(device, plan).max_blocks == 0) {
    uint32_t least = std::numeric_limits<uint32_t>::max();
    for (const TileLayout& tile : TilesOf(plan)) {
      least = std::min(least, tile.bytes());
    }
    return absl::UnimplementedError(absl::StrCat(
        "a GPU trains no tower so wide: its shared memory would have to hold ",
        least, " bytes, and that of ", device.name(), " holds ",
        device.max_shared_bytes()));
  }
  NEUMF_ASSIGN_OR_RETURN(const uint64_t free_bytes, device.FreeBytes());
  const uint64_t needed = BytesNeeded(device, plan, size);
  if (needed <= free_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(device.name(), ": training takes ", needed,
                   " bytes of the device, which has ", free_bytes, " free"));
}

uint64_t DeviceStep::BytesNeeded(Device& device, const StepPlan& plan,
                                 const TrainingSize& size) {
  DeviceStep step(device, plan, size);
  uint64_t bytes = kReserveBytes;
  for (const Piece& piece : step.Pieces()) bytes += piece.bytes;
  return bytes;
}

DeviceStep::DeviceStep(Device& device, const StepPlan& plan,
                       const TrainingSize& size)
    : device_(device),
      plan_(plan),
      model_(ViewOf(plan.spec)),
      tile_(ChooseTile(device, plan)),
      size_(size),
      fixed_(MakeFixedPoint(MaxPairs(plan), std::max(1U, tile_.max_blocks))) {}

absl::StatusOr<std::unique_ptr<DeviceStep>> DeviceStep::Create(
    Device& device, const StepPlan& plan, const Interactions& train,
    const ItemSequences& sequences) {
  std::unique_ptr<DeviceStep> step(new DeviceStep(
      device, plan, {sequences.num_events(), train.num_interactions()}));
  NEUMF_CHECK(step->tile_.max_blocks > 0);
  NEUMF_ASSIGN_OR_RETURN(step->stream_, device.MakeStream());
  NEUMF_RETURN_IF_ERROR(step->Allocate());
  NEUMF_RETURN_IF_ERROR(step->UploadEvents(sequences, train));
  return step;
}

std::vector<DeviceStep::Piece> DeviceStep::Pieces() {
  const uint64_t max_groups =
      std::min<uint64_t>(plan_.batches.batch_size, size_.num_events);
  const MomentsUsed moments = MomentsOf(plan_.optimizer);
  const bool excludes = plan_.sampler.kind != SamplerKind::kUniform;
  const uint64_t n = model_.num_parameters;
  return {
      {&event_users_, size_.num_events * sizeof(uint32_t)},
      {&event_items_, size_.num_events * sizeof(uint32_t)},
      {&order_, size_.num_events * sizeof(uint32_t)},
      {&excluded_offsets_,
       excludes ? (plan_.spec.num_users + 1) * sizeof(uint64_t) : 0},
      {&excluded_, excludes ? size_.num_interactions * sizeof(uint32_t) : 0},
      {&users_, max_groups * sizeof(uint32_t)},
      {&items_, max_groups * group_size() * sizeof(uint32_t)},
      {&parameters_, n * sizeof(float)},
      {&first_moment_, moments.first ? n * sizeof(float) : 0},
      {&second_moment_, moments.second ? n * sizeof(float) : 0},
      {&cells_, (n + 1) * sizeof(uint64_t)},
      {&out_of_bounds_, sizeof(uint32_t)},
      {&losses_, kMaxQueued * sizeof(double)},
      {&block_gradients_,
       tile_.layout.dense_place == DensePlace::kGlobal
           ? uint64_t{tile_.max_blocks} * model_.num_dense * sizeof(float)
           : 0},
  };
}

absl::Status DeviceStep::Allocate() {
  NEUMF_ASSIGN_OR_RETURN(
      staging_,
      Memory::Allocate(device_, Memory::Place::kPinned, kStagingBytes));
  for (const auto& [memory, bytes] : Pieces()) {
    if (bytes == 0) continue;
    NEUMF_ASSIGN_OR_RETURN(
        *memory, Memory::Allocate(device_, Memory::Place::kDevice, bytes));
  }
  NEUMF_RETURN_IF_ERROR(
      stream_->Fill(cells_.as<void>(), 0, cells_.size_bytes()));
  return stream_->Fill(out_of_bounds_.as<void>(), 0,
                       out_of_bounds_.size_bytes());
}

absl::Status DeviceStep::UploadEvents(const ItemSequences& sequences,
                                      const Interactions& train) {
  std::vector<uint32_t> users;
  users.reserve(size_.num_events);
  for (uint32_t user = 0; user < sequences.num_users(); ++user) {
    users.insert(users.end(), sequences.row(user).size(), user);
  }
  NEUMF_RETURN_IF_ERROR(Upload<uint32_t>(users, event_users_));
  NEUMF_RETURN_IF_ERROR(Upload(sequences.items(), event_items_));
  if (plan_.sampler.kind == SamplerKind::kUniform) return absl::OkStatus();
  NEUMF_RETURN_IF_ERROR(Upload(train.offsets(), excluded_offsets_));
  return Upload(train.items(), excluded_);
}

template <typename T>
absl::Status DeviceStep::Upload(absl::Span<const T> from, const Memory& to) {
  const auto* const bytes = reinterpret_cast<const std::byte*>(from.data());
  const size_t size = from.size() * sizeof(T);
  NEUMF_CHECK(size <= to.size_bytes());
  for (size_t done = 0; done < size; done += kStagingBytes) {
    const size_t count = std::min(kStagingBytes, size - done);
    std::memcpy(staging_.as<std::byte>(), bytes + done, count);
    NEUMF_RETURN_IF_ERROR(stream_->Copy(to.as<std::byte>() + done,
                                        staging_.as<std::byte>(), count));
    NEUMF_RETURN_IF_ERROR(stream_->Synchronize());
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status DeviceStep::Download(const Memory& from, size_t count,
                                  std::vector<T>* to) {
  to->resize(count);
  auto* const bytes = reinterpret_cast<std::byte*>(to->data());
  const size_t size = count * sizeof(T);
  NEUMF_CHECK(size <= from.size_bytes());
  for (size_t done = 0; done < size; done += kStagingBytes) {
    const size_t chunk = std::min(kStagingBytes, size - done);
    NEUMF_RETURN_IF_ERROR(stream_->Copy(staging_.as<std::byte>(),
                                        from.as<std::byte>() + done, chunk));
    NEUMF_RETURN_IF_ERROR(stream_->Synchronize());
    std::memcpy(bytes + done, staging_.as<std::byte>(), chunk);
  }
  return absl::OkStatus();
}

absl::Status DeviceStep::UploadMoment(absl::Span<const float> values,
                                      Memory& memory) {
  if (memory.size_bytes() == 0) return absl::OkStatus();
  if (values.empty())
    return stream_->Fill(memory.as<void>(), 0, memory.size_bytes());
  return Upload(values, memory);
}

absl::Status DeviceStep::Write(const DeviceProgress& progress) {
  NEUMF_CHECK(progress.parameters.size() == model_.num_parameters);
  num_steps_ = progress.num_steps;
  NEUMF_RETURN_IF_ERROR(Upload<float>(progress.parameters, parameters_));
  NEUMF_RETURN_IF_ERROR(UploadMoment(progress.first_moment, first_moment_));
  return UploadMoment(progress.second_moment, second_moment_);
}

absl::Status DeviceStep::Read(DeviceProgress* progress) {
  progress->num_steps = num_steps_;
  const auto read = [this](const Memory& memory, std::vector<float>* values) {
    return Download(memory, memory.size_bytes() / sizeof(float), values);
  };
  NEUMF_RETURN_IF_ERROR(read(parameters_, &progress->parameters));
  NEUMF_RETURN_IF_ERROR(read(first_moment_, &progress->first_moment));
  return read(second_moment_, &progress->second_moment);
}

absl::Status DeviceStep::StartEpoch(uint32_t epoch,
                                    absl::Span<const uint32_t> order) {
  NEUMF_CHECK(order.size() == size_.num_events);
  epoch_ = epoch;
  return Upload(order, order_);
}

uint64_t DeviceStep::num_batches() const {
  const uint64_t size = plan_.batches.batch_size;
  return (size_.num_events + size - 1) / size;
}

uint64_t DeviceStep::num_groups(uint64_t number) const {
  const uint64_t size = plan_.batches.batch_size;
  return std::min(size, size_.num_events - number * size);
}

double DeviceStep::Divisor() const {
  return plan_.step.sum_over_groups ? 1 : batch_groups_;
}

EventsView DeviceStep::Events() const {
  EventsView events;
  events.num_items = static_cast<uint32_t>(plan_.spec.num_items);
  events.users = event_users_.as<uint32_t>();
  events.items = event_items_.as<uint32_t>();
  events.order = order_.as<uint32_t>();
  events.excluded_offsets = excluded_offsets_.as<uint64_t>();
  events.excluded = excluded_.as<uint32_t>();
  return events;
}

BatchView DeviceStep::Batch() const {
  return {batch_groups_, group_size(), users_.as<uint32_t>(),
          items_.as<uint32_t>()};
}

GradientView DeviceStep::Gradient() const {
  return {fixed_, cells_.as<uint64_t>(), out_of_bounds_.as<uint32_t>()};
}

absl::Status DeviceStep::QueueGradient(uint64_t number) {
  batch_groups_ = static_cast<uint32_t>(num_groups(number));
  DrawBatch draw;
  draw.events = Events();
  draw.batch = Batch();
  draw.first_event = number * plan_.batches.batch_size;
  draw.base = StreamBase(plan_.sampler.seed, StreamOfBatch(epoch_, number),
                         DrawUse::kGroups);
  const uint64_t num_pairs = uint64_t{batch_groups_} * group_size();
  NEUMF_RETURN_IF_ERROR(
      Launch(*stream_, GridFor(device_, num_pairs, DrawBatch::kThreads), draw));
  return tile_.layout.dense_place == DensePlace::kShared
             ? LaunchTiles<DensePlace::kShared>()
             : LaunchTiles<DensePlace::kGlobal>();
}

template <DensePlace kPlace>
absl::Status DeviceStep::LaunchTiles() {
  TrainTiles<kPlace> train;
  train.model = model_;
  train.layout = tile_.layout;
  train.batch = Batch();
  train.gradient = Gradient();
  train.parameters = parameters_.as<float>();
  train.negative_weight = static_cast<float>(plan_.step.loss.negative_weight);
  train.block_gradients = block_gradients_.as<float>();
  const uint32_t tile_groups = tile_.layout.num_groups;
  const uint32_t num_tiles = (batch_groups_ + tile_groups - 1) / tile_groups;
  return Launch(*stream_,
                {std::min(num_tiles, tile_.max_blocks), tile_.layout.bytes()},
                train);
}

absl::Status DeviceStep::QueueUpdate(double scale) {
  NEUMF_CHECK(num_queued_ < kMaxQueued);
  ++num_steps_;
  UpdateParameters update;
  update.rule = RuleOf(plan_.optimizer, num_steps_, scale);
  update.gradient = Gradient();
  update.num_parameters = model_.num_parameters;
  update.divisor = Divisor();
  update.parameters = parameters_.as<float>();
  update.first_moment = first_moment_.as<float>();
  update.second_moment = second_moment_.as<float>();
  update.loss = losses_.as<double>() + num_queued_;
  ++num_queued_;
  return Launch(
      *stream_,
      GridFor(device_, model_.num_parameters, UpdateParameters::kThreads),
      update);
}

absl::StatusOr<std::vector<double>> DeviceStep::Wait() {
  std::vector<double> losses;
  NEUMF_RETURN_IF_ERROR(Download(losses_, num_queued_, &losses));
  num_queued_ = 0;
  return losses;
}

absl::StatusOr<std::vector<float>> DeviceStep::ReadGradient() {
  std::vector<uint64_t> cells;
  NEUMF_RETURN_IF_ERROR(Download(cells_, model_.num_parameters, &cells));
  std::vector<float> gradient;
  gradient.reserve(cells.size());
  for (const uint64_t cell : cells) {
    gradient.push_back(
        static_cast<float>(SumOf(cell, fixed_.scale) / Divisor()));
  }
  return gradient;
}

absl::StatusOr<DeviceStep::Pairs> DeviceStep::ReadPairs() {
  Pairs pairs;
  NEUMF_RETURN_IF_ERROR(Download(users_, batch_groups_, &pairs.users));
  NEUMF_RETURN_IF_ERROR(
      Download(items_, size_t{batch_groups_} * group_size(), &pairs.items));
  return pairs;
}

}  // namespace neumf::cuda
