#include "trainer/training_state.h"

#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "checkpoint/strict_json.h"
#include "nlohmann/json.hpp"
#include "trainer/tensor_file.h"

namespace neumf {
namespace {

using nlohmann::json;

constexpr char kFormat[] = "neumf.training_state.v1";
constexpr char kFormatKey[] = "format";
constexpr char kStateKey[] = "neumf.state";

constexpr char kParameters[] = "parameters";
constexpr char kFirstMoment[] = "first_moment";
constexpr char kSecondMoment[] = "second_moment";
constexpr char kBestParameters[] = "best_parameters";

constexpr size_t kMaxShownDifferences = 3;

json CurveJson(const CurveState& curve) {
  return {{"points", curve.points},
          {"best_value", curve.best_value},
          {"best_epoch", curve.best_epoch},
          {"num_worse", curve.num_worse}};
}

json StateJson(const TrainingState& state) {
  return {{"run", state.run},
          {"epoch_losses", state.epoch_losses},
          {"num_examples", state.num_examples},
          {"duration_nanos", absl::ToInt64Nanoseconds(state.duration)},
          {"num_steps", state.num_steps},
          {"curve", CurveJson(state.curve)}};
}

absl::StatusOr<uint64_t> ReadCount(const json& object, const char* name,
                                   uint64_t max) {
  const json* const value = FindMember(object, name);
  const std::optional<uint64_t> number =
      value == nullptr ? std::nullopt : AsPlainInteger(*value);
  if (number.has_value() && *number <= max) return *number;
  return absl::DataLossError(absl::StrCat(name, " is no count"));
}

absl::StatusOr<RunIdentity> ReadRun(const json& object) {
  const json* const value = FindMember(object, "run");
  if (value == nullptr || !value->is_object()) {
    return absl::DataLossError("run is no object");
  }
  RunIdentity run;
  for (const auto& entry : value->items()) {
    const std::string* const text = AsText(entry.value());
    if (text == nullptr) {
      return absl::DataLossError(
          absl::StrCat("run: ", entry.key(), " is no text"));
    }
    run[entry.key()] = *text;
  }
  return run;
}

absl::StatusOr<std::vector<double>> ReadLosses(const json& object) {
  const json* const value = FindMember(object, "epoch_losses");
  if (value == nullptr || !value->is_array()) {
    return absl::DataLossError("epoch_losses is no list");
  }
  std::vector<double> losses;
  for (const json& loss : *value) {
    if (!loss.is_number() || !std::isfinite(loss.get<double>())) {
      return absl::DataLossError("epoch_losses holds what is no number");
    }
    losses.push_back(loss.get<double>());
  }
  return losses;
}

absl::StatusOr<CurveState> ReadCurve(const json& object) {
  const json* const value = FindMember(object, "curve");
  if (value == nullptr || !value->is_object()) {
    return absl::DataLossError("curve is no object");
  }
  CurveState curve;
  const json* const points = FindMember(*value, "points");
  const json* const best_value = FindMember(*value, "best_value");
  if (points == nullptr || !points->is_array() || best_value == nullptr ||
      !best_value->is_number() || !std::isfinite(best_value->get<double>())) {
    return absl::DataLossError("curve lacks points, or its best value");
  }
  curve.points = *points;
  curve.best_value = best_value->get<double>();
  constexpr uint64_t kMaxCount = std::numeric_limits<uint32_t>::max();
  NEUMF_ASSIGN_OR_RETURN(const uint64_t best_epoch,
                         ReadCount(*value, "best_epoch", kMaxCount));
  NEUMF_ASSIGN_OR_RETURN(const uint64_t num_worse,
                         ReadCount(*value, "num_worse", kMaxCount));
  curve.best_epoch = static_cast<uint32_t>(best_epoch);
  curve.num_worse = static_cast<uint32_t>(num_worse);
  return curve;
}

// All but the tensors.
absl::StatusOr<TrainingState> ReadStateJson(const std::string& text) {
  // Losses and settings are bounded by the header, which has its own limit.
  JsonLimits limits;
  limits.max_depth = 5;
  limits.max_values = 1 << 20;
  limits.max_members = 1 << 10;
  NEUMF_ASSIGN_OR_RETURN(const json object, ParseStrictJson(text, limits));
  TrainingState state;
  NEUMF_ASSIGN_OR_RETURN(state.run, ReadRun(object));
  NEUMF_ASSIGN_OR_RETURN(state.epoch_losses, ReadLosses(object));
  NEUMF_ASSIGN_OR_RETURN(state.curve, ReadCurve(object));
  constexpr uint64_t kMaxCount = std::numeric_limits<int64_t>::max();
  NEUMF_ASSIGN_OR_RETURN(state.num_examples,
                         ReadCount(object, "num_examples", kMaxCount));
  NEUMF_ASSIGN_OR_RETURN(state.num_steps,
                         ReadCount(object, "num_steps", kMaxCount));
  NEUMF_ASSIGN_OR_RETURN(const uint64_t nanos,
                         ReadCount(object, "duration_nanos", kMaxCount));
  state.duration = absl::Nanoseconds(static_cast<int64_t>(nanos));
  return state;
}

std::string TextOf(const RunIdentity& run, const std::string& name) {
  const auto found = run.find(name);
  if (found == run.end()) return "not set";
  return found->second.empty() ? "empty" : found->second;
}

absl::Status CheckSameRun(const RunIdentity& saved, const RunIdentity& run) {
  std::set<std::string> names;
  for (const auto& [name, text] : saved) names.insert(name);
  for (const auto& [name, text] : run) names.insert(name);
  // Those that tell most come first: what both have, and of that the flags.
  std::multimap<std::pair<bool, bool>, std::string> differences;
  for (const std::string& name : names) {
    const std::string was = TextOf(saved, name);
    const std::string is = TextOf(run, name);
    if (was == is) continue;
    const bool one_lacks_it = saved.count(name) == 0 || run.count(name) == 0;
    const bool is_no_flag = !absl::StrContains(name, "--");
    differences.emplace(std::pair(one_lacks_it, is_no_flag),
                        absl::StrCat(name, " was ", was, " and is ", is));
  }
  if (differences.empty()) return absl::OkStatus();
  std::vector<std::string> shown;
  for (const auto& [place, difference] : differences) {
    if (shown.size() < kMaxShownDifferences) shown.push_back(difference);
  }
  if (differences.size() > shown.size()) {
    shown.push_back(absl::StrCat(differences.size() - shown.size(), " more"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "it is the state of another run: ", absl::StrJoin(shown, ", "),
      "; give what was given then, or start anew without it"));
}

// Moves a tensor out of the file. Absent is empty.
std::vector<float> Take(const char* name, TensorFile& file) {
  const auto tensor = file.tensors.find(name);
  if (tensor == file.tensors.end()) return {};
  std::vector<float> values = std::move(tensor->second.values);
  file.tensors.erase(tensor);
  return values;
}

absl::Status CheckSize(const char* name, const std::vector<float>& values,
                       size_t num_parameters) {
  if (values.size() == num_parameters) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("it holds ", values.size(), " ", name,
                   " where the model has ", num_parameters));
}

absl::StatusOr<TrainingState> Interpret(TensorFile file, const RunIdentity& run,
                                        size_t num_parameters) {
  const auto format = file.metadata.find(kFormatKey);
  const auto text = file.metadata.find(kStateKey);
  if (format == file.metadata.end() || format->second != kFormat ||
      text == file.metadata.end()) {
    return absl::InvalidArgumentError(
        "no state of a training run: a checkpoint, or weights");
  }
  if (!file.is_digested) return absl::DataLossError("lacks its digest");
  absl::StatusOr<TrainingState> read = ReadStateJson(text->second);
  if (!read.ok()) return Annotate(read.status(), kStateKey);
  TrainingState state = *std::move(read);
  NEUMF_RETURN_IF_ERROR(CheckSameRun(state.run, run));

  state.parameters = Take(kParameters, file);
  state.first_moment = Take(kFirstMoment, file);
  state.second_moment = Take(kSecondMoment, file);
  state.best_parameters = Take(kBestParameters, file);
  if (!file.tensors.empty()) {
    return absl::DataLossError(absl::StrCat(
        "tensor ", file.tensors.begin()->first, " is none of a state"));
  }
  NEUMF_RETURN_IF_ERROR(
      CheckSize(kParameters, state.parameters, num_parameters));
  for (const auto& [name, values] :
       {std::pair<const char*, const std::vector<float>*>(kFirstMoment,
                                                          &state.first_moment),
        {kSecondMoment, &state.second_moment},
        {kBestParameters, &state.best_parameters}}) {
    if (values->empty()) continue;
    NEUMF_RETURN_IF_ERROR(CheckSize(name, *values, num_parameters));
  }
  return state;
}

}  // namespace

absl::Status WriteState(FileSystem& files, absl::string_view path,
                        const TrainingState& state) {
  for (const double loss : state.epoch_losses) NEUMF_CHECK(std::isfinite(loss));
  std::vector<TensorView> tensors;
  const auto add = [&](const char* name, const std::vector<float>& values) {
    if (values.empty()) return;
    NEUMF_CHECK(values.size() == state.parameters.size());
    tensors.push_back({name, {values.size()}, values});
  };
  add(kParameters, state.parameters);
  add(kFirstMoment, state.first_moment);
  add(kSecondMoment, state.second_moment);
  add(kBestParameters, state.best_parameters);
  const std::string text = StateJson(state).dump(
      -1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace);
  return WriteTensors(files, path, {{kFormatKey, kFormat}, {kStateKey, text}},
                      tensors);
}

absl::StatusOr<TrainingState> ReadState(FileSystem& files,
                                        absl::string_view path,
                                        const RunIdentity& run,
                                        size_t num_parameters) {
  NEUMF_ASSIGN_OR_RETURN(TensorFile file, ReadTensors(files, path));
  absl::StatusOr<TrainingState> state =
      Interpret(std::move(file), run, num_parameters);
  if (!state.ok()) return Annotate(state.status(), path);
  return state;
}

}  // namespace neumf
