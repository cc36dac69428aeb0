#include "checkpoint/tensor_stream.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "checkpoint/tensor_digest.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "tensors are read and written as they lie in memory");

namespace neumf {
namespace {

// What was read is still in the core's cache when it is hashed.
constexpr size_t kHashBlockBytes = 256 << 10;

// The first byte of `chunk`, at most `end`.
uint64_t ChunkBegin(uint64_t chunk, uint64_t chunk_bytes, uint64_t end) {
  return chunk > end / chunk_bytes ? end : chunk * chunk_bytes;
}

}  // namespace

TensorStream::TensorStream(ReadableFile* file, const SafetensorsHeader& header,
                           const TensorInfo& tensor, const TensorDigest* digest,
                           size_t block_bytes, ThreadPool* threads)
    : file_(file),
      block_bytes_(block_bytes),
      digest_(digest),
      threads_(threads),
      offset_(header.data_begin + tensor.begin),
      size_(tensor.size_bytes()),
      chunk_bytes_(digest->chunk_bytes > 0 ? digest->chunk_bytes
                                           : std::max<uint64_t>(size_, 1)) {
  NEUMF_CHECK(block_bytes > 0);
}

absl::Status TensorStream::Read(absl::Span<char> destination) {
  return Read(destination, [] {});
}

absl::Status TensorStream::Read(absl::Span<char> destination,
                                absl::FunctionRef<void()> meanwhile) {
  NEUMF_CHECK(destination.size() <= size_ - position_);
  const uint64_t end = position_ + destination.size();
  const uint64_t first = position_ / chunk_bytes_;
  const uint64_t last = end / chunk_bytes_ + (end % chunk_bytes_ == 0 ? 0 : 1);
  Sha256 unfinished;
  NEUMF_RETURN_IF_ERROR(
      threads_->TryFor(1 + last - first, [&](size_t index) -> absl::Status {
        if (index > 0) {
          return ReadChunk(first + index - 1, destination, &unfinished);
        }
        meanwhile();
        return absl::OkStatus();
      }));
  // A chunk that this call only went on with has its hash in begun_ already.
  const bool begins = first * chunk_bytes_ == position_ || last - first > 1;
  if (begins) begun_ = std::move(unfinished);
  position_ = end;
  return absl::OkStatus();
}

absl::Status TensorStream::ReadChunk(uint64_t chunk,
                                     absl::Span<char> destination,
                                     Sha256* unfinished) {
  const uint64_t chunk_begin = chunk * chunk_bytes_;
  const uint64_t chunk_end = ChunkBegin(chunk + 1, chunk_bytes_, size_);
  const uint64_t begin = std::max(chunk_begin, position_);
  const uint64_t end = std::min(chunk_end, position_ + destination.size());
  Sha256 whole;
  Sha256* const hash = begin > chunk_begin ? &begun_
                       : end < chunk_end   ? unfinished
                                           : &whole;
  NEUMF_RETURN_IF_ERROR(ReadAndHash(
      begin, destination.subspan(begin - position_, end - begin), hash));
  if (end < chunk_end) return absl::OkStatus();
  return CheckChunk(*digest_, chunk, hash->Finish());
}

absl::Status TensorStream::ReadAndHash(uint64_t begin,
                                       absl::Span<char> destination,
                                       Sha256* hash) {
  uint64_t offset = offset_ + begin;
  while (!destination.empty()) {
    const absl::Span<char> block =
        destination.subspan(0, std::min(block_bytes_, kHashBlockBytes));
    NEUMF_ASSIGN_OR_RETURN(const size_t num_read, file_->ReadAt(offset, block));
    offset += num_read;
    if (num_read < block.size()) {
      return absl::DataLossError(
          absl::StrCat("the file ends at byte ", offset,
                       ": it was cut after it was opened"));
    }
    hash->Update(block.data(), block.size());
    destination.remove_prefix(block.size());
  }
  return absl::OkStatus();
}

absl::Status TensorStream::SkipRest() {
  std::vector<char> block(std::min<uint64_t>(block_bytes_, size_ - position_));
  while (position_ < size_) {
    const size_t size = std::min<uint64_t>(block.size(), size_ - position_);
    NEUMF_RETURN_IF_ERROR(Read(absl::MakeSpan(block.data(), size)));
  }
  return absl::OkStatus();
}

absl::Status TensorStream::Finish() {
  NEUMF_CHECK(position_ == size_);
  // Every chunk was checked with its last byte, but nothing has none.
  const bool unchecked = size_ == 0 && !digest_->sha256.empty();
  return unchecked ? CheckChunk(*digest_, 0, begun_.Finish())
                   : absl::OkStatus();
}

absl::Status AsDataLoss(const absl::Status& status) {
  return status.ok() ? status : absl::DataLossError(status.message());
}

absl::Status AnnotateTensor(const absl::Status& status,
                            absl::string_view name) {
  return Annotate(status, absl::StrCat("tensor ", name));
}

}  // namespace neumf
