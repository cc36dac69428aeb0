#include "scoring/cuda/device/device.h"

#include <cuda_runtime.h>

#include <array>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "scoring/cuda/device/instructions.h"
#include "scoring/cuda/device/runtime.h"

namespace neumf::cuda {
namespace {

constexpr int kMaxDevices = 64;
constexpr int kOldestMajor =
    8;  // fused ReLU, m16n8k16, 164 KB of shared memory

// The state of a device that its owners share, as they share its context. Calls
// hold the lock shared, a reset alone.
struct Context {
  std::shared_mutex lock;
  uint64_t generation = 0;
};

Context& ContextOf(int ordinal) {
  static auto& contexts = *new std::array<Context, kMaxDevices>;
  return contexts[static_cast<size_t>(ordinal)];
}

std::string OrdinalName(int ordinal) {
  return absl::StrCat("CUDA device ", ordinal);
}

std::string VersionText(int version) {  // 13000: 13.0
  return absl::StrCat(version / 1000, ".", version % 1000 / 10);
}

// Without any driver the runtime says that the driver is too old.
absl::Status NoDriver() {
  int version = 0;
  cudaDriverGetVersion(&version);
  if (version == 0) {
    return absl::UnavailableError(
        "no CUDA device: this machine has no NVIDIA driver, or a container "
        "that is not given it");
  }
  return absl::UnavailableError(
      absl::StrCat("no CUDA device: the NVIDIA driver knows CUDA up to ",
                   VersionText(version), ", this program was built for ",
                   VersionText(CUDART_VERSION), "; update the driver"));
}

absl::Status CheckOrdinal(int ordinal) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (error == cudaErrorInsufficientDriver) return NoDriver();
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    return absl::UnavailableError(
        "no CUDA device: the driver sees none (CUDA_VISIBLE_DEVICES can hide "
        "them)");
  }
  if (error != cudaSuccess) {
    return ErrorStatus("no CUDA device", "counting them", error);
  }
  if (ordinal < 0 || ordinal >= count || ordinal >= kMaxDevices) {
    return absl::UnavailableError(
        absl::StrCat("no CUDA device ", ordinal, ": there are ", count));
  }
  return absl::OkStatus();
}

cudaError_t ResetContext(int ordinal) {
  // A device in trouble may refuse to be chosen, though it then is.
  const cudaError_t refused = cudaSetDevice(ordinal);
  int current = -1;
  if (cudaGetDevice(&current) != cudaSuccess || current != ordinal) {
    return refused;
  }
  const cudaError_t error = cudaDeviceReset();
  if (error != cudaSuccess) return error;
  const cudaError_t chosen = cudaSetDevice(ordinal);
  return chosen != cudaSuccess ? chosen : cudaFree(nullptr);
}

cudaError_t AllocateAt(Memory::Place place, void** data, size_t bytes) {
  return place == Memory::Place::kDevice
             ? cudaMalloc(data, bytes)
             : cudaHostAlloc(data, bytes, cudaHostAllocPortable);
}

}  // namespace

absl::Status ErrorStatus(absl::string_view device, absl::string_view what,
                         cudaError_t error) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string text =
      absl::StrCat(device, ": ", what, ": ", cudaGetErrorString(error));
  return error == cudaErrorMemoryAllocation ? absl::ResourceExhaustedError(text)
                                            : absl::UnavailableError(text);
}

// ---- Device -----------------------------------------------------------------

absl::Status Device::Impl::Run(absl::string_view what,
                               absl::FunctionRef<cudaError_t()> call) const {
  Context& context = ContextOf(ordinal);
  const std::shared_lock<std::shared_mutex> lock(context.lock);
  if (generation != context.generation) {
    return absl::UnavailableError(absl::StrCat(
        name, ": ", what, ": the device was reset after this was made"));
  }
  cudaError_t error = cudaSetDevice(ordinal);
  if (error == cudaSuccess) error = call();
  // The runtime keeps the last error for the next launch to report as its own.
  if (error != cudaSuccess) cudaGetLastError();
  return ErrorStatus(name, what, error);
}

Device::Device(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Device::~Device() = default;

absl::StatusOr<std::unique_ptr<Device>> Device::Open(int ordinal) {
  NEUMF_RETURN_IF_ERROR(CheckOrdinal(ordinal));
  auto impl = std::make_unique<Impl>();
  impl->ordinal = ordinal;
  impl->name = OrdinalName(ordinal);
  {
    Context& context = ContextOf(ordinal);
    const std::shared_lock<std::shared_mutex> lock(context.lock);
    impl->generation = context.generation;
  }
  cudaDeviceProp properties;
  NEUMF_RETURN_IF_ERROR(impl->Run("reading its properties", [&] {
    return cudaGetDeviceProperties(&properties, ordinal);
  }));
  if (properties.major < kOldestMajor) {
    return absl::UnavailableError(absl::StrCat(
        impl->name, " is a ", properties.name, " of compute capability ",
        properties.major, ".", properties.minor, "; ", kOldestMajor,
        ".0 (Ampere) or a newer one is needed"));
  }
  impl->name = properties.name;
  impl->num_multiprocessors =
      static_cast<uint32_t>(properties.multiProcessorCount);
  impl->max_shared_bytes =
      static_cast<uint32_t>(properties.sharedMemPerBlockOptin);
  impl->total_bytes = properties.totalGlobalMem;
  NEUMF_RETURN_IF_ERROR(impl->Run("reading what its code is", [&] {
    return ReadHasWideMma(&impl->has_wide_mma);
  }));
  return std::unique_ptr<Device>(new Device(std::move(impl)));
}

absl::Status Device::Reset(int ordinal) {
  NEUMF_RETURN_IF_ERROR(CheckOrdinal(ordinal));
  Context& context = ContextOf(ordinal);
  const std::unique_lock<std::shared_mutex> lock(context.lock);
  ++context.generation;
  const cudaError_t error = ResetContext(ordinal);
  if (error != cudaSuccess) cudaGetLastError();
  return ErrorStatus(OrdinalName(ordinal), "reset", error);
}

const std::string& Device::name() const { return impl_->name; }
uint32_t Device::num_multiprocessors() const {
  return impl_->num_multiprocessors;
}
uint32_t Device::max_shared_bytes() const { return impl_->max_shared_bytes; }
uint64_t Device::total_bytes() const { return impl_->total_bytes; }
bool Device::has_wide_mma() const { return impl_->has_wide_mma; }

absl::StatusOr<uint64_t> Device::FreeBytes() const {
  size_t free = 0;
  size_t total = 0;
  NEUMF_RETURN_IF_ERROR(impl_->Run("reading its free memory", [&] {
    return cudaMemGetInfo(&free, &total);
  }));
  return free;
}

absl::StatusOr<std::unique_ptr<Stream>> Device::MakeStream() {
  auto stream = std::make_unique<Stream::Impl>(*this);
  NEUMF_RETURN_IF_ERROR(impl_->Run("making a stream", [&] {
    cudaError_t error =
        cudaStreamCreateWithFlags(&stream->stream, cudaStreamNonBlocking);
    for (cudaEvent_t& mark : stream->mark) {
      if (error == cudaSuccess) error = cudaEventCreate(&mark);
    }
    return error;
  }));
  return std::make_unique<Stream>(std::move(stream));
}

// ---- Memory -----------------------------------------------------------------

absl::StatusOr<Memory> Memory::Allocate(Device& device, Place place,
                                        size_t bytes) {
  Memory memory;
  if (bytes == 0) return memory;
  const char* const where =
      place == Place::kDevice ? " bytes of the device" : " bytes pinned";
  NEUMF_RETURN_IF_ERROR(device.impl().Run(
      absl::StrCat("allocating ", bytes, where),
      [&] { return AllocateAt(place, &memory.data_, bytes); }));
  memory.device_ = &device;
  memory.place_ = place;
  memory.bytes_ = bytes;
  return memory;
}

void Memory::Free() {
  if (data_ == nullptr) return;
  // After a reset it is gone already, and so it is when a device fails.
  (void)device_->impl().Run("freeing memory", [&] {
    return place_ == Place::kDevice ? cudaFree(data_) : cudaFreeHost(data_);
  });
  data_ = nullptr;
}

// ---- Graph ------------------------------------------------------------------

Graph::Graph(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Graph::~Graph() = default;

Graph::Impl::~Impl() {
  if (graph == nullptr) return;
  (void)device.impl().Run("", [&] { return cudaGraphExecDestroy(graph); });
}

// ---- Stream -----------------------------------------------------------------

Stream::Stream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Stream::~Stream() = default;

Stream::Impl::~Impl() {
  (void)device.impl().Run("", [&] {
    if (stream != nullptr) cudaStreamSynchronize(stream);
    for (cudaEvent_t event : mark) {
      if (event != nullptr) cudaEventDestroy(event);
    }
    return stream != nullptr ? cudaStreamDestroy(stream) : cudaSuccess;
  });
}

Device& Stream::device() const { return impl_->device; }

absl::Status Stream::Copy(void* to, const void* from, size_t bytes) {
  return device().impl().Run("copying", [&] {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, impl_->stream);
  });
}

absl::Status Stream::Fill(void* device_memory, uint8_t byte, size_t bytes) {
  return device().impl().Run("filling memory", [&] {
    return cudaMemsetAsync(device_memory, byte, bytes, impl_->stream);
  });
}

absl::StatusOr<std::unique_ptr<Graph>> Stream::Record(
    absl::FunctionRef<absl::Status()> queue) {
  // Other threads may allocate and copy meanwhile: theirs is not recorded.
  NEUMF_RETURN_IF_ERROR(device().impl().Run("recording a graph", [&] {
    return cudaStreamBeginCapture(impl_->stream,
                                  cudaStreamCaptureModeThreadLocal);
  }));
  const absl::Status queued = queue();
  auto graph = std::make_unique<Graph::Impl>(device());
  const absl::Status made = device().impl().Run("making a graph", [&] {
    cudaGraph_t recorded = nullptr;
    cudaError_t error = cudaStreamEndCapture(impl_->stream, &recorded);
    if (error == cudaSuccess && queued.ok()) {
      error = cudaGraphInstantiate(&graph->graph, recorded, 0);
    }
    if (recorded != nullptr) cudaGraphDestroy(recorded);
    if (error == cudaSuccess && queued.ok()) {
      error = cudaGraphUpload(graph->graph, impl_->stream);
    }
    return error;
  });
  NEUMF_RETURN_IF_ERROR(queued);
  NEUMF_RETURN_IF_ERROR(made);
  return std::make_unique<Graph>(std::move(graph));
}

absl::Status Stream::Launch(const Graph& graph) {
  return device().impl().Run("starting a graph", [&] {
    return cudaGraphLaunch(graph.impl().graph, impl_->stream);
  });
}

absl::Status Stream::Synchronize() {
  const absl::Status status = device().impl().Run(
      "running", [&] { return cudaStreamSynchronize(impl_->stream); });
  return absl::IsResourceExhausted(status)
             ? absl::UnavailableError(status.message())
             : status;
}

absl::Status Stream::Mark() {
  cudaEvent_t event = impl_->mark[impl_->num_marks++ % 2];
  return device().impl().Run(
      "marking", [&] { return cudaEventRecord(event, impl_->stream); });
}

absl::StatusOr<double> Stream::SecondsBetweenMarks() {
  const uint32_t last = impl_->num_marks + 1;  // modulo 2: the one before
  float milliseconds = 0;
  NEUMF_RETURN_IF_ERROR(device().impl().Run("timing", [&] {
    return cudaEventElapsedTime(&milliseconds, impl_->mark[(last + 1) % 2],
                                impl_->mark[last % 2]);
  }));
  return milliseconds * 1e-3;
}

}  // namespace neumf::cuda
