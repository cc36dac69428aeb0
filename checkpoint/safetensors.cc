#include "checkpoint/safetensors.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "checkpoint/strict_json.h"

namespace neumf {
namespace {

using nlohmann::json;

constexpr char kMetadataKey[] = "__metadata__";
constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kDataAlignment = 64;

struct TypeRow {
  TensorType type;
  const char* name;
  uint64_t bytes;
};
constexpr TypeRow kTypes[] = {
    {TensorType::kF32, "F32", 4}, {TensorType::kF16, "F16", 2},
    {TensorType::kU64, "U64", 8}, {TensorType::kU32, "U32", 4},
    {TensorType::kU8, "U8", 1},
};

TensorType TypeOfName(absl::string_view name) {
  for (const TypeRow& row : kTypes) {
    if (name == row.name) return row.type;
  }
  return TensorType::kOther;
}

absl::StatusOr<uint64_t> CheckedProduct(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) {
    return absl::DataLossError("does not fit 64 bits");
  }
  return product;
}

absl::StatusOr<uint64_t> BytesOf(const TensorInfo& tensor) {
  uint64_t bytes = ElementBytes(tensor.type);
  // By the largest first, so that a 0 among the sizes hides no overflow.
  std::vector<uint64_t> shape = tensor.shape;
  std::sort(shape.rbegin(), shape.rend());
  for (const uint64_t size : shape) {
    NEUMF_ASSIGN_OR_RETURN(bytes, CheckedProduct(bytes, size));
  }
  return bytes;
}

absl::Status CheckSize(const TensorInfo& tensor) {
  const std::string shape = ShapeText(tensor.shape);
  // Of a type that we do not know the size cannot be checked; such a tensor is
  // never read.
  if (tensor.type == TensorType::kOther) return absl::OkStatus();
  const absl::StatusOr<uint64_t> bytes = BytesOf(tensor);
  if (!bytes.ok()) {
    return Annotate(bytes.status(), absl::StrCat("size of shape ", shape));
  }
  if (*bytes == tensor.size_bytes()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("shape ", shape, " needs ", *bytes,
                                          " bytes, offsets span ",
                                          tensor.size_bytes()));
}

absl::Status ReadShape(const json& value, TensorInfo& tensor) {
  absl::StatusOr<std::vector<uint64_t>> shape = AsPlainIntegers(value);
  if (!shape.ok()) return Annotate(shape.status(), "shape");
  if (shape->size() > SafetensorsLimits::kMaxDimensions) {
    return absl::DataLossError(absl::StrCat("shape has more than ",
                                            SafetensorsLimits::kMaxDimensions,
                                            " dimensions"));
  }
  tensor.shape = *std::move(shape);
  return absl::OkStatus();
}

absl::Status ReadOffsets(const json& value, uint64_t data_bytes,
                         TensorInfo& tensor) {
  const absl::StatusOr<std::vector<uint64_t>> offsets = AsPlainIntegers(value);
  if (!offsets.ok()) return Annotate(offsets.status(), "data_offsets");
  if (offsets->size() != 2) {
    return absl::DataLossError("data_offsets is not a pair");
  }
  tensor.begin = (*offsets)[0];
  tensor.end = (*offsets)[1];
  if (tensor.begin <= tensor.end && tensor.end <= data_bytes) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat("data_offsets [", tensor.begin, ", ",
                                          tensor.end, "] are no range in the ",
                                          data_bytes, " bytes of data"));
}

absl::Status ReadTensor(const json& value, uint64_t data_bytes,
                        TensorInfo& tensor) {
  if (!value.is_object() || value.size() != 3) {
    return absl::DataLossError(
        "not an object of dtype, shape and data_offsets alone");
  }
  const json* const type = FindMember(value, "dtype");
  const json* const shape = FindMember(value, "shape");
  const json* const offsets = FindMember(value, "data_offsets");
  if (type == nullptr || shape == nullptr || offsets == nullptr) {
    return absl::DataLossError("lacks dtype, shape or data_offsets");
  }
  const std::string* const type_name = AsText(*type);
  if (type_name == nullptr) return absl::DataLossError("dtype is no text");
  tensor.type_name = *type_name;
  tensor.type = TypeOfName(*type_name);
  NEUMF_RETURN_IF_ERROR(ReadShape(*shape, tensor));
  NEUMF_RETURN_IF_ERROR(ReadOffsets(*offsets, data_bytes, tensor));
  return CheckSize(tensor);
}

absl::Status ReadMetadata(const json& value, SafetensorsHeader& header) {
  if (!value.is_object()) {
    return absl::DataLossError("__metadata__ is no object");
  }
  for (const auto& entry : value.items()) {
    const std::string* const text = AsText(entry.value());
    if (text == nullptr) {
      return absl::DataLossError(
          absl::StrCat("__metadata__: ", Excerpt(entry.key()), " is no text"));
    }
    header.metadata[entry.key()] = *text;
  }
  return absl::OkStatus();
}

// The spans, in order, are the data: no hole, no overlap, nothing after.
absl::Status CheckCoverage(const SafetensorsHeader& header,
                           uint64_t data_bytes) {
  uint64_t covered = 0;
  for (const TensorInfo& tensor : header.tensors) {
    if (tensor.begin != covered) {
      return absl::DataLossError(absl::StrCat(
          "tensor ", tensor.name, ": begins at ", tensor.begin,
          tensor.begin < covered ? ", inside" : ", with a hole after",
          " the tensor that ends at ", covered));
    }
    covered = tensor.end;
  }
  if (covered == data_bytes) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "the tensors end at ", covered, " of ", data_bytes, " bytes of data"));
}

json TensorJson(const TensorInfo& tensor) {
  json value = json::object();
  value["dtype"] = tensor.type == TensorType::kOther
                       ? tensor.type_name
                       : TensorTypeName(tensor.type);
  value["shape"] = tensor.shape;
  value["data_offsets"] = {tensor.begin, tensor.end};
  return value;
}

}  // namespace

uint64_t ElementBytes(TensorType type) {
  for (const TypeRow& row : kTypes) {
    if (type == row.type) return row.bytes;
  }
  NEUMF_CHECK(type != TensorType::kOther);
  return 0;
}

const char* TensorTypeName(TensorType type) {
  for (const TypeRow& row : kTypes) {
    if (type == row.type) return row.name;
  }
  return "other";
}

std::string ShapeText(absl::Span<const uint64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

uint64_t TensorInfo::num_elements() const {
  uint64_t count = 1;
  for (const uint64_t size : shape) count *= size;
  return count;
}

const TensorInfo* SafetensorsHeader::Find(absl::string_view name) const {
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

absl::StatusOr<uint64_t> ParseHeaderLength(absl::string_view first_bytes,
                                           uint64_t file_bytes) {
  if (file_bytes < kLengthBytes + 2 || first_bytes.size() < kLengthBytes) {
    return absl::DataLossError(absl::StrCat(
        "too short for a safetensors file: ", file_bytes, " bytes"));
  }
  uint64_t length = 0;
  for (size_t i = kLengthBytes; i-- > 0;) {
    length = length << 8 | static_cast<unsigned char>(first_bytes[i]);
  }
  if (length < 2 || length > SafetensorsLimits::kMaxHeaderBytes) {
    return absl::DataLossError(
        absl::StrCat("header length ", length, " is not in 2..",
                     SafetensorsLimits::kMaxHeaderBytes));
  }
  if (length > file_bytes - kLengthBytes) {
    return absl::DataLossError(absl::StrCat("header length ", length,
                                            " passes the end of the file of ",
                                            file_bytes, " bytes"));
  }
  return length;
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view text,
                                                         uint64_t file_bytes) {
  SafetensorsHeader header;
  header.data_begin = kLengthBytes + text.size();
  if (file_bytes < header.data_begin) {
    return absl::DataLossError("the header passes the end of the file");
  }
  const uint64_t data_bytes = file_bytes - header.data_begin;
  JsonLimits limits;
  limits.max_depth = SafetensorsLimits::kMaxDepth;
  limits.max_members = SafetensorsLimits::kMaxEntries;
  absl::StatusOr<json> root = ParseStrictJson(text, limits);
  if (!root.ok()) return Annotate(root.status(), "header");

  for (const auto& entry : root->items()) {
    if (entry.key() == kMetadataKey) {
      NEUMF_RETURN_IF_ERROR(ReadMetadata(entry.value(), header));
      continue;
    }
    if (entry.key().size() > SafetensorsLimits::kMaxNameBytes) {
      return absl::DataLossError("the name of a tensor is too long");
    }
    TensorInfo tensor;
    tensor.name = entry.key();
    const absl::Status read = ReadTensor(entry.value(), data_bytes, tensor);
    if (!read.ok()) return Annotate(read, absl::StrCat("tensor ", tensor.name));
    header.tensors.push_back(std::move(tensor));
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) {
              return std::tie(a.begin, a.end, a.name) <
                     std::tie(b.begin, b.end, b.name);
            });
  NEUMF_RETURN_IF_ERROR(CheckCoverage(header, data_bytes));
  return header;
}

std::string SerializeSafetensorsHeader(const SafetensorsHeader& header) {
  nlohmann::ordered_json root = nlohmann::ordered_json::object();
  root[kMetadataKey] = header.metadata;
  for (const TensorInfo& tensor : header.tensors) {
    root[tensor.name] = TensorJson(tensor);
  }
  std::string text = root.dump(-1, ' ', /*ensure_ascii=*/false,
                               json::error_handler_t::replace);
  const uint64_t unpadded = kLengthBytes + text.size();
  text.append((kDataAlignment - unpadded % kDataAlignment) % kDataAlignment,
              ' ');
  std::string bytes;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    bytes.push_back(static_cast<char>(text.size() >> (8 * i) & 0xff));
  }
  return bytes + text;
}

}  // namespace neumf
