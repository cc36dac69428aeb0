#include "trainer/evaluate_command.h"

#include <cstdio>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_reader.h"
#include "data/split.h"
#include "trainer/held_out_evaluation.h"
#include "trainer/outputs.h"

namespace neumf {
namespace {

absl::Status CheckOptions(const EvaluateOptions& options, FileSystem& files) {
  if (options.checkpoint.empty()) {
    return absl::InvalidArgumentError("--checkpoint is needed: the file");
  }
  if (options.threads < 1 || options.threads > 1024) {
    return absl::InvalidArgumentError("--threads must be 1 to 1024");
  }
  NEUMF_RETURN_IF_ERROR(CheckMetricsFile(files, options.metrics_out));
  return CheckOutputFile(files, "--per_user_out", options.per_user_out);
}

absl::StatusOr<SplitOptions> SplitOf(const EvaluateOptions& options,
                                     Protocol protocol) {
  SplitOptions split;
  NEUMF_ASSIGN_OR_RETURN(split.held_out,
                         ParseHeldOut("--split", options.split));
  split.seed = options.split_seed;
  split.ratio = options.split_ratio;
  split.min_rating = options.min_rating;
  return SplitFor(protocol, options.split_kind, split);
}

std::string HashText(const Split& split) {
  return absl::StrFormat("%016x", split.hash);
}

// The split that the manifest says was trained on; empty when it does not.
std::string TrainedSplit(const Manifest& manifest) {
  const nlohmann::json::json_pointer path("/data/split_hash");
  const nlohmann::json& training = manifest.training;
  if (!training.is_object() || !training.contains(path)) return "";
  const nlohmann::json& hash = training.at(path);
  return hash.is_string() ? hash.get<std::string>() : "";
}

bool WasTrainedOnOtherSplit(const Manifest& manifest, const Split& split) {
  const std::string trained = TrainedSplit(manifest);
  return !trained.empty() && trained != HashText(split);
}

nlohmann::json SplitJson(const EvaluateOptions& options,
                         const SplitOptions& split_options,
                         const Split& split) {
  nlohmann::json json = {{"split", options.split},
                         {"split_seed", split_options.seed},
                         {"split_hash", HashText(split)},
                         {"train_events", split.train.size()},
                         {"held_out_events", split.held_out.size()}};
  if (split_options.min_rating) {
    json["min_rating"] = *split_options.min_rating;
    json["low_rated_events"] = split.low_rated.size();
  }
  return json;
}

}  // namespace

absl::StatusOr<nlohmann::json> Evaluate(const EvaluateOptions& options,
                                        FileSystem& files) {
  NEUMF_RETURN_IF_ERROR(CheckOptions(options, files));
  HeldOutOptions evaluation;
  NEUMF_ASSIGN_OR_RETURN(
      evaluation.protocol,
      ProtocolFor(options.protocol, options.data.format, options.split_kind));
  evaluation.drop_rated = options.drop_rated;
  evaluation.whole_lists = options.whole_lists;
  evaluation.num_threads = static_cast<size_t>(options.threads);
  NEUMF_ASSIGN_OR_RETURN(const SplitOptions split_options,
                         SplitOf(options, evaluation.protocol));

  NEUMF_ASSIGN_OR_RETURN(const LoadedCheckpoint loaded,
                         LoadCheckpoint(files, options.checkpoint));
  NEUMF_ASSIGN_OR_RETURN(const EventLog log, ReadEvents(files, options.data));
  NEUMF_ASSIGN_OR_RETURN(const Split split, MakeSplit(log, split_options));
  NEUMF_ASSIGN_OR_RETURN(
      const HeldOutEvaluation held_out,
      EvaluateHeldOut(loaded.model, loaded.items, log, split, evaluation));
  nlohmann::json json = MetricsJson(held_out);
  json.update(SplitJson(options, split_options, split));
  json["checkpoint"] = options.checkpoint;
  if (WasTrainedOnOtherSplit(loaded.info.manifest, split)) {
    json["trained_on_other_split"] = true;
    absl::FPrintF(stderr,
                  "warning: the checkpoint was trained on split %s and is "
                  "measured on %s: it may have learned what is held out\n",
                  TrainedSplit(loaded.info.manifest), HashText(split));
  }
  NEUMF_RETURN_IF_ERROR(WriteMetricsFile(files, options.metrics_out, json));
  if (!options.per_user_out.empty()) {
    NEUMF_RETURN_IF_ERROR(
        Annotate(WriteFileAtomically(files, options.per_user_out,
                                     PerUserCsv(held_out, log)),
                 "cannot write --per_user_out"));
  }
  return json;
}

}  // namespace neumf
