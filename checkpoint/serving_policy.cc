#include "checkpoint/serving_policy.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/strict_json.h"

namespace neumf {
namespace {

constexpr char kServe[] = "serve";
constexpr char kRefuse[] = "refuse";
constexpr char kLargest[] = "largest";

absl::Status Wrong(absl::string_view what) {
  return absl::DataLossError(absl::StrCat(kServingPolicyFile, ": ", what));
}

// Whether a file can have it in its name.
bool IsVersion(uint64_t number) {
  return ParseVersionFileName(VersionFileName(number)).has_value();
}

absl::Status ReadServe(const nlohmann::json& value, ServingPolicy* policy) {
  const std::string* text = AsText(value);
  if (text != nullptr && *text == kLargest) return absl::OkStatus();
  policy->pinned = AsPlainInteger(value);
  if (policy->pinned.has_value() && IsVersion(*policy->pinned)) {
    return absl::OkStatus();
  }
  return Wrong("serve must be \"largest\" or the number of a version");
}

absl::Status ReadRefuse(const nlohmann::json& value, ServingPolicy* policy) {
  const auto versions = AsPlainIntegers(value);
  if (!versions.ok()) return Wrong("refuse must be a list of versions");
  for (const uint64_t version : *versions) {
    if (!IsVersion(version))
      return Wrong("refuse holds a number of no version");
    policy->refused.insert(version);
  }
  if (policy->refused.size() > kMaxRefusedVersions) {
    return Wrong(absl::StrCat("refuse holds more than ", kMaxRefusedVersions));
  }
  return absl::OkStatus();
}

}  // namespace

void ServingPolicy::Refuse(uint64_t version) {
  refused.insert(version);
  if (refused.size() > kMaxRefusedVersions) refused.erase(refused.begin());
}

absl::StatusOr<ServingPolicy> ParseServingPolicy(absl::string_view text) {
  // Editors end a file with a newline.
  const auto json =
      ParseStrictJson(absl::StripAsciiWhitespace(text), JsonLimits());
  if (!json.ok()) return Wrong(json.status().message());
  ServingPolicy policy;
  for (const auto& [name, value] : json->items()) {
    if (name == kServe) {
      NEUMF_RETURN_IF_ERROR(ReadServe(value, &policy));
    } else if (name == kRefuse) {
      NEUMF_RETURN_IF_ERROR(ReadRefuse(value, &policy));
    } else {
      return Wrong("only serve and refuse may stand there");
    }
  }
  if (policy.pinned.has_value() && policy.Refuses(*policy.pinned)) {
    return Wrong("the version to serve is refused, too");
  }
  return policy;
}

std::string FormatServingPolicy(const ServingPolicy& policy) {
  const std::string serve = policy.pinned.has_value()
                                ? absl::StrCat(*policy.pinned)
                                : absl::StrCat("\"", kLargest, "\"");
  return absl::StrCat("{\"", kServe, "\": ", serve, ", \"", kRefuse, "\": [",
                      absl::StrJoin(policy.refused, ", "), "]}\n");
}

absl::StatusOr<ServingPolicy> ReadServingPolicy(FileSystem& files,
                                                absl::string_view directory) {
  const auto text = ReadWholeFile(
      files, JoinPath(directory, kServingPolicyFile), kMaxServingPolicyBytes);
  if (absl::IsNotFound(text.status())) return ServingPolicy();
  if (!text.ok()) return text.status();
  return ParseServingPolicy(*text);
}

absl::Status WriteServingPolicy(FileSystem& files, absl::string_view directory,
                                const ServingPolicy& policy) {
  return WriteFileAtomically(files, JoinPath(directory, kServingPolicyFile),
                             FormatServingPolicy(policy));
}

}  // namespace neumf
