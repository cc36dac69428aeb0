#pragma once

// Waits for a stream where a scope is left by an error: declared after the memory
// that queued work uses, it keeps that memory until then.

#include "scoring/cuda/device/device.h"

namespace neumf::cuda {

class Drain {
 public:
  explicit Drain(Stream& stream) : stream_(&stream) {}
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;
  // The error is told by what failed.
  ~Drain() {
    if (stream_ != nullptr) (void)stream_->Synchronize();
  }

  // All went well: the memory stays, or nothing is queued any more.
  void Dismiss() { stream_ = nullptr; }

 private:
  Stream* stream_;
};

}  // namespace neumf::cuda
