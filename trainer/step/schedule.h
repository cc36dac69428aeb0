#pragma once

// How the learning rate changes over a run: a factor on it.
//
//   constant        1
//   step:N:gamma    gamma^k once k * N epochs are done
//   cosine          from 1 to 0 along half a cosine, over all epochs
//
// With `,warmup:W` the first W epochs rise from 0 to what the schedule says, in
// a line; the cosine then begins at their end (Loshchilov and Hutter 2017;
// Goyal et al. 2017).

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace neumf {

struct Schedule {
  enum class Kind { kConstant, kStep, kCosine };

  Kind kind = Kind::kConstant;
  double step_epochs = 1;    // N
  double gamma = 1;          // of a step
  double warmup_epochs = 0;  // W

  // The factor after `epochs_done` of `num_epochs`, both of which may have
  // fractions: at a batch, its middle, so that neither the first nor the last
  // one gets 0.
  double Scale(double epochs_done, double num_epochs) const;
};

// "constant", "step:10:0.5", "cosine,warmup:2". INVALID_ARGUMENT says what is
// not understood, and what there is.
absl::StatusOr<Schedule> ParseSchedule(absl::string_view text);

// What ParseSchedule() reads.
std::string ScheduleText(const Schedule& schedule);

}  // namespace neumf
