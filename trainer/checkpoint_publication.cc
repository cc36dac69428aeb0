#include "trainer/checkpoint_publication.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_writer.h"
#include "trainer/outputs.h"
#include "trainer/settings.h"
#include "trainer/weights_file.h"
#include "trainer/weights_origin.h"

namespace neumf {
namespace {

nlohmann::json DataJson(const TrainOptions& options, const TrainTask& task) {
  return {{"format", options.task.data.format},
          {"events", task.log.events.size()},
          {"users", task.log.num_users()},
          {"items", task.log.num_items()},
          {"train_events", task.split.train.size()},
          {"held_out_events", task.split.held_out.size()},
          {"low_rated_events", task.split.low_rated.size()},
          {"row_ids", RowIdsDigest(task.log)},
          {"split_hash", SplitHashText(task.split)}};
}

}  // namespace

HeldOutOptions HeldOutOptionsOf(const TrainOptions& options,
                                const TrainTask& task) {
  HeldOutOptions held_out;
  held_out.protocol = task.protocol;
  held_out.drop_rated = options.drop_rated;
  held_out.whole_lists = options.whole_lists;
  held_out.num_threads = static_cast<size_t>(options.threads);
  return held_out;
}

CheckpointPublication::CheckpointPublication(
    const TrainOptions& options, const TrainTask& task,
    const CommandEnvironment& environment)
    : options_(options),
      task_(task),
      environment_(environment),
      seen_(task.Seen()),
      threads_(static_cast<size_t>(options.threads), "export") {}

ExportData CheckpointPublication::ExportDataOf(
    const StageInputs& inputs) const {
  ExportData data;
  data.log = &task_.log;
  data.positives = &task_.train;
  data.seen = &seen_;
  data.item_bags = &inputs.item_bags();
  data.user_bags = &inputs.user_bags();
  return data;
}

absl::StatusOr<Evaluation> CheckpointPublication::MeasureEpoch(
    const StageInputs& inputs, const Parameters& parameters) {
  NEUMF_ASSIGN_OR_RETURN(
      const ExportedModel exported,
      ExportModel(parameters, ExportDataOf(inputs), threads_));
  HeldOutOptions options = HeldOutOptionsOf(options_, task_);
  options.check_ties = false;
  NEUMF_ASSIGN_OR_RETURN(HeldOutEvaluation held_out,
                         EvaluateHeldOut(exported.model, exported.items,
                                         task_.log, task_.split, options));
  return std::move(held_out.evaluation);
}

absl::StatusOr<nlohmann::json> CheckpointPublication::MetricsOf(
    const TrainedStages& trained, const ExportedModel& exported) const {
  nlohmann::json metrics = trained.curve;
  if (task_.is_measured()) {
    NEUMF_ASSIGN_OR_RETURN(
        const HeldOutEvaluation held_out,
        EvaluateHeldOut(exported.model, exported.items, task_.log, task_.split,
                        HeldOutOptionsOf(options_, task_)));
    metrics.update(MetricsJson(held_out));
  }
  const double seconds = absl::ToDoubleSeconds(trained.duration);
  metrics["seed"] = options_.seed;
  metrics["train_seconds"] = seconds;
  metrics["train_examples_per_second"] =
      static_cast<double>(trained.num_examples) / seconds;
  metrics["train_examples"] = trained.num_examples;
  metrics["parameters"] = trained.parameters.values().size();
  metrics["train_events"] = task_.split.train.size();
  metrics["held_out_events"] = task_.split.held_out.size();
  metrics["split_hash"] = SplitHashText(task_.split);
  return metrics;
}

nlohmann::json CheckpointPublication::TrainingJson(
    const TrainedStages& trained) const {
  return {{"data", DataJson(options_, task_)},
          {"split", options_.task.split},
          {"split_seed", options_.task.split_seed},
          {"held_out", options_.task.held_out},
          {"recipe", options_.recipe.name},
          {"seed", options_.seed},
          {"threads", options_.threads},
          {"device", trained.device},
          {"stages", trained.stages}};
}

Manifest CheckpointPublication::ManifestOf(const TrainedStages& trained) const {
  Manifest manifest;
  manifest.model_kind = SettingText("model", options_.recipe.settings());
  manifest.created_at = absl::FormatTime(
      absl::RFC3339_sec, environment_.clock->WallNow(), absl::UTCTimeZone());
  manifest.training = TrainingJson(trained);
  return manifest;
}

absl::StatusOr<std::string> CheckpointPublication::Publish(
    TrainedStages trained) {
  const ExportData data = ExportDataOf(*trained.inputs);
  NEUMF_ASSIGN_OR_RETURN(ExportedModel exported,
                         ExportModel(trained.parameters, data, threads_));
  Manifest manifest = ManifestOf(trained);
  manifest.probes = MakeProbes(trained.parameters, data);
  NEUMF_RETURN_IF_ERROR(SetUserPrecision(options_.user_precision,
                                         exported.items,
                                         static_cast<size_t>(options_.threads),
                                         &exported.model, &manifest.probes));
  NEUMF_ASSIGN_OR_RETURN(manifest.metrics, MetricsOf(trained, exported));
  absl::FPrintF(stderr, "metrics %s\n", manifest.metrics.dump());

  FileSystem& files = *environment_.files;
  if (!options_.weights_out.empty()) {
    NEUMF_RETURN_IF_ERROR(WriteWeights(files, options_.weights_out,
                                       trained.parameters, manifest.training));
  }
  NEUMF_ASSIGN_OR_RETURN(
      const PublishedCheckpoint published,
      PublishCheckpoint(
          files, options_.out, exported.model, exported.items, manifest,
          options_.signing_key ? &*options_.signing_key : nullptr));
  NEUMF_RETURN_IF_ERROR(Annotate(
      WriteMetricsFile(files, options_.metrics_out, manifest.metrics),
      absl::StrCat("published ", published.path, ", but not its metrics")));
  NEUMF_RETURN_IF_ERROR(
      RemoveOldVersions(files, options_.out, options_.keep, published.path));
  return published.path;
}

}  // namespace neumf
