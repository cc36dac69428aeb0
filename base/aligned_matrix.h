#pragma once

// Float storage for tables: large, aligned, outside malloc.
//
// The memory comes from mmap, so that freeing a table gives it back to the
// system at once, and is aligned to 2 MiB when it is that large, with huge
// pages asked for. It starts as zeros.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace neumf {

// `size` floats, aligned to at least 64 bytes. Moves, never copies. Throws
// std::bad_alloc when the system has no such memory.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;

  float* data() { return data_; }
  const float* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  float* data_ = nullptr;
  size_t size_ = 0;
};

// A row-major matrix without padding: row r starts at data() + r * cols().
class AlignedMatrix {
 public:
  AlignedMatrix() = default;
  AlignedMatrix(uint64_t rows, uint32_t cols)
      : buffer_(rows * cols), rows_(rows), cols_(cols) {}

  uint64_t rows() const { return rows_; }
  uint32_t cols() const { return cols_; }
  size_t size() const { return buffer_.size(); }
  bool empty() const { return size() == 0; }

  float* data() { return buffer_.data(); }
  const float* data() const { return buffer_.data(); }
  // [cols]. REQUIRES: r < rows().
  absl::Span<float> row(uint64_t r) {
    return absl::MakeSpan(data() + r * cols_, cols_);
  }
  absl::Span<const float> row(uint64_t r) const {
    return absl::MakeConstSpan(data() + r * cols_, cols_);
  }

 private:
  AlignedBuffer buffer_;
  uint64_t rows_ = 0;
  uint32_t cols_ = 0;
};

}  // namespace neumf
