#pragma once

// The safetensors container: an 8-byte little-endian length n, n bytes of JSON,
// then the tensors' bytes without holes or overlaps. docs/checkpoint_format.md
// draws it. Parsing is bounded and strict: every rule below is an error when it
// is broken, and names the tensor.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace neumf {

enum class TensorType { kF32, kF16, kU64, kU32, kU8, kOther };

// Bytes of one element. REQUIRES: type != kOther.
uint64_t ElementBytes(TensorType type);
// "F32", ...; kOther has no name of its own.
const char* TensorTypeName(TensorType type);
// "[33, 4]".
std::string ShapeText(absl::Span<const uint64_t> shape);

struct TensorInfo {
  std::string name;
  TensorType type = TensorType::kOther;
  std::string type_name;  // as the file spells it
  std::vector<uint64_t> shape;
  uint64_t begin = 0;  // bytes from the start of the data, half open
  uint64_t end = 0;

  // Of a parsed header exact for every type but kOther.
  uint64_t num_elements() const;
  uint64_t size_bytes() const { return end - begin; }
};

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<TensorInfo> tensors;  // by `begin`, ascending
  uint64_t data_begin = 0;          // where in the file the data starts

  // Null when there is none.
  const TensorInfo* Find(absl::string_view name) const;
};

struct SafetensorsLimits {
  static constexpr uint64_t kMaxHeaderBytes = 1 << 20;
  static constexpr size_t kMaxEntries = 256;
  static constexpr size_t kMaxDepth = 4;
  static constexpr size_t kMaxDimensions = 8;
  static constexpr size_t kMaxNameBytes = 256;
};

// The length that the first 8 bytes give. DATA_LOSS unless it is 2 to
// kMaxHeaderBytes and fits a file of `file_bytes`.
absl::StatusOr<uint64_t> ParseHeaderLength(absl::string_view first_bytes,
                                           uint64_t file_bytes);

// `text` is the header alone. DATA_LOSS unless: UTF-8 JSON that starts with '{'
// (spaces may follow it), no key twice, sizes written as plain integers,
// metadata values strings, shape x type equal to the span of bytes, spans
// covering the data from first to last byte.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view text,
                                                         uint64_t file_bytes);

// The 8 length bytes and the JSON for `header`, padded with spaces so that the
// data begins at a multiple of 64. Sets nothing: begin and end must be right.
std::string SerializeSafetensorsHeader(const SafetensorsHeader& header);

}  // namespace neumf
