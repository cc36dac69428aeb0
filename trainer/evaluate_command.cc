#include "trainer/evaluate_command.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_reader.h"
#include "data/split.h"
#include "trainer/held_out_evaluation.h"
#include "trainer/outputs.h"

namespace neumf {
namespace {

absl::Status CheckOptions(const EvaluateOptions& options) {
  if (options.checkpoint.empty()) {
    return absl::InvalidArgumentError("--checkpoint is needed: the file");
  }
  if (options.protocol != "d2l") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--protocol: this build knows d2l, not '", options.protocol, "'"));
  }
  if (options.threads < 1 || options.threads > 1024) {
    return absl::InvalidArgumentError("--threads must be 1 to 1024");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<nlohmann::json> Evaluate(const EvaluateOptions& options,
                                        FileSystem& files) {
  NEUMF_RETURN_IF_ERROR(CheckOptions(options));
  NEUMF_RETURN_IF_ERROR(CheckMetricsFile(files, options.metrics_out));
  NEUMF_ASSIGN_OR_RETURN(const HeldOut held_out,
                         ParseHeldOut("--split", options.split));
  NEUMF_ASSIGN_OR_RETURN(const LoadedCheckpoint loaded,
                         LoadCheckpoint(files, options.checkpoint));
  NEUMF_ASSIGN_OR_RETURN(const EventLog log, ReadEvents(files, options.data));
  NEUMF_ASSIGN_OR_RETURN(const Split split,
                         MakeSplit(log, SplitKind::kD2l, held_out));
  NEUMF_ASSIGN_OR_RETURN(const LeaveOneOutMetrics metrics,
                         EvaluateHeldOut(loaded.model, loaded.items, log, split,
                                         static_cast<size_t>(options.threads)));
  nlohmann::json json = MetricsJson(metrics);
  json["split"] = options.split;
  json["checkpoint"] = options.checkpoint;
  NEUMF_RETURN_IF_ERROR(WriteMetricsFile(files, options.metrics_out, json));
  return json;
}

}  // namespace neumf
