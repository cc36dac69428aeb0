#pragma once

// What the processes of a distributed run do together. Each calls the same
// operations in the same order with the same sizes; an operation returns when
// all have called it.
//
// An error is final: another process is gone, or did not come in time. The
// others notice when this one gives its object up.

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace neumf {

// Belongs to one thread.
class Collective {
 public:
  virtual ~Collective() = default;

  virtual uint32_t rank() const = 0;  // 0 leads
  virtual uint32_t size() const = 0;  // at least 2

  // Every process gets the sum of all, the same bits in each.
  virtual absl::Status Sum(absl::Span<float> values) = 0;
  // Every process gets the bits that are set in any.
  virtual absl::Status Or(absl::Span<uint8_t> bits) = 0;
  // Every process gets what process 0 has.
  virtual absl::Status Broadcast(absl::Span<uint8_t> bytes) = 0;

  bool leads() const { return rank() == 0; }
};

}  // namespace neumf
