#pragma once

// The text under `neumf.manifest` in a checkpoint's metadata: what the file is,
// and the digests that its tensors must have.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/sha256.h"
#include "model/serving_model.h"
#include "nlohmann/json.hpp"

namespace neumf {

// Of a tensor's bytes: one digest, or one for each chunk of `chunk_bytes`, so
// that many threads can hash a large tensor.
struct TensorDigest {
  uint64_t chunk_bytes = 0;          // 0: one digest of the whole tensor
  std::vector<Sha256Digest> sha256;  // at least one
};

// An answer that the exporter computed from its own data and names: the best
// items of a user without those seen. A server checks itself against it, and
// since it goes by names, rows cannot lie about names.
struct Probe {
  struct Item {
    std::string item_id;
    double score = 0;
  };
  std::string user_id;
  std::vector<Item> items;  // best first
};

// The one optional feature of the format: user tables in float16, which older
// readers would take for damage.
inline constexpr char kFloat16UsersFeature[] = "user.f16";

struct Manifest {
  static constexpr int kFormatVersion = 1;
  static constexpr char kFormat[] = "neumf.serving.v1";

  std::map<std::string, TensorDigest> tensors;
  std::vector<std::string> required_features;
  Activation activation = Activation::kRelu;
  std::vector<Probe> probes;
  std::string model_kind;   // "neumf", "mf", ...; empty when not said
  std::string created_at;   // RFC 3339; empty when not said
  nlohmann::json training;  // data, recipe, seed, losses; null when not said
  nlohmann::json metrics;   // null when not said
};

struct ManifestLimits {
  static constexpr size_t kMaxDepth = 8;
  static constexpr size_t kMaxValues = 1 << 17;  // numbers, texts, lists, ...
  static constexpr size_t kMaxProbes = 1024;
  static constexpr size_t kMaxProbeItems = 1024;
};

// DATA_LOSS for text that is no manifest, FAILED_PRECONDITION for a format
// version or a required feature that we do not know. Keys that we do not know
// are skipped.
absl::StatusOr<Manifest> ParseManifest(absl::string_view text);

// The same text for the same manifest. Text that is not UTF-8 is replaced, and
// NaN becomes null.
std::string SerializeManifest(const Manifest& manifest);

const char* ActivationName(Activation activation);

}  // namespace neumf
