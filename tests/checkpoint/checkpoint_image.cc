#include "tests/checkpoint/checkpoint_image.h"

#include <algorithm>

#include "base/logging.h"
#include "base/sha256.h"

namespace neumf {
namespace {

using nlohmann::json;

std::vector<ImageTensor>::iterator FindTensor(std::vector<ImageTensor>& tensors,
                                              absl::string_view name) {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(),
                   [&](const ImageTensor& t) { return t.name == name; });
  NEUMF_CHECK(found != tensors.end());
  return found;
}

json ManifestWithDigests(const CheckpointImage& image) {
  json manifest = image.manifest;
  json digests = json::object();
  for (const ImageTensor& tensor : image.tensors) {
    if (image.without_digest.count(tensor.name) > 0) continue;
    digests[tensor.name] =
        image.with_old_digest.count(tensor.name) > 0
            ? manifest["tensors"][tensor.name]
            : json{{"sha256", ToHex(Sha256Of(tensor.bytes))}};
  }
  manifest["tensors"] = digests;
  return manifest;
}

}  // namespace

CheckpointImage CheckpointImage::Parse(absl::string_view file) {
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof(header_bytes));
  const absl::string_view text = file.substr(8, header_bytes);
  const absl::string_view data = file.substr(8 + header_bytes);
  const json header = json::parse(text.begin(), text.end());

  CheckpointImage image;
  std::map<uint64_t, ImageTensor> by_offset;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const uint64_t begin = entry["data_offsets"][0];
    const uint64_t end = entry["data_offsets"][1];
    ImageTensor tensor;
    tensor.name = name;
    tensor.type = entry["dtype"];
    tensor.shape = entry["shape"].get<std::vector<uint64_t>>();
    tensor.bytes = std::string(data.substr(begin, end - begin));
    NEUMF_CHECK(by_offset.emplace(begin, std::move(tensor)).second);
  }
  for (auto& [offset, tensor] : by_offset) {
    image.tensors.push_back(std::move(tensor));
  }
  const json& metadata = header["__metadata__"];
  image.manifest = json::parse(metadata["neumf.manifest"].get<std::string>());
  image.metadata["format"] = metadata["format"];
  return image;
}

ImageTensor& CheckpointImage::tensor(absl::string_view name) {
  return *FindTensor(tensors, name);
}

void CheckpointImage::Remove(absl::string_view name) {
  tensors.erase(FindTensor(tensors, name));
}

std::string CheckpointImage::HeaderText() const {
  json header = json::object();
  header["__metadata__"] = metadata;
  header["__metadata__"]["neumf.manifest"] = ManifestWithDigests(*this).dump();
  uint64_t offset = 0;
  for (const ImageTensor& tensor : tensors) {
    json& entry = header[tensor.name];
    entry["dtype"] = tensor.type;
    entry["shape"] = tensor.shape;
    const auto truth = std::make_pair(offset, offset + tensor.bytes.size());
    entry["data_offsets"] = tensor.claimed_offsets.value_or(truth);
    offset += tensor.bytes.size();
  }
  return header.dump();
}

std::string CheckpointImage::Bytes() const {
  std::string header = HeaderText();
  for (const auto& [from, to] : replacements) {
    const size_t at = header.find(from);
    NEUMF_CHECK(at != std::string::npos);
    header.replace(at, from.size(), to);
  }
  std::string data;
  for (const ImageTensor& tensor : tensors) data += tensor.bytes;
  return FileOf(header, data);
}

std::string FileOf(absl::string_view header, absl::string_view data) {
  const uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  file.append(header.data(), header.size());
  file.append(data.data(), data.size());
  return file;
}

}  // namespace neumf
