#pragma once

// Storage for tables: large, aligned, outside malloc.
//
// The memory comes from mmap, so that freeing a table gives it back to the
// system at once, and is aligned to 2 MiB when it is that large, with huge
// pages asked for. It starts as zeros, which cost nothing before they are
// touched.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "absl/types/span.h"
#include "base/float16.h"

namespace neumf {

// `count` elements of zeros, aligned to at least 64 bytes; null for none.
// Throws std::bad_alloc when the system has no such memory. For AlignedArray.
void* MapZeros(size_t count, size_t element_bytes);
// What they take of the system once all are touched, unused ends of pages
// included; huge pages are counted where the system may give some.
uint64_t MappedBytes(uint64_t count, size_t element_bytes);
// REQUIRES: `memory` is what MapZeros() gave for the same numbers.
void UnmapZeros(void* memory, size_t count, size_t element_bytes) noexcept;

// `size` elements whose zero is all bits 0, aligned to at least 64 bytes. Its
// size never changes. Moves, never copies by itself.
template <typename T>
class AlignedArray {
  static_assert(std::is_trivially_destructible<T>::value,
                "elements are dropped with their memory");

 public:
  AlignedArray() = default;
  // Zeros. Throws std::bad_alloc.
  explicit AlignedArray(size_t size)
      : data_(static_cast<T*>(MapZeros(size, sizeof(T)))), size_(size) {}
  ~AlignedArray() { UnmapZeros(data_, size_, sizeof(T)); }
  AlignedArray(AlignedArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  AlignedArray& operator=(AlignedArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  static AlignedArray CopyOf(absl::Span<const T> values) {
    AlignedArray copy(values.size());
    std::copy(values.begin(), values.end(), copy.data_);
    return copy;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t size_bytes() const { return size_ * sizeof(T); }

  // REQUIRES: index < size().
  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }

  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

using AlignedBuffer = AlignedArray<float>;

// A row-major matrix without padding: row r starts at data() + r * cols().
template <typename T>
class AlignedTable {
 public:
  AlignedTable() = default;
  AlignedTable(uint64_t rows, uint32_t cols)
      : buffer_(rows * cols), rows_(rows), cols_(cols) {}

  uint64_t rows() const { return rows_; }
  uint32_t cols() const { return cols_; }
  size_t size() const { return buffer_.size(); }
  bool empty() const { return buffer_.empty(); }

  T* data() { return buffer_.data(); }
  const T* data() const { return buffer_.data(); }
  // [cols]. REQUIRES: r < rows().
  absl::Span<T> row(uint64_t r) {
    return absl::MakeSpan(data() + r * cols_, cols_);
  }
  absl::Span<const T> row(uint64_t r) const {
    return absl::MakeConstSpan(data() + r * cols_, cols_);
  }

 private:
  AlignedArray<T> buffer_;
  uint64_t rows_ = 0;
  uint32_t cols_ = 0;
};

using AlignedMatrix = AlignedTable<float>;
using Float16Matrix = AlignedTable<Float16>;

}  // namespace neumf
