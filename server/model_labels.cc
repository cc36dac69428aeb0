#include "server/model_labels.h"

#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace neumf {
namespace {

constexpr std::array<absl::string_view, 7> kModelKinds = {
    "mf", "gmf", "mlp", "neumf", "bilinear-triplet", "deep-triplet", "fm"};
constexpr std::array<absl::string_view, 2> kFirstPasses = {
    "int8 first pass", "float16 first pass"};

// The kind stands in a file.
std::string KindLabel(absl::string_view kind) {
  const bool known = std::find(kModelKinds.begin(), kModelKinds.end(), kind) !=
                     kModelKinds.end();
  return known ? std::string(kind) : "other";
}

// "cpu" of "cpu (AVX3_ZEN4, int8 first pass)".
std::string DeviceLabel(absl::string_view scorer_name) {
  return std::string(scorer_name.substr(0, scorer_name.find(' ')));
}

std::string PrecisionLabel(absl::string_view scorer_name) {
  for (const absl::string_view pass : kFirstPasses) {
    if (absl::StrContains(scorer_name, pass)) return std::string(pass);
  }
  return "float32";
}

}  // namespace

std::map<std::string, std::string> ModelLabels(const Snapshot& snapshot) {
  const absl::string_view scorer = snapshot.scorer->name();
  return {{"version", snapshot.version_text},
          {"digest", snapshot.digest},
          {"kind", KindLabel(snapshot.kind)},
          {"device", DeviceLabel(scorer)},
          {"precision", PrecisionLabel(scorer)}};
}

}  // namespace neumf
