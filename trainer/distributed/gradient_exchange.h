#pragma once

// Makes the gradient of a batch out of those of its parts, which processes have
// computed from a part each.
//
// Of the tables only the rows that some process has touched travel: first a bit
// a row, then the touched rows one after another together with all that is no
// table. What every process gets is the same to the bit, touched rows included,
// so that equal parameters stay equal.

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/distributed/collective.h"
#include "trainer/step/gradient.h"

namespace neumf {

// Belongs to one thread.
class GradientExchange {
 public:
  // `collective` must outlive this.
  explicit GradientExchange(Collective* collective);

  // Replaces `gradient` by the sum of all processes' gradients, each times its
  // `weight`. Returns the sum of their losses, weighted alike.
  absl::StatusOr<double> Exchange(double weight, double loss,
                                  Gradient* gradient);

  // Sent by this process in all exchanges so far, before the collective makes
  // of it what it does.
  uint64_t num_bytes() const { return num_bytes_; }

 private:
  absl::Status ShareTouched(Gradient* gradient);

  Collective* const collective_;
  std::vector<uint8_t> touched_;  // a bit a row, a table after the other
  std::vector<float> packed_;
  uint64_t num_bytes_ = 0;
};

}  // namespace neumf
