#pragma once

// Which tensors a checkpoint has, of which types and shapes. Writer and reader
// share the one list, TensorsOf(), so they cannot disagree.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/safetensors.h"
#include "model/serving_model.h"

namespace neumf {

// Keys of `__metadata__`.
inline constexpr char kFormatKey[] = "format";
inline constexpr char kManifestKey[] = "neumf.manifest";
inline constexpr char kManifestDigestKey[] = "neumf.manifest.sha256";

// All that decides a checkpoint's list of tensors.
struct CheckpointContent {
  ModelShape shape;
  uint64_t user_id_bytes = 0;
  uint64_t item_id_bytes = 0;
  uint64_t num_seen = 0;  // over all users
  bool has_seen = false;
  bool has_head_bias = false;
  bool has_popularity = false;
  bool has_user_hashes = false;
  bool has_float16_users = false;  // user.gmf and user.tower are F16
};

struct TensorSpec {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> shape;
};

// In the order of the file: by falling element size, so that without holes
// every tensor is aligned to its elements.
std::vector<TensorSpec> TensorsOf(const CheckpointContent& content);

// "tower.2.weight", "tower.2.bias": of the tower's layer 2, 3, ...
std::string TowerWeightName(uint64_t layer);
std::string TowerBiasName(uint64_t layer);

// Finds the content whose tensors are those of `header`. DATA_LOSS, naming the
// tensor, when one is missing, misplaced, empty, or of another type or shape
// than the others demand; names outside the format are let be.
absl::StatusOr<CheckpointContent> ContentOf(const SafetensorsHeader& header);

}  // namespace neumf
