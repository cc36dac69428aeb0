#pragma once

// JSON from files that may be hostile: bounded before anything is built, and
// without the freedoms that two programs could read differently.
//
// nlohmann::json throws by default; nothing here does, except std::bad_alloc.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace neumf {

struct JsonLimits {
  size_t max_depth = 4;      // nested objects and lists, the outermost included
  size_t max_members = 256;  // of one object
  size_t max_values = 1 << 13;  // of the whole text
};

// The object that `text` is. DATA_LOSS, saying what and where, unless it is
// UTF-8 JSON that starts with '{', ends with '}' but for spaces, keeps within
// `limits` and has no key twice in one object.
absl::StatusOr<nlohmann::json> ParseStrictJson(absl::string_view text,
                                               const JsonLimits& limits);

// Null when `object` has no such member. REQUIRES: object.is_object().
const nlohmann::json* FindMember(const nlohmann::json& object,
                                 const char* name);

// Null when `value` is no string.
const std::string* AsText(const nlohmann::json& value);

// The number when `value` is one written with digits only: no sign, fraction or
// exponent.
std::optional<uint64_t> AsPlainInteger(const nlohmann::json& value);

// DATA_LOSS when `value` is no list of plain integers.
absl::StatusOr<std::vector<uint64_t>> AsPlainIntegers(
    const nlohmann::json& value);

}  // namespace neumf
