#include "checkpoint/tensor_stream.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "tensors are read and written as they lie in memory");

namespace neumf {

TensorStream::TensorStream(ReadableFile* file, const SafetensorsHeader& header,
                           const TensorInfo& tensor, const TensorDigest* digest,
                           size_t block_bytes)
    : file_(file),
      block_bytes_(block_bytes),
      checker_(digest),
      offset_(header.data_begin + tensor.begin),
      end_(header.data_begin + tensor.end) {
  NEUMF_CHECK(block_bytes > 0);
}

absl::Status TensorStream::Read(absl::Span<char> destination) {
  NEUMF_CHECK(destination.size() <= end_ - offset_);
  while (!destination.empty()) {
    const absl::Span<char> block = destination.subspan(0, block_bytes_);
    NEUMF_RETURN_IF_ERROR(ReadBlock(block));
    destination.remove_prefix(block.size());
  }
  return absl::OkStatus();
}

absl::Status TensorStream::SkipRest() {
  std::vector<char> block(std::min<uint64_t>(block_bytes_, end_ - offset_));
  while (offset_ < end_) {
    const size_t size = std::min<uint64_t>(block.size(), end_ - offset_);
    NEUMF_RETURN_IF_ERROR(ReadBlock(absl::MakeSpan(block.data(), size)));
  }
  return absl::OkStatus();
}

absl::Status TensorStream::Finish() {
  NEUMF_CHECK(offset_ == end_);
  return checker_.Finish();
}

absl::Status TensorStream::ReadBlock(absl::Span<char> block) {
  NEUMF_ASSIGN_OR_RETURN(const size_t num_read, file_->ReadAt(offset_, block));
  if (num_read < block.size()) {
    return absl::DataLossError(
        absl::StrCat("the file ends at byte ", offset_ + num_read,
                     ": it was cut after it was opened"));
  }
  offset_ += num_read;
  return checker_.Update(absl::string_view(block.data(), num_read));
}

}  // namespace neumf
