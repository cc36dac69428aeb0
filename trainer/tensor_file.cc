#include "trainer/tensor_file.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/float16.h"
#include "base/logging.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_stream.h"

namespace neumf {
namespace {

constexpr char kDigestKey[] = "neumf.sha256";
constexpr size_t kLengthBytes = 8;

float FromHalf(const char* bytes) {
  Float16 value = {};
  std::memcpy(&value, bytes, sizeof(value));
  return ToFloat(value);
}

float FromBrainFloat(const char* bytes) {
  uint16_t upper = 0;
  std::memcpy(&upper, bytes, sizeof(upper));
  const uint32_t bits = uint32_t{upper} << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float FromDouble(const char* bytes) {
  double value = 0;
  std::memcpy(&value, bytes, sizeof(value));
  return static_cast<float>(value);
}

struct Conversion {
  const char* type;
  uint64_t element_bytes;
  float (*to_float)(const char*);  // null: they are floats
};
constexpr Conversion kConversions[] = {
    {"F32", 4, nullptr},
    {"F64", 8, FromDouble},
    {"F16", 2, FromHalf},
    {"BF16", 2, FromBrainFloat},
};

absl::StatusOr<Conversion> ConversionOf(const TensorInfo& tensor) {
  for (const Conversion& conversion : kConversions) {
    if (tensor.type_name == conversion.type) return conversion;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("is of type ", tensor.type_name,
                   ", and only F32, F64, F16 and BF16 can be read"));
}

// The header's parser has checked the sizes of the types that checkpoints have.
absl::Status CheckSize(const TensorInfo& tensor, uint64_t element_bytes) {
  uint64_t bytes = element_bytes;
  bool is_empty = false;
  bool overflows = false;
  for (const uint64_t size : tensor.shape) {
    is_empty |= size == 0;
    overflows |= __builtin_mul_overflow(bytes, size, &bytes);
  }
  const uint64_t expected = is_empty ? 0 : bytes;
  if ((is_empty || !overflows) && expected == tensor.size_bytes()) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("shape ", ShapeText(tensor.shape), " of ", tensor.type_name,
                   " is not what its ", tensor.size_bytes(), " bytes hold"));
}

// Everything but the digest itself.
std::string DigestedHeader(SafetensorsHeader header) {
  header.metadata.erase(kDigestKey);
  return SerializeSafetensorsHeader(header);
}

// Reads a file from its first byte to its last.
class TensorReader {
 public:
  explicit TensorReader(ReadableFile* file) : file_(file) {}

  absl::StatusOr<TensorFile> Read() {
    NEUMF_RETURN_IF_ERROR(ReadHeader());
    const std::string digested = DigestedHeader(header_);
    hash_.Update(digested.data(), digested.size());
    TensorFile content;
    for (const TensorInfo& info : header_.tensors) {
      absl::StatusOr<Tensor> tensor = ReadTensor(info);
      if (!tensor.ok()) return AnnotateTensor(tensor.status(), info.name);
      content.tensors.emplace(info.name, *std::move(tensor));
    }
    NEUMF_RETURN_IF_ERROR(CheckDigest());
    content.metadata = std::move(header_.metadata);
    content.is_digested = content.metadata.erase(kDigestKey) > 0;
    return content;
  }

 private:
  absl::Status ReadBytes(uint64_t offset, absl::Span<char> destination) {
    NEUMF_ASSIGN_OR_RETURN(const size_t count,
                           file_->ReadAt(offset, destination));
    if (count == destination.size()) return absl::OkStatus();
    return absl::DataLossError("the file became shorter while it was read");
  }

  absl::Status ReadHeader() {
    const uint64_t file_bytes = file_->info().size_bytes;
    char first[kLengthBytes] = {};
    NEUMF_ASSIGN_OR_RETURN(const size_t count,
                           file_->ReadAt(0, absl::MakeSpan(first)));
    NEUMF_ASSIGN_OR_RETURN(
        const uint64_t length,
        ParseHeaderLength(absl::string_view(first, count), file_bytes));
    std::string text(length, '\0');
    NEUMF_RETURN_IF_ERROR(
        ReadBytes(kLengthBytes, absl::MakeSpan(text.data(), text.size())));
    NEUMF_ASSIGN_OR_RETURN(header_, ParseSafetensorsHeader(text, file_bytes));
    return absl::OkStatus();
  }

  absl::StatusOr<Tensor> ReadTensor(const TensorInfo& info) {
    NEUMF_ASSIGN_OR_RETURN(const Conversion conversion, ConversionOf(info));
    NEUMF_RETURN_IF_ERROR(CheckSize(info, conversion.element_bytes));
    Tensor tensor;
    tensor.shape = info.shape;
    tensor.values.resize(info.size_bytes() / conversion.element_bytes);
    const absl::Span<float> values = absl::MakeSpan(tensor.values);
    if (conversion.to_float == nullptr) {
      NEUMF_RETURN_IF_ERROR(ReadAndHash(info, AsBytes(values)));
    } else {
      std::string bytes(info.size_bytes(), '\0');
      NEUMF_RETURN_IF_ERROR(
          ReadAndHash(info, absl::MakeSpan(bytes.data(), bytes.size())));
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] =
            conversion.to_float(bytes.data() + i * conversion.element_bytes);
      }
    }
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isfinite(values[i])) continue;
      return absl::DataLossError(
          absl::StrCat("value ", i, " is not a finite float"));
    }
    return tensor;
  }

  absl::Status ReadAndHash(const TensorInfo& info, absl::Span<char> bytes) {
    NEUMF_RETURN_IF_ERROR(ReadBytes(header_.data_begin + info.begin, bytes));
    hash_.Update(bytes.data(), bytes.size());
    return absl::OkStatus();
  }

  absl::Status CheckDigest() {
    const auto digest = header_.metadata.find(kDigestKey);
    if (digest == header_.metadata.end()) return absl::OkStatus();
    if (digest->second == ToHex(hash_.Finish())) return absl::OkStatus();
    return absl::DataLossError(
        "the content is not what was written: its SHA-256 differs");
  }

  ReadableFile* const file_;
  SafetensorsHeader header_;
  Sha256 hash_;
};

absl::string_view BytesOf(const TensorView& tensor) {
  return absl::string_view(reinterpret_cast<const char*>(tensor.values.data()),
                           tensor.values.size() * sizeof(float));
}

SafetensorsHeader HeaderOf(const std::map<std::string, std::string>& metadata,
                           absl::Span<const TensorView> tensors) {
  SafetensorsHeader header;
  header.metadata = metadata;
  uint64_t offset = 0;
  for (const TensorView& tensor : tensors) {
    TensorInfo info;
    info.name = tensor.name;
    info.type = TensorType::kF32;
    info.shape = tensor.shape;
    info.begin = offset;
    offset += BytesOf(tensor).size();
    info.end = offset;
    NEUMF_CHECK(info.num_elements() == tensor.values.size());
    header.tensors.push_back(std::move(info));
  }
  return header;
}

}  // namespace

absl::StatusOr<TensorFile> ReadTensors(FileSystem& files,
                                       absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<ReadableFile> file,
                         files.OpenForRead(path));
  absl::StatusOr<TensorFile> content = TensorReader(file.get()).Read();
  if (!content.ok()) return Annotate(content.status(), path);
  return content;
}

absl::Status WriteTensors(FileSystem& files, absl::string_view path,
                          const std::map<std::string, std::string>& metadata,
                          absl::Span<const TensorView> tensors) {
  SafetensorsHeader header = HeaderOf(metadata, tensors);
  Sha256 hash;
  const std::string digested = DigestedHeader(header);
  hash.Update(digested.data(), digested.size());
  size_t data_bytes = 0;
  for (const TensorView& tensor : tensors) {
    hash.Update(BytesOf(tensor).data(), BytesOf(tensor).size());
    data_bytes += BytesOf(tensor).size();
  }
  header.metadata[kDigestKey] = ToHex(hash.Finish());

  std::string content = SerializeSafetensorsHeader(header);
  const size_t header_bytes = content.size() - kLengthBytes;
  if (header_bytes > SafetensorsLimits::kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("write ", path, ": its header would be ", header_bytes,
                     " bytes, above ", SafetensorsLimits::kMaxHeaderBytes));
  }
  content.reserve(content.size() + data_bytes);
  for (const TensorView& tensor : tensors) {
    content.append(BytesOf(tensor).data(), BytesOf(tensor).size());
  }
  return WriteFileAtomically(files, path, content);
}

}  // namespace neumf
