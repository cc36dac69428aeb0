#include "server/batch_outline.h"

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "neumf/v1/recommendation_service.pb.h"

namespace neumf {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr uint32_t TagOf(int field) {
  return static_cast<uint32_t>(field) << 3 |
         WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
}

constexpr uint32_t kRequest =
    TagOf(v1::BatchRecommendRequest::kRequestsFieldNumber);
constexpr uint32_t kExcludedItem =
    TagOf(v1::RecommendRequest::kExcludeItemIdsFieldNumber);

// False where the bytes are broken.
bool CountExcluded(CodedInputStream* input, int64_t* count) {
  const CodedInputStream::Limit rest = input->ReadLengthAndPushLimit();
  while (const uint32_t tag = input->ReadTag()) {
    if (tag == kExcludedItem) ++*count;
    if (!WireFormatLite::SkipField(input, tag)) return false;
  }
  return input->CheckEntireMessageConsumedAndPopLimit(rest);
}

}  // namespace

BatchOutline OutlineBatch(google::protobuf::io::ZeroCopyInputStream* bytes) {
  BatchOutline outline;
  CodedInputStream input(bytes);
  while (const uint32_t tag = input.ReadTag()) {
    if (tag == kRequest) {
      ++outline.num_requests;
      if (!CountExcluded(&input, &outline.num_excluded)) break;
    } else if (!WireFormatLite::SkipField(&input, tag)) {
      break;
    }
  }
  return outline;
}

}  // namespace neumf
