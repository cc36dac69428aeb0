#include "checkpoint/manifest.h"

#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "checkpoint/strict_json.h"

namespace neumf {
namespace {

using nlohmann::json;

constexpr Activation kActivations[] = {Activation::kRelu, Activation::kTanh,
                                       Activation::kSigmoid};

std::optional<int> HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return std::nullopt;
}

absl::StatusOr<Sha256Digest> ReadDigest(const json& value) {
  const absl::Status malformed =
      absl::DataLossError("a digest is not 64 lowercase hexadecimal digits");
  Sha256Digest digest;
  const std::string* const text = AsText(value);
  if (text == nullptr || text->size() != 2 * digest.size()) return malformed;
  for (size_t i = 0; i < digest.size(); ++i) {
    const std::optional<int> high = HexDigit((*text)[2 * i]);
    const std::optional<int> low = HexDigit((*text)[2 * i + 1]);
    if (!high.has_value() || !low.has_value()) return malformed;
    digest[i] = static_cast<uint8_t>(*high << 4 | *low);
  }
  return digest;
}

absl::StatusOr<TensorDigest> ReadChunkDigests(const json& chunk_bytes,
                                              const json& chunks) {
  const std::optional<uint64_t> bytes = AsPlainInteger(chunk_bytes);
  if (!bytes.has_value() || *bytes == 0) {
    return absl::DataLossError("chunk_bytes is not a positive integer");
  }
  if (!chunks.is_array()) {
    return absl::DataLossError("sha256_chunks is not a list");
  }
  TensorDigest digest;
  digest.chunk_bytes = *bytes;
  for (const json& chunk : chunks) {
    NEUMF_ASSIGN_OR_RETURN(const Sha256Digest sha256, ReadDigest(chunk));
    digest.sha256.push_back(sha256);
  }
  return digest;
}

absl::StatusOr<TensorDigest> ReadTensorDigest(const json& value) {
  if (!value.is_object()) return absl::DataLossError("not an object");
  const json* const whole = FindMember(value, "sha256");
  const json* const chunk_bytes = FindMember(value, "chunk_bytes");
  const json* const chunks = FindMember(value, "sha256_chunks");
  if (whole != nullptr && chunks == nullptr) {
    NEUMF_ASSIGN_OR_RETURN(const Sha256Digest sha256, ReadDigest(*whole));
    TensorDigest digest;
    digest.sha256 = {sha256};
    return digest;
  }
  if (whole == nullptr && chunks != nullptr && chunk_bytes != nullptr) {
    return ReadChunkDigests(*chunk_bytes, *chunks);
  }
  return absl::DataLossError(
      "neither sha256 alone nor chunk_bytes with sha256_chunks");
}

absl::Status CheckVersion(const json& root) {
  const json* const value = FindMember(root, "format_version");
  if (value == nullptr) return absl::DataLossError("format_version is missing");
  const std::optional<uint64_t> version = AsPlainInteger(*value);
  if (!version.has_value()) {
    return absl::DataLossError("format_version is not a plain integer");
  }
  if (*version == Manifest::kFormatVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("format_version ", *version, " is not ",
                   Manifest::kFormatVersion, ", the one known here"));
}

absl::Status ReadFeatures(const json& root, Manifest& manifest) {
  const json* const features = FindMember(root, "required_features");
  if (features == nullptr) return absl::OkStatus();
  if (!features->is_array()) {
    return absl::DataLossError("required_features is not a list");
  }
  std::vector<std::string> unknown;
  for (const json& feature : *features) {
    const std::string* const name = AsText(feature);
    if (name == nullptr) {
      return absl::DataLossError("a name in required_features is no text");
    }
    manifest.required_features.push_back(*name);
    if (*name != kFloat16UsersFeature) unknown.push_back(*name);
  }
  if (unknown.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("required features unknown here: ",
                   Excerpt(absl::StrJoin(unknown, ", "))));
}

absl::Status ReadTensors(const json& root, Manifest& manifest) {
  const json* const tensors = FindMember(root, "tensors");
  if (tensors == nullptr || !tensors->is_object()) {
    return absl::DataLossError("tensors is missing or not an object");
  }
  for (const auto& entry : tensors->items()) {
    absl::StatusOr<TensorDigest> digest = ReadTensorDigest(entry.value());
    if (!digest.ok()) {
      return Annotate(digest.status(),
                      absl::StrCat("tensor ", Excerpt(entry.key())));
    }
    manifest.tensors[entry.key()] = *std::move(digest);
  }
  return absl::OkStatus();
}

// Leaves `text` as it is when there is no such member.
absl::Status ReadOptionalText(const json& root, const char* name,
                              std::string& text) {
  const json* const value = FindMember(root, name);
  if (value == nullptr) return absl::OkStatus();
  const std::string* const found = AsText(*value);
  if (found == nullptr) {
    return absl::DataLossError(absl::StrCat(name, " is no text"));
  }
  text = *found;
  return absl::OkStatus();
}

// An activation that we do not know is one of a newer program.
absl::Status ReadActivation(const json& root, Manifest& manifest) {
  std::string name = ActivationName(manifest.activation);
  NEUMF_RETURN_IF_ERROR(ReadOptionalText(root, "activation", name));
  for (const Activation activation : kActivations) {
    if (name != ActivationName(activation)) continue;
    manifest.activation = activation;
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("activation ", Excerpt(name), " is unknown here"));
}

absl::StatusOr<Probe::Item> ReadProbeItem(const json& value) {
  if (!value.is_object()) return absl::DataLossError("an item is no object");
  const json* const id = FindMember(value, "item_id");
  const json* const score = FindMember(value, "score");
  if (id == nullptr || AsText(*id) == nullptr) {
    return absl::DataLossError("item_id is missing or no text");
  }
  if (score == nullptr || !score->is_number()) {
    return absl::DataLossError("score is missing or no number");
  }
  Probe::Item item;
  item.item_id = *AsText(*id);
  item.score = score->get<double>();
  return item;
}

absl::StatusOr<Probe> ReadProbe(const json& value) {
  if (!value.is_object()) return absl::DataLossError("not an object");
  const json* const user_id = FindMember(value, "user_id");
  const json* const items = FindMember(value, "items");
  if (user_id == nullptr || AsText(*user_id) == nullptr) {
    return absl::DataLossError("user_id is missing or no text");
  }
  if (items == nullptr || !items->is_array() ||
      items->size() > ManifestLimits::kMaxProbeItems) {
    return absl::DataLossError("items is missing, no list or too long");
  }
  Probe probe;
  probe.user_id = *AsText(*user_id);
  for (const json& element : *items) {
    NEUMF_ASSIGN_OR_RETURN(Probe::Item item, ReadProbeItem(element));
    probe.items.push_back(std::move(item));
  }
  return probe;
}

absl::Status ReadProbes(const json& root, Manifest& manifest) {
  const json* const probes = FindMember(root, "probes");
  if (probes == nullptr) return absl::OkStatus();
  if (!probes->is_array() || probes->size() > ManifestLimits::kMaxProbes) {
    return absl::DataLossError("probes is no list or too long");
  }
  for (const json& element : *probes) {
    absl::StatusOr<Probe> probe = ReadProbe(element);
    if (!probe.ok()) {
      return Annotate(probe.status(),
                      absl::StrCat("probe ", manifest.probes.size()));
    }
    manifest.probes.push_back(*std::move(probe));
  }
  return absl::OkStatus();
}

absl::StatusOr<Manifest> ReadManifest(const json& root) {
  NEUMF_RETURN_IF_ERROR(CheckVersion(root));
  Manifest manifest;
  NEUMF_RETURN_IF_ERROR(ReadFeatures(root, manifest));
  NEUMF_RETURN_IF_ERROR(ReadTensors(root, manifest));
  NEUMF_RETURN_IF_ERROR(ReadActivation(root, manifest));
  NEUMF_RETURN_IF_ERROR(ReadProbes(root, manifest));
  NEUMF_RETURN_IF_ERROR(
      ReadOptionalText(root, "model_kind", manifest.model_kind));
  NEUMF_RETURN_IF_ERROR(
      ReadOptionalText(root, "created_at", manifest.created_at));
  manifest.training = root.value("training", json());
  manifest.metrics = root.value("metrics", json());
  return manifest;
}

json DigestJson(const TensorDigest& digest) {
  if (digest.chunk_bytes == 0) return {{"sha256", ToHex(digest.sha256[0])}};
  json chunks = json::array();
  for (const Sha256Digest& chunk : digest.sha256)
    chunks.push_back(ToHex(chunk));
  return {{"chunk_bytes", digest.chunk_bytes}, {"sha256_chunks", chunks}};
}

json ProbeJson(const Probe& probe) {
  json items = json::array();
  for (const Probe::Item& item : probe.items) {
    items.push_back({{"item_id", item.item_id}, {"score", item.score}});
  }
  return {{"user_id", probe.user_id}, {"items", items}};
}

}  // namespace

absl::StatusOr<Manifest> ParseManifest(absl::string_view text) {
  JsonLimits limits;
  limits.max_depth = ManifestLimits::kMaxDepth;
  limits.max_values = ManifestLimits::kMaxValues;
  absl::StatusOr<json> root = ParseStrictJson(text, limits);
  if (!root.ok()) return Annotate(root.status(), "manifest");
  absl::StatusOr<Manifest> manifest = ReadManifest(*root);
  if (!manifest.ok()) return Annotate(manifest.status(), "manifest");
  return manifest;
}

std::string SerializeManifest(const Manifest& manifest) {
  // json keeps its keys sorted, so the same manifest is the same text.
  json root = {{"format_version", Manifest::kFormatVersion},
               {"activation", ActivationName(manifest.activation)}};
  root["tensors"] = json::object();
  for (const auto& [name, digest] : manifest.tensors) {
    root["tensors"][name] = DigestJson(digest);
  }
  if (!manifest.required_features.empty()) {
    root["required_features"] = manifest.required_features;
  }
  for (const Probe& probe : manifest.probes) {
    root["probes"].push_back(ProbeJson(probe));
  }
  if (!manifest.model_kind.empty()) root["model_kind"] = manifest.model_kind;
  if (!manifest.created_at.empty()) root["created_at"] = manifest.created_at;
  if (!manifest.training.is_null()) root["training"] = manifest.training;
  if (!manifest.metrics.is_null()) root["metrics"] = manifest.metrics;
  return root.dump(-1, ' ', /*ensure_ascii=*/false,
                   json::error_handler_t::replace);
}

const char* ActivationName(Activation activation) {
  switch (activation) {
    case Activation::kTanh:
      return "tanh";
    case Activation::kSigmoid:
      return "sigmoid";
    case Activation::kRelu:
      break;
  }
  return "relu";
}

}  // namespace neumf
