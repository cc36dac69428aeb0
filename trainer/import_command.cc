#include "trainer/import_command.h"

#include <cstdio>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint_writer.h"
#include "nlohmann/json.hpp"
#include "trainer/export_model.h"
#include "trainer/held_out_evaluation.h"
#include "trainer/import_weights.h"
#include "trainer/outputs.h"
#include "trainer/tensor_file.h"
#include "trainer/torch_threads.h"
#include "trainer/weights_origin.h"

namespace neumf {
namespace {

absl::Status CheckOptions(const ImportOptions& options, FileSystem& files) {
  if (options.weights.empty()) {
    return absl::InvalidArgumentError(
        "--weights is needed: a safetensors file of a state dict");
  }
  if (options.out.empty()) {
    return absl::InvalidArgumentError(
        "--out is needed: the directory of checkpoints");
  }
  if (options.threads < 1 || options.threads > 1024) {
    return absl::InvalidArgumentError("--threads must be 1 to 1024");
  }
  NEUMF_RETURN_IF_ERROR(CheckCheckpointDirectory(files, options.out));
  return CheckMetricsFile(files, options.metrics_out);
}

const char* KindOf(const ModelSpec& spec) {
  if (!spec.has_tower()) return "gmf";
  return spec.has_product() ? "neumf" : "mlp";
}

nlohmann::json TrainingJson(const ImportOptions& options, uint64_t id_base,
                            const TrainTask& task) {
  return {{"imported", {{"layout", options.layout}, {"id_base", id_base}}},
          {"data",
           {{"format", options.task.data.format},
            {"users", task.log.num_users()},
            {"items", task.log.num_items()},
            {"train_events", task.split.train.size()},
            {"held_out_events", task.split.held_out.size()},
            {"split_hash", SplitHashText(task.split)}}},
          {"split", options.task.split},
          {"held_out", options.task.held_out}};
}

absl::StatusOr<nlohmann::json> Measure(const ImportOptions& options,
                                       const TrainTask& task,
                                       const ExportedModel& exported) {
  if (!task.is_measured()) return nlohmann::json::object();
  HeldOutOptions held_out;
  held_out.protocol = task.protocol;
  held_out.drop_rated = options.drop_rated;
  held_out.whole_lists = options.whole_lists;
  held_out.num_threads = static_cast<size_t>(options.threads);
  NEUMF_ASSIGN_OR_RETURN(const HeldOutEvaluation evaluation,
                         EvaluateHeldOut(exported.model, exported.items,
                                         task.log, task.split, held_out));
  return MetricsJson(evaluation);
}

}  // namespace

absl::StatusOr<std::string> Import(const ImportOptions& options,
                                   const CommandEnvironment& environment) {
  FileSystem& files = *environment.files;
  NEUMF_ASSIGN_OR_RETURN(const ImportLayout layout,
                         FindImportLayout(options.layout));
  NEUMF_RETURN_IF_ERROR(CheckOptions(options, files));
  SetTorchThreads(options.threads);
  const absl::StatusOr<TensorFile> tensors =
      ReadTensors(files, options.weights);
  if (!tensors.ok()) return Annotate(tensors.status(), "--weights");
  NEUMF_ASSIGN_OR_RETURN(const TrainTask task,
                         PrepareTask(options.task, files));
  const uint64_t id_base = options.id_base.value_or(layout.id_base);
  absl::StatusOr<Parameters> parameters = ImportWeights(
      *tensors, layout, id_base, task.log.user_ids, task.log.item_ids);
  if (!parameters.ok()) {
    return Annotate(parameters.status(),
                    absl::StrCat("--weights: ", options.weights));
  }

  const Interactions seen = task.Seen();
  const ItemBags item_bags(task.log.num_items(), nullptr);
  const UserBags user_bags(parameters->spec(), nullptr, &task.sequences);
  ExportData data;
  data.log = &task.log;
  data.positives = &task.train;
  data.seen = &seen;
  data.item_bags = &item_bags;
  data.user_bags = &user_bags;
  ThreadPool threads(static_cast<size_t>(options.threads), "export");
  NEUMF_ASSIGN_OR_RETURN(ExportedModel exported,
                         ExportModel(*parameters, data, threads));

  Manifest manifest;
  manifest.model_kind = KindOf(parameters->spec());
  manifest.created_at = absl::FormatTime(
      absl::RFC3339_sec, environment.clock->WallNow(), absl::UTCTimeZone());
  manifest.training = TrainingJson(options, id_base, task);
  manifest.probes = MakeProbes(*parameters, data);
  NEUMF_RETURN_IF_ERROR(SetUserPrecision(options.user_precision, exported.items,
                                         static_cast<size_t>(options.threads),
                                         &exported.model, &manifest.probes));
  NEUMF_ASSIGN_OR_RETURN(manifest.metrics, Measure(options, task, exported));
  absl::FPrintF(stderr, "metrics %s\n", manifest.metrics.dump());
  NEUMF_ASSIGN_OR_RETURN(
      const PublishedCheckpoint published,
      PublishCheckpoint(files, options.out, exported.model, exported.items,
                        manifest,
                        options.signing_key ? &*options.signing_key : nullptr));
  NEUMF_RETURN_IF_ERROR(Annotate(
      WriteMetricsFile(files, options.metrics_out, manifest.metrics),
      absl::StrCat("published ", published.path, ", but not its metrics")));
  NEUMF_RETURN_IF_ERROR(
      RemoveOldVersions(files, options.out, options.keep, published.path));
  return published.path;
}

}  // namespace neumf
