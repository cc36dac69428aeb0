#pragma once

// Safetensors files byte by byte, as a hostile or a foreign program writes
// them: without digest, of any type.
//
//   TensorImage image;
//   image.metadata["format"] = "pt";
//   image.Add("P.weight", "F32", {2, 1}, FloatBytes({1, 2}));
//   NEUMF_ASSERT_OK(image.Write(files, path));

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"
#include "checkpoint/safetensors.h"

namespace neumf {

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline std::string FloatBytes(const std::vector<float>& values) {
  return BytesOf(values);
}

struct TensorImage {
  std::map<std::string, std::string> metadata;
  std::vector<TensorInfo> tensors;
  std::string data;

  void Add(absl::string_view name, absl::string_view type,
           std::vector<uint64_t> shape, const std::string& bytes) {
    TensorInfo info;
    info.name = std::string(name);
    info.type_name = std::string(type);  // and kOther, so that it is spelled so
    info.shape = std::move(shape);
    info.begin = data.size();
    data += bytes;
    info.end = data.size();
    tensors.push_back(std::move(info));
  }

  std::string Bytes() const {
    SafetensorsHeader header;
    header.metadata = metadata;
    header.tensors = tensors;
    return SerializeSafetensorsHeader(header) + data;
  }

  absl::Status Write(FileSystem& files, absl::string_view path) const {
    return WriteFileAtomically(files, path, Bytes());
  }
};

}  // namespace neumf
