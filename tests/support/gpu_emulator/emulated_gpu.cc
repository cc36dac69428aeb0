#include "tests/support/gpu_emulator/emulated_gpu.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/gpu_emulator/gpu_state.h"

namespace neumf::cuda {
namespace {

// The device number 0.
struct Slot {
  Mutex mutex;
  std::shared_ptr<EmulatedGpu::State> state ABSL_GUARDED_BY(mutex);
};

Slot& TheSlot() {
  static auto& slot = *new Slot;
  return slot;
}

// Counts down to the one that fails.
bool IsTheOneToFail(uint64_t& left) { return left > 0 && --left == 0; }

}  // namespace

// ---- State ------------------------------------------------------------------

using State = EmulatedGpu::State;

absl::StatusOr<std::shared_ptr<State>> State::Find(int ordinal) {
  Slot& slot = TheSlot();
  const MutexLock lock(&slot.mutex);
  if (slot.state == nullptr || ordinal != 0) {
    return absl::UnavailableError(absl::StrCat(
        "no CUDA device ", ordinal, ": there are ", slot.state ? 1 : 0));
  }
  return slot.state;
}

absl::Status State::CheckAliveLocked(uint64_t of, absl::string_view what) {
  if (of != generation) {
    return absl::UnavailableError(
        absl::StrCat(properties.name, ": ", what,
                     ": the device was reset after this was made"));
  }
  if (lost) {
    return absl::UnavailableError(
        absl::StrCat(properties.name, ": ", what, ": the device is lost"));
  }
  return absl::OkStatus();
}

absl::Status State::CheckAlive(uint64_t of, absl::string_view what) {
  const MutexLock lock(&mutex);
  return CheckAliveLocked(of, what);
}

absl::Status State::BeginCommand(uint64_t of, absl::string_view what) {
  const MutexLock lock(&mutex);
  ++num_commands;
  NEUMF_RETURN_IF_ERROR(CheckAliveLocked(of, what));
  if (!IsTheOneToFail(until_failed_command)) return absl::OkStatus();
  lost = failure_is_loss;
  const std::string text =
      absl::StrCat(properties.name, ": ", what, ": told to fail");
  return failure_is_memory ? absl::ResourceExhaustedError(text)
                           : absl::UnavailableError(text);
}

absl::Status State::LoadKernel(uint64_t of, const void* kernel,
                               absl::string_view what) {
  NEUMF_RETURN_IF_ERROR(BeginCommand(of, what));
  const MutexLock lock(&mutex);
  if (kernels.count(kernel) == 0 && refuses_loads) {
    return absl::ResourceExhaustedError(
        absl::StrCat(properties.name, ": ", what, ": no memory for its code"));
  }
  kernels.insert(kernel);
  return absl::OkStatus();
}

absl::StatusOr<std::byte*> State::Allocate(uint64_t of, Memory::Place place,
                                           size_t num_bytes) {
  const MutexLock lock(&mutex);
  ++num_allocations;
  const std::string what = absl::StrCat("allocating ", num_bytes, " bytes");
  NEUMF_RETURN_IF_ERROR(CheckAliveLocked(of, what));
  Bytes& counted = bytes[static_cast<size_t>(place)];
  const bool has_room =
      place == Memory::Place::kPinned ||
      counted.live + bytes_of_others + num_bytes <= properties.total_bytes;
  if (IsTheOneToFail(until_failed_allocation) || !has_room) {
    return absl::ResourceExhaustedError(
        absl::StrCat(properties.name, ": ", what, ": out of memory"));
  }
  auto memory = std::make_unique<GuardedMemory>(num_bytes);
  std::byte* const data = memory->data();
  allocations.emplace(data, Allocation{place, std::move(memory)});
  counted.live += num_bytes;
  counted.peak = std::max(counted.peak, counted.live);
  return data;
}

void State::Drop(const Allocation& allocation) {
  const size_t num_bytes = allocation.memory->size_bytes();
  bytes[static_cast<size_t>(allocation.place)].live -= num_bytes;
  if (!allocation.memory->ZonesAreWhole()) {
    ADD_FAILURE() << "something wrote around " << num_bytes << " bytes of "
                  << properties.name;
  }
}

void State::Free(uint64_t of, std::byte* data) {
  const MutexLock lock(&mutex);
  if (of != generation) return;  // a reset took it
  const auto found = allocations.find(data);
  NEUMF_CHECK(found != allocations.end());
  Drop(found->second);
  allocations.erase(found);
}

absl::StatusOr<uint64_t> State::FreeBytes(uint64_t of) {
  const MutexLock lock(&mutex);
  NEUMF_RETURN_IF_ERROR(CheckAliveLocked(of, "reading its free memory"));
  const uint64_t taken =
      bytes[static_cast<size_t>(Memory::Place::kDevice)].live + bytes_of_others;
  return properties.total_bytes - std::min(taken, properties.total_bytes);
}

bool State::Holds(Memory::Place place, const void* begin, size_t num_bytes) {
  const MutexLock lock(&mutex);
  const auto* const first = static_cast<const std::byte*>(begin);
  auto behind = allocations.upper_bound(first);
  if (behind == allocations.begin()) return false;
  const Allocation& allocation = std::prev(behind)->second;
  const auto before = static_cast<size_t>(first - allocation.memory->data());
  const size_t size = allocation.memory->size_bytes();
  return allocation.place == place && before <= size &&
         num_bytes <= size - before;
}

absl::Status State::Reset() {
  const std::unique_lock<std::shared_mutex> none_runs(running);
  const MutexLock lock(&mutex);
  ++num_resets;
  ++generation;
  for (const auto& [data, allocation] : allocations) Drop(allocation);
  allocations.clear();
  kernels.clear();
  lost = refuses_resets;
  if (!lost) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(properties.name, ": reset: told to fail"));
}

// ---- EmulatedGpu ------------------------------------------------------------

EmulatedGpu::EmulatedGpu(GpuProperties properties)
    : state_(std::make_shared<State>(std::move(properties))) {
  Slot& slot = TheSlot();
  const MutexLock lock(&slot.mutex);
  NEUMF_CHECK(slot.state == nullptr);
  slot.state = state_;
}

EmulatedGpu::~EmulatedGpu() {
  {
    Slot& slot = TheSlot();
    const MutexLock lock(&slot.mutex);
    slot.state = nullptr;
  }
  const MutexLock lock(&state_->mutex);
  if (!state_->allocations.empty()) {
    ADD_FAILURE() << state_->allocations.size() << " pieces of memory of "
                  << state_->properties.name << " were never freed";
  }
}

void EmulatedGpu::FailAllocation(uint64_t nth) {
  const MutexLock lock(&state_->mutex);
  state_->until_failed_allocation = nth;
}

void EmulatedGpu::FailCommand(uint64_t nth) {
  const MutexLock lock(&state_->mutex);
  state_->until_failed_command = nth;
  state_->failure_is_loss = false;
  state_->failure_is_memory = false;
}

void EmulatedGpu::ExhaustCommand(uint64_t nth) {
  const MutexLock lock(&state_->mutex);
  state_->until_failed_command = nth;
  state_->failure_is_loss = false;
  state_->failure_is_memory = true;
}

void EmulatedGpu::RefuseLoads() {
  const MutexLock lock(&state_->mutex);
  state_->refuses_loads = true;
}

void EmulatedGpu::LoseFromCommand(uint64_t nth) {
  const MutexLock lock(&state_->mutex);
  state_->until_failed_command = nth;
  state_->failure_is_loss = true;
  state_->failure_is_memory = false;
}

void EmulatedGpu::RefuseResets() {
  const MutexLock lock(&state_->mutex);
  state_->refuses_resets = true;
}

void EmulatedGpu::SetBytesOfOthers(uint64_t bytes) {
  const MutexLock lock(&state_->mutex);
  state_->bytes_of_others = bytes;
}

uint64_t EmulatedGpu::num_allocations() const {
  const MutexLock lock(&state_->mutex);
  return state_->num_allocations;
}
uint64_t EmulatedGpu::num_commands() const {
  const MutexLock lock(&state_->mutex);
  return state_->num_commands;
}
uint64_t EmulatedGpu::num_launches() const {
  const MutexLock lock(&state_->mutex);
  return state_->num_launches;
}
uint64_t EmulatedGpu::num_resets() const {
  const MutexLock lock(&state_->mutex);
  return state_->num_resets;
}
uint64_t EmulatedGpu::live_bytes(Memory::Place place) const {
  const MutexLock lock(&state_->mutex);
  return state_->bytes[static_cast<size_t>(place)].live;
}
uint64_t EmulatedGpu::peak_bytes(Memory::Place place) const {
  const MutexLock lock(&state_->mutex);
  return state_->bytes[static_cast<size_t>(place)].peak;
}

}  // namespace neumf::cuda
