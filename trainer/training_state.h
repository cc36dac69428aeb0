#pragma once

// Where a training run stands after an epoch: with it, a run that was cut off
// goes on and ends with the same bits as one that was not.
//
//   NEUMF_RETURN_IF_ERROR(WriteState(files, path, state));
//   ...
//   NEUMF_ASSIGN_OR_RETURN(TrainingState state,
//                          ReadState(files, path, run, layout.size));

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/file_system.h"
#include "nlohmann/json.hpp"

namespace neumf {

// What makes two runs the same, by name: every setting, the seed, the number of
// threads, the data (counts, or a hash), as texts.
using RunIdentity = std::map<std::string, std::string>;

// Where the watching of the held-out metrics stands: see EpochCurve.
struct CurveState {
  nlohmann::json points = nlohmann::json::array();
  double best_value = 0;  // finite
  uint32_t best_epoch = 0;
  uint32_t num_worse = 0;  // evaluations since the best
};

struct TrainingState {
  RunIdentity run;

  std::vector<double> epoch_losses;  // one an epoch that is done
  uint64_t num_examples = 0;         // seen over all epochs
  absl::Duration duration;           // of training alone

  std::vector<float> parameters;  // Parameters::values()
  // Of the optimizer. Each moment is as long as the parameters, or empty.
  uint64_t num_steps = 0;
  std::vector<float> first_moment;
  std::vector<float> second_moment;

  CurveState curve;
  std::vector<float> best_parameters;  // of curve.best_epoch; empty: none

  uint64_t epochs_done() const { return epoch_losses.size(); }
};

// Replaces `path` at once or not at all. REQUIRES: losses are finite, moments
// and the best parameters fit the parameters.
absl::Status WriteState(FileSystem& files, absl::string_view path,
                        const TrainingState& state);

// NOT_FOUND when there is no file. FAILED_PRECONDITION, naming what differs,
// when it is of another run than `run`, or of a model of another size.
// INVALID_ARGUMENT: a safetensors file, but of something else. DATA_LOSS:
// damaged.
absl::StatusOr<TrainingState> ReadState(FileSystem& files,
                                        absl::string_view path,
                                        const RunIdentity& run,
                                        size_t num_parameters);

}  // namespace neumf
