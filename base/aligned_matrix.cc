#include "base/aligned_matrix.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>

namespace neumf {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kHugePageBytes = size_t{2} << 20;
// What is given back to the system at once.
constexpr size_t kUnmappedBytes = size_t{64} << 20;

uint64_t RoundUp(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

void* Map(size_t num_bytes) {
  void* const memory = mmap(nullptr, num_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

// mmap aligns to pages only: maps one huge page more and gives back what lies
// before and after the aligned part.
void* MapHuge(size_t num_bytes) {
  char* const memory = static_cast<char*>(Map(num_bytes + kHugePageBytes));
  const size_t misfit = reinterpret_cast<uintptr_t>(memory) % kHugePageBytes;
  const size_t before = misfit == 0 ? 0 : kHugePageBytes - misfit;
  char* const aligned = memory + before;
  if (before > 0) munmap(memory, before);
  munmap(aligned + num_bytes, kHugePageBytes - before);
  // Only a wish: where the system has no huge pages, small ones do.
  madvise(aligned, num_bytes, MADV_HUGEPAGE);
  return aligned;
}

}  // namespace

// Always the same for the same numbers, so that it need not be stored.
uint64_t MappedBytes(uint64_t count, size_t element_bytes) {
  const uint64_t num_bytes = count * element_bytes;
  return RoundUp(num_bytes,
                 num_bytes >= kHugePageBytes ? kHugePageBytes : kPageBytes);
}

void* MapZeros(size_t count, size_t element_bytes) {
  if (count == 0) return nullptr;
  if (count > std::numeric_limits<size_t>::max() / (2 * element_bytes)) {
    throw std::bad_alloc();
  }
  const size_t num_bytes = MappedBytes(count, element_bytes);
  return num_bytes >= kHugePageBytes ? MapHuge(num_bytes) : Map(num_bytes);
}

void UnmapZeros(void* memory, size_t count, size_t element_bytes) noexcept {
  if (memory == nullptr) return;
  // Piece by piece: whoever maps or touches new memory meanwhile waits for one
  // of them only.
  char* const begin = static_cast<char*>(memory);
  const uint64_t num_bytes = MappedBytes(count, element_bytes);
  for (uint64_t done = 0; done < num_bytes; done += kUnmappedBytes) {
    munmap(begin + done, std::min<uint64_t>(kUnmappedBytes, num_bytes - done));
  }
}

}  // namespace neumf
