#pragma once

// From trained parameters to what a run leaves behind: held-out metrics, and a
// checkpoint with its manifest and probes, a file of metrics, a file of weights.

#include <string>

#include "absl/status/statusor.h"
#include "base/thread_pool.h"
#include "checkpoint/manifest.h"
#include "data/interactions.h"
#include "eval/evaluation.h"
#include "nlohmann/json.hpp"
#include "trainer/export_model.h"
#include "trainer/held_out_evaluation.h"
#include "trainer/stage_inputs.h"
#include "trainer/stage_runner.h"
#include "trainer/train_command.h"
#include "trainer/train_task.h"

namespace neumf {

// How a run measures what it holds out.
HeldOutOptions HeldOutOptionsOf(const TrainOptions& options,
                                const TrainTask& task);

// Belongs to one thread.
class CheckpointPublication {
 public:
  // All three must outlive it.
  CheckpointPublication(const TrainOptions& options, const TrainTask& task,
                        const CommandEnvironment& environment);

  // The held-out metrics of parameters that are still being trained: those of
  // the first epochs may tie as they like.
  absl::StatusOr<Evaluation> MeasureEpoch(const StageInputs& inputs,
                                          const Parameters& parameters);

  // The path of the published checkpoint, as Train() of train_command.h.
  absl::StatusOr<std::string> Publish(TrainedStages trained);

 private:
  ExportData ExportDataOf(const StageInputs& inputs) const;
  absl::StatusOr<nlohmann::json> MetricsOf(const TrainedStages& trained,
                                           const ExportedModel& exported) const;
  Manifest ManifestOf(const TrainedStages& trained) const;
  nlohmann::json TrainingJson(const TrainedStages& trained) const;

  const TrainOptions& options_;
  const TrainTask& task_;
  const CommandEnvironment& environment_;
  const Interactions seen_;
  ThreadPool threads_;
};

}  // namespace neumf
