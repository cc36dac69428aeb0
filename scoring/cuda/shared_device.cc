#include "scoring/cuda/shared_device.h"

#include <map>
#include <utility>

#include "base/status_macros.h"

namespace neumf::cuda {
namespace {

struct Registry {
  Mutex mutex;
  std::map<int, std::weak_ptr<SharedDevice>> devices ABSL_GUARDED_BY(mutex);
};

Registry& TheRegistry() {
  static auto& registry =
      *new Registry;  // never destroyed: scorers may be last
  return registry;
}

}  // namespace

absl::StatusOr<std::shared_ptr<SharedDevice>> SharedDevice::Get(int ordinal) {
  Registry& registry = TheRegistry();
  MutexLock lock(&registry.mutex);
  std::weak_ptr<SharedDevice>& known = registry.devices[ordinal];
  if (auto shared = known.lock()) {
    NEUMF_RETURN_IF_ERROR(DeviceUse::Begin(*shared).status());
    return shared;
  }
  NEUMF_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, Device::Open(ordinal));
  auto shared = std::make_shared<SharedDevice>(std::move(device));
  known = shared;
  return shared;
}

// Under the registry's lock, so that no other device is opened meanwhile.
absl::Status SharedDevice::Reset(int ordinal) {
  Registry& registry = TheRegistry();
  MutexLock lock(&registry.mutex);
  if (auto shared = registry.devices[ordinal].lock()) shared->FailAndWait();
  registry.devices.erase(ordinal);
  return Device::Reset(ordinal);
}

SharedDevice::SharedDevice(std::unique_ptr<Device> device)
    : device_(std::move(device)) {}

absl::Status SharedDevice::Noted(absl::Status status) {
  if (absl::IsUnavailable(status)) {
    MutexLock lock(&mutex_);
    if (failure_.ok()) failure_ = status;
  }
  return status;
}

absl::Status SharedDevice::BeginUse() {
  MutexLock lock(&mutex_);
  NEUMF_RETURN_IF_ERROR(failure_);
  ++num_uses_;
  return absl::OkStatus();
}

void SharedDevice::EndUse() {
  MutexLock lock(&mutex_);
  if (--num_uses_ == 0) unused_.SignalAll();
}

void SharedDevice::FailAndWait() {
  MutexLock lock(&mutex_);
  if (failure_.ok()) {
    failure_ = absl::UnavailableError(device_->name() + " was reset");
  }
  while (num_uses_ > 0) unused_.Wait(&mutex_);
}

absl::StatusOr<DeviceUse> DeviceUse::Begin(SharedDevice& device) {
  NEUMF_RETURN_IF_ERROR(device.BeginUse());
  return DeviceUse(&device);
}

DeviceUse::DeviceUse(DeviceUse&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)) {}

DeviceUse::~DeviceUse() {
  if (device_ != nullptr) device_->EndUse();
}

}  // namespace neumf::cuda
