#pragma once

// A device as the scorers of this process share it: opened once, given up
// together when it fails.
//
//   NEUMF_ASSIGN_OR_RETURN(auto shared, SharedDevice::Get(ordinal));
//   NEUMF_ASSIGN_OR_RETURN(const DeviceUse use, DeviceUse::Begin(*shared));
//   return shared->Noted(stream.Synchronize());
//
// Thread-safe.

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "scoring/cuda/device/device.h"

namespace neumf::cuda {

class SharedDevice {
 public:
  // Device number `ordinal`, the one that others have open already where there
  // is one. UNAVAILABLE as Device::Open(), and while that one has failed.
  static absl::StatusOr<std::shared_ptr<SharedDevice>> Get(int ordinal);

  // Ends all uses of the device, now and for good, and makes it new: Get() gives
  // another one from then on. Waits for uses under way. UNAVAILABLE when the
  // device stays lost.
  static absl::Status Reset(int ordinal);

  explicit SharedDevice(std::unique_ptr<Device> device);

  Device& device() const { return *device_; }

  // Returns `status`. When it says that the device failed, all uses that begin
  // later fail with it.
  absl::Status Noted(absl::Status status);

 private:
  friend class DeviceUse;

  absl::Status BeginUse();
  void EndUse();
  void FailAndWait();

  const std::unique_ptr<Device> device_;
  Mutex mutex_;
  CondVar unused_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // OK: none
  uint64_t num_uses_ ABSL_GUARDED_BY(mutex_) = 0;
};

// As long as it lives the device is not reset, and what lies there or in pinned
// memory stays. For calls of limited length.
class DeviceUse {
 public:
  // The failure of the device, once it has failed.
  static absl::StatusOr<DeviceUse> Begin(SharedDevice& device);
  DeviceUse(DeviceUse&& other) noexcept;
  DeviceUse& operator=(DeviceUse&&) = delete;
  ~DeviceUse();

 private:
  explicit DeviceUse(SharedDevice* device) : device_(device) {}
  SharedDevice* device_;
};

}  // namespace neumf::cuda
