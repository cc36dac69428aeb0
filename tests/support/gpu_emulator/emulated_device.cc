// device.h on an EmulatedGpu.

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "gtest/gtest.h"
#include "scoring/cuda/device/device.h"
#include "tests/support/gpu_emulator/emulated_gpu.h"
#include "tests/support/gpu_emulator/gpu_state.h"

namespace neumf::cuda {
namespace {

using Clock = std::chrono::steady_clock;

// A command, to be run once or, recorded, many times.
using Work = std::function<absl::Status()>;

// An error that no GPU has to find, as the program may not make it.
absl::Status TestFailure(const std::string& text) {
  ADD_FAILURE() << text;
  return absl::UnavailableError(text);
}

}  // namespace

struct Device::Impl {
  std::shared_ptr<EmulatedGpu::State> gpu;
  uint64_t generation = 0;
};

struct Graph::Impl {
  std::vector<Work> works;
};

struct Stream::Impl {
  explicit Impl(Device& maker) : device(maker) {}
  ~Impl() { RunPending(); }

  EmulatedGpu::State& gpu() const { return *device.impl().gpu; }
  // UNAVAILABLE for a command that is to fail.
  absl::Status Begin(absl::string_view what) const {
    return gpu().BeginCommand(device.impl().generation, what);
  }
  void Put(Work work);
  void RunPending();

  Device& device;
  std::vector<Work>* recorded = nullptr;  // by a Record() under way
  std::vector<Work> pending;
  absl::Status failure;        // of what ran, until Synchronize() tells it
  Clock::time_point marks[2];  // the one before the last, the last
};

// To be run now, late, or whenever a graph is.
void Stream::Impl::Put(Work work) {
  (recorded != nullptr ? *recorded : pending).push_back(std::move(work));
  if (recorded == nullptr && !gpu().properties.runs_late) RunPending();
}

void Stream::Impl::RunPending() {
  const std::shared_lock<std::shared_mutex> no_reset(gpu().running);
  for (const Work& work : std::exchange(pending, {})) {
    if (!gpu().CheckAlive(device.impl().generation, "").ok()) return;
    const absl::Status status = work();
    if (!status.ok()) failure = status;
  }
}

// ---- Device -----------------------------------------------------------------

Device::Device(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Device::~Device() = default;

absl::StatusOr<std::unique_ptr<Device>> Device::Open(int ordinal) {
  auto impl = std::make_unique<Impl>();
  NEUMF_ASSIGN_OR_RETURN(impl->gpu, EmulatedGpu::State::Find(ordinal));
  {
    const MutexLock lock(&impl->gpu->mutex);
    impl->generation = impl->gpu->generation;
  }
  NEUMF_RETURN_IF_ERROR(
      impl->gpu->CheckAlive(impl->generation, "reading its properties"));
  return std::unique_ptr<Device>(new Device(std::move(impl)));
}

absl::Status Device::Reset(int ordinal) {
  NEUMF_ASSIGN_OR_RETURN(const auto gpu, EmulatedGpu::State::Find(ordinal));
  return gpu->Reset();
}

const std::string& Device::name() const { return impl_->gpu->properties.name; }
uint32_t Device::num_multiprocessors() const {
  return impl_->gpu->properties.num_multiprocessors;
}
uint32_t Device::max_shared_bytes() const {
  return impl_->gpu->properties.max_shared_bytes;
}
uint64_t Device::total_bytes() const {
  return impl_->gpu->properties.total_bytes;
}
bool Device::has_wide_mma() const {
  return impl_->gpu->properties.has_wide_mma;
}
absl::StatusOr<uint64_t> Device::FreeBytes() const {
  return impl_->gpu->FreeBytes(impl_->generation);
}

absl::StatusOr<std::unique_ptr<Stream>> Device::MakeStream() {
  NEUMF_RETURN_IF_ERROR(
      impl_->gpu->CheckAlive(impl_->generation, "making a stream"));
  return std::make_unique<Stream>(std::make_unique<Stream::Impl>(*this));
}

// ---- Memory -----------------------------------------------------------------

absl::StatusOr<Memory> Memory::Allocate(Device& device, Place place,
                                        size_t bytes) {
  Memory memory;
  if (bytes == 0) return memory;
  const Device::Impl& impl = device.impl();
  NEUMF_ASSIGN_OR_RETURN(memory.data_,
                         impl.gpu->Allocate(impl.generation, place, bytes));
  memory.device_ = &device;
  memory.place_ = place;
  memory.bytes_ = bytes;
  return memory;
}

void Memory::Free() {
  if (data_ == nullptr) return;
  const Device::Impl& impl = device_->impl();
  impl.gpu->Free(impl.generation, as<std::byte>());
  data_ = nullptr;
}

// ---- Graph ------------------------------------------------------------------

Graph::Graph(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Graph::~Graph() = default;

// ---- Stream -----------------------------------------------------------------

Stream::Stream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Stream::~Stream() = default;

Device& Stream::device() const { return impl_->device; }

absl::Status Stream::Copy(void* to, const void* from, size_t bytes) {
  NEUMF_RETURN_IF_ERROR(impl_->Begin("copying"));
  impl_->Put([&gpu = impl_->gpu(), to, from, bytes] {
    using Place = Memory::Place;
    const bool up = gpu.Holds(Place::kDevice, to, bytes) &&
                    gpu.Holds(Place::kPinned, from, bytes);
    const bool down = gpu.Holds(Place::kPinned, to, bytes) &&
                      gpu.Holds(Place::kDevice, from, bytes);
    if (bytes > 0 && !up && !down) {
      return TestFailure(absl::StrCat("a copy of ", bytes,
                                      " bytes that is not between pinned "
                                      "memory and the device"));
    }
    if (bytes > 0) std::memcpy(to, from, bytes);
    return absl::OkStatus();
  });
  return absl::OkStatus();
}

absl::Status Stream::Fill(void* device_memory, uint8_t byte, size_t bytes) {
  NEUMF_RETURN_IF_ERROR(impl_->Begin("filling memory"));
  impl_->Put([&gpu = impl_->gpu(), device_memory, byte, bytes] {
    if (bytes == 0) return absl::OkStatus();
    if (!gpu.Holds(Memory::Place::kDevice, device_memory, bytes)) {
      return TestFailure(
          absl::StrCat("a fill of ", bytes, " bytes beyond the device's"));
    }
    std::memset(device_memory, byte, bytes);
    return absl::OkStatus();
  });
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Graph>> Stream::Record(
    absl::FunctionRef<absl::Status()> queue) {
  NEUMF_RETURN_IF_ERROR(impl_->Begin("recording a graph"));
  auto graph = std::make_unique<Graph::Impl>();
  impl_->recorded = &graph->works;
  const absl::Status queued = queue();
  impl_->recorded = nullptr;
  NEUMF_RETURN_IF_ERROR(queued);
  return std::make_unique<Graph>(std::move(graph));
}

absl::Status Stream::Launch(const Graph& graph) {
  NEUMF_RETURN_IF_ERROR(impl_->Begin("starting a graph"));
  for (const Work& work : graph.impl().works) impl_->Put(work);
  return absl::OkStatus();
}

absl::Status Stream::Synchronize() {
  if (const absl::Status status = impl_->Begin("running"); !status.ok()) {
    return absl::UnavailableError(status.message());
  }
  if (impl_->recorded != nullptr) {
    return TestFailure("a stream that records cannot be waited for");
  }
  impl_->RunPending();
  return std::exchange(impl_->failure, absl::OkStatus());
}

absl::Status Stream::Mark() {
  NEUMF_RETURN_IF_ERROR(impl_->Begin("marking"));
  impl_->Put([stream = impl_.get()] {
    stream->marks[0] = std::exchange(stream->marks[1], Clock::now());
    return absl::OkStatus();
  });
  return absl::OkStatus();
}

absl::StatusOr<double> Stream::SecondsBetweenMarks() {
  NEUMF_RETURN_IF_ERROR(
      impl_->gpu().CheckAlive(device().impl().generation, "timing"));
  return std::chrono::duration<double>(impl_->marks[1] - impl_->marks[0])
      .count();
}

// ---- Kernels ----------------------------------------------------------------

absl::Status QueueKernel(
    Stream& stream, const void* kernel, const Grid& grid, uint32_t threads,
    std::function<absl::Status(const EmulationOptions&)> run) {
  Stream::Impl& impl = stream.impl();
  NEUMF_RETURN_IF_ERROR(impl.gpu().LoadKernel(impl.device.impl().generation,
                                              kernel, "starting a kernel"));
  if (grid.blocks == 0 || threads > 1024 ||
      grid.shared_bytes > impl.gpu().properties.max_shared_bytes) {
    return TestFailure(absl::StrCat(
        "a kernel cannot have ", grid.blocks, " blocks of ", threads,
        " threads with ", grid.shared_bytes, " bytes of shared memory"));
  }
  impl.Put([&gpu = impl.gpu(), run = std::move(run)] {
    {
      const MutexLock lock(&gpu.mutex);
      ++gpu.num_launches;
    }
    const absl::Status status = run(gpu.properties.emulation);
    return status.ok() ? status : TestFailure(std::string(status.message()));
  });
  return absl::OkStatus();
}

absl::Status EmulatedLoad(const Device& device, const void* kernel) {
  const Device::Impl& impl = device.impl();
  return impl.gpu->LoadKernel(impl.generation, kernel, "loading a kernel");
}

uint32_t EmulatedBlocksPerMultiprocessor(const Device& device, uint32_t threads,
                                         uint32_t shared_bytes) {
  // Of sm_80 and sm_90 alike; each block takes 1 KB for the system.
  constexpr uint32_t kMaxThreads = 2048;
  constexpr uint32_t kSystemBytes = 1024;
  const Device::Impl& impl = device.impl();
  const GpuProperties& gpu = impl.gpu->properties;
  if (!impl.gpu->CheckAlive(impl.generation, "sizing a kernel").ok() ||
      shared_bytes > gpu.max_shared_bytes) {
    return 0;
  }
  return std::min(
      {gpu.max_blocks_per_multiprocessor, kMaxThreads / threads,
       (gpu.max_shared_bytes + kSystemBytes) / (shared_bytes + kSystemBytes)});
}

}  // namespace neumf::cuda
