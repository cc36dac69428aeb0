#include "client/checkpoint_report.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "checkpoint/checkpoint_reader.h"
#include "client/text_table.h"

namespace neumf {
namespace {

constexpr size_t kNumSampleIds = 5;
constexpr size_t kDigestDigits = 12;

// A dash for what the checkpoint does not say.
std::string OrDash(absl::string_view text) {
  return text.empty() ? "-" : Printable(text);
}

std::string JsonText(const nlohmann::json& value) {
  if (value.is_null()) return "-";
  return Printable(
      value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string DigestText(const Manifest& manifest, const std::string& tensor) {
  const auto found = manifest.tensors.find(tensor);
  if (found == manifest.tensors.end()) return "-";
  const std::vector<Sha256Digest>& digests = found->second.sha256;
  std::string text = ToHex(digests.front()).substr(0, kDigestDigits);
  if (found->second.chunk_bytes > 0) {
    absl::StrAppend(&text, " (first of ", digests.size(), ")");
  }
  return text;
}

std::string TensorTable(const CheckpointReader& reader) {
  using Align = TextTable::Align;
  TextTable table({{"tensor", Align::kLeft},
                   {"type", Align::kLeft},
                   {"shape", Align::kLeft},
                   {"bytes", Align::kRight},
                   {"sha256", Align::kLeft}});
  for (const TensorInfo& tensor : reader.header().tensors) {
    table.AddRow({tensor.name, tensor.type_name, ShapeText(tensor.shape),
                  absl::StrCat(tensor.size_bytes()),
                  DigestText(reader.info().manifest, tensor.name)});
  }
  return table.ToString();
}

// Bytes [begin, end) of a tensor.
absl::StatusOr<std::string> ReadBytes(ReadableFile& file,
                                      const SafetensorsHeader& header,
                                      const TensorInfo& tensor, uint64_t begin,
                                      uint64_t end) {
  if (begin > end || end > tensor.size_bytes()) {
    return absl::DataLossError(
        absl::StrCat(tensor.name, ": ", begin, " to ", end, " is no id"));
  }
  std::string bytes(end - begin, '\0');
  NEUMF_ASSIGN_OR_RETURN(
      const size_t num_read,
      file.ReadAt(header.data_begin + tensor.begin + begin,
                  absl::MakeSpan(bytes.data(), bytes.size())));
  if (num_read < bytes.size()) {
    return absl::DataLossError(absl::StrCat(tensor.name, ": the file ends"));
  }
  return bytes;
}

// The first ids of `table` ("user" or "item"), in quotes. REQUIRES: the header
// has been checked, so both tensors are there.
absl::StatusOr<std::string> SampleIds(ReadableFile& file,
                                      const SafetensorsHeader& header,
                                      absl::string_view table) {
  const TensorInfo& offsets = *header.Find(absl::StrCat(table, ".id.offsets"));
  const TensorInfo& names = *header.Find(absl::StrCat(table, ".id.bytes"));
  const uint64_t num_ids = offsets.num_elements() - 1;
  const uint64_t num_samples = std::min<uint64_t>(num_ids, kNumSampleIds);
  std::vector<uint64_t> ends(num_samples + 1);
  NEUMF_ASSIGN_OR_RETURN(
      const std::string bytes,
      ReadBytes(file, header, offsets, 0, ends.size() * sizeof(ends[0])));
  std::memcpy(ends.data(), bytes.data(), bytes.size());
  std::vector<std::string> ids;
  for (uint64_t row = 0; row < num_samples; ++row) {
    if (ends[row + 1] - ends[row] > IdTable::kMaxIdBytes) {
      return absl::DataLossError(
          absl::StrCat(offsets.name, ": row ", row, " is no id"));
    }
    NEUMF_ASSIGN_OR_RETURN(
        const std::string id,
        ReadBytes(file, header, names, ends[row], ends[row + 1]));
    ids.push_back(IsValidUtf8(id) ? Printable(id) : "(not UTF-8)");
  }
  if (num_ids > num_samples) ids.emplace_back("...");
  return absl::StrJoin(ids, "  ");
}

std::string ShapeLines(const CheckpointInfo& info) {
  const ModelShape& shape = info.shape;
  std::string tower = "none";
  if (shape.has_tower()) {
    tower = absl::StrCat(absl::StrJoin(shape.tower_widths, ", "), " (",
                         ActivationName(info.manifest.activation), ")");
  }
  return absl::StrFormat(
      "users       %d\n"
      "items       %d\n"
      "gmf width   %d\n"
      "tower       %s\n"
      "item bias   %s\n",
      shape.num_users, shape.num_items, shape.gmf_width, tower,
      shape.has_item_bias ? "yes" : "no");
}

std::string HeaderLines(const CheckpointInfo& info) {
  const Manifest& manifest = info.manifest;
  return absl::StrFormat(
      "file        %s\n"
      "bytes       %d\n"
      "format      %s\n"
      "digest      %s\n"
      "kind        %s\n"
      "created     %s\n",
      info.path, info.file.size_bytes, Manifest::kFormat, info.digest,
      OrDash(manifest.model_kind), OrDash(manifest.created_at));
}

std::string ManifestLines(const CheckpointInfo& info) {
  const Manifest& manifest = info.manifest;
  return absl::StrFormat(
      "probes      %d\n"
      "training    %s\n"
      "metrics     %s\n"
      "ignored     %s\n",
      manifest.probes.size(), JsonText(manifest.training),
      JsonText(manifest.metrics),
      OrDash(absl::StrJoin(info.ignored_tensors, ", ")));
}

}  // namespace

absl::StatusOr<std::string> DescribeCheckpoint(FileSystem& files,
                                               absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointReader> reader,
                         CheckpointReader::Open(files, path, {}));
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<ReadableFile> file,
                         files.OpenForRead(path));
  NEUMF_ASSIGN_OR_RETURN(const std::string user_ids,
                         SampleIds(*file, reader->header(), "user"));
  NEUMF_ASSIGN_OR_RETURN(const std::string item_ids,
                         SampleIds(*file, reader->header(), "item"));
  return absl::StrCat(HeaderLines(reader->info()), ShapeLines(reader->info()),
                      "user ids    ", user_ids, "\n", "item ids    ", item_ids,
                      "\n", ManifestLines(reader->info()), "\n",
                      TensorTable(*reader));
}

}  // namespace neumf
