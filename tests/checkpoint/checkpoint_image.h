#pragma once

// A checkpoint taken apart, to be damaged on purpose and put together again. It
// shares no code with the reader under test.

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace neumf {

struct ImageTensor {
  std::string name;
  std::string type;
  std::vector<uint64_t> shape;
  std::string bytes;
  // What the header says instead of the truth.
  std::optional<std::pair<uint64_t, uint64_t>> claimed_offsets;
};

struct CheckpointImage {
  // Takes a well-formed file apart.
  static CheckpointImage Parse(absl::string_view file);

  // REQUIRES: there is one of that name.
  ImageTensor& tensor(absl::string_view name);
  void Remove(absl::string_view name);

  // Element `index` of a tensor's bytes becomes `value`.
  template <typename T>
  void Put(absl::string_view name, size_t index, T value) {
    std::memcpy(&tensor(name).bytes.at(index * sizeof(T)), &value, sizeof(T));
  }
  // Makes the tensor a list of just these.
  template <typename T>
  void SetValues(absl::string_view name, const std::vector<T>& values) {
    ImageTensor& changed = tensor(name);
    changed.shape = {values.size()};
    changed.bytes.assign(reinterpret_cast<const char*>(values.data()),
                         values.size() * sizeof(T));
  }

  // The file, with right offsets and digests but for what is set below.
  std::string Bytes() const;
  // Likewise, without the replacements and the data.
  std::string HeaderText() const;

  std::vector<ImageTensor> tensors;                // in the order of the file
  std::map<std::string, nlohmann::json> metadata;  // without the manifest
  nlohmann::json manifest;  // `tensors` is filled in when it is put together
  std::set<std::string> without_digest;
  // For these the manifest keeps the digest that it has.
  std::set<std::string> with_old_digest;
  // Each is done once in the header's text, which must have it.
  std::vector<std::pair<std::string, std::string>> replacements;
};

// Header length, header, data.
std::string FileOf(absl::string_view header, absl::string_view data);

}  // namespace neumf
