#include "scoring/cuda/pass_memory.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace neumf::cuda {
namespace {

constexpr uint64_t kAlignment = 256;

constexpr uint64_t kRadixStateBytes = kRadixUsers * sizeof(RadixState);
constexpr uint64_t kHistogramBytes =
    uint64_t{kRadixUsers} * kRadixDigits * sizeof(uint32_t);

// Where the arrays for each user lie, in bytes.
struct UserLayout {
  explicit UserLayout(const PassMemorySizes& sizes) {
    const uint64_t users = sizes.max_users;
    user_tower = Add(users * (sizes.coarse_tower_width / 2) * sizeof(uint32_t));
    user_gmf =
        Add(users / kGroupUsers * sizes.gmf_steps * kLanes * sizeof(uint32_t));
    threshold = Add(users * sizeof(float));
    margin = Add(users * sizeof(float));
    count = Add(users * sizeof(uint32_t));
    outcome = Add(users * sizeof(Outcome));
    results = Add(users * sizeof(PassResult));
  }

  uint64_t Add(uint64_t bytes) {
    const uint64_t place = total;
    total += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return place;
  }

  uint64_t total = 0;
  uint64_t user_tower, user_gmf, threshold, margin, count, outcome, results;
};

absl::Status Allocate(Device& device, Memory::Place place, uint64_t bytes,
                      Memory* memory) {
  // The old one first, as both may not have room.
  *memory = Memory();
  NEUMF_ASSIGN_OR_RETURN(*memory, Memory::Allocate(device, place, bytes));
  return absl::OkStatus();
}

// On the device and pinned.
absl::Status AllocateBoth(Device& device, uint64_t bytes, Memory* memory,
                          Memory* pinned) {
  *pinned = Memory();
  NEUMF_RETURN_IF_ERROR(
      Allocate(device, Memory::Place::kDevice, bytes, memory));
  return Allocate(device, Memory::Place::kPinned, bytes, pinned);
}

uint64_t Grown(uint64_t old_bytes, uint64_t bytes) {
  return std::max(2 * old_bytes, bytes);
}

}  // namespace

uint64_t PassMemorySizes::DeviceBytes() const {
  return UserLayout(*this).total + kRadixStateBytes + kHistogramBytes +
         scratch_bytes + input_bytes + num_candidates * sizeof(uint64_t) +
         num_results * sizeof(PassEntry);
}

absl::StatusOr<PassMemory> PassMemory::Make(Device& device,
                                            const PassMemorySizes& sizes) {
  constexpr auto kDevice = Memory::Place::kDevice;
  PassMemory memory;
  memory.device_ = &device;
  memory.sizes_ = sizes;
  NEUMF_RETURN_IF_ERROR(
      Allocate(device, kDevice, UserLayout(sizes).total, &memory.users_));
  NEUMF_RETURN_IF_ERROR(Allocate(
      device, kDevice, kRadixStateBytes + kHistogramBytes, &memory.radix_));
  NEUMF_RETURN_IF_ERROR(
      Allocate(device, kDevice, sizes.scratch_bytes, &memory.scratch_));
  NEUMF_RETURN_IF_ERROR(Allocate(device, Memory::Place::kPinned,
                                 sizes.max_users * sizeof(PassResult),
                                 &memory.pinned_results_));
  NEUMF_RETURN_IF_ERROR(
      memory.Reserve(sizes.input_bytes, sizes.num_candidates, sizes.num_results)
          .status());
  return memory;
}

absl::StatusOr<bool> PassMemory::Reserve(uint64_t input_bytes,
                                         uint64_t num_candidates,
                                         uint64_t num_results) {
  bool has_moved = false;
  if (input_bytes > pinned_input_.size_bytes()) {
    has_moved = true;
    NEUMF_RETURN_IF_ERROR(
        AllocateBoth(*device_, Grown(pinned_input_.size_bytes(), input_bytes),
                     &input_, &pinned_input_));
  }
  if (const uint64_t bytes = num_candidates * sizeof(uint64_t);
      bytes > candidates_.size_bytes()) {
    has_moved = true;
    NEUMF_RETURN_IF_ERROR(Allocate(*device_, Memory::Place::kDevice,
                                   Grown(candidates_.size_bytes(), bytes),
                                   &candidates_));
  }
  if (const uint64_t bytes = num_results * sizeof(PassEntry);
      bytes > pinned_entries_.size_bytes()) {
    has_moved = true;
    NEUMF_RETURN_IF_ERROR(
        AllocateBoth(*device_, Grown(pinned_entries_.size_bytes(), bytes),
                     &entries_, &pinned_entries_));
  }
  return has_moved;
}

Pass PassMemory::MakePass(uint32_t max_users, uint32_t capacity) const {
  const UserLayout layout(sizes_);
  auto* const base = users_.as<std::byte>();
  Pass pass;
  pass.max_users = max_users;
  pass.capacity = capacity;
  pass.input = input_.as<std::byte>();
  pass.user_tower = reinterpret_cast<uint32_t*>(base + layout.user_tower);
  pass.user_gmf = reinterpret_cast<uint32_t*>(base + layout.user_gmf);
  pass.threshold = reinterpret_cast<float*>(base + layout.threshold);
  pass.margin = reinterpret_cast<float*>(base + layout.margin);
  pass.count = reinterpret_cast<uint32_t*>(base + layout.count);
  pass.outcome = reinterpret_cast<Outcome*>(base + layout.outcome);
  pass.results = reinterpret_cast<PassResult*>(base + layout.results);
  pass.candidates = candidates_.as<uint64_t>();
  pass.entries = entries_.as<PassEntry>();
  return pass;
}

RadixMemory PassMemory::radix() const {
  auto* const base = radix_.as<std::byte>();
  return {reinterpret_cast<RadixState*>(base),
          reinterpret_cast<uint32_t*>(base + kRadixStateBytes)};
}

absl::Status PassMemory::ClearHistogram(Stream& stream) const {
  return stream.Fill(radix().histogram, 0, kHistogramBytes);
}

absl::Status PassMemory::CopyInput(Stream& stream, uint64_t bytes) const {
  return stream.Copy(input_.as<std::byte>(), input(), bytes);
}

absl::Status PassMemory::CopyResults(Stream& stream, uint32_t num_users,
                                     uint64_t num_entries) const {
  const Pass pass = MakePass(num_users, 0);
  NEUMF_RETURN_IF_ERROR(stream.Copy(pinned_results(), pass.results,
                                    num_users * sizeof(PassResult)));
  return stream.Copy(pinned_entries_.as<PassEntry>(), pass.entries,
                     num_entries * sizeof(PassEntry));
}

}  // namespace neumf::cuda
