#include "base/aligned_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <new>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace neumf {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr size_t kHugePageFloats = kHugePageBytes / sizeof(float);

size_t Misalignment(const AlignedBuffer& buffer, size_t alignment) {
  return reinterpret_cast<uintptr_t>(buffer.data()) % alignment;
}

TEST(AlignedBufferTest, IsNullWhenEmpty) {
  EXPECT_EQ(AlignedBuffer(0).data(), nullptr);
  EXPECT_EQ(AlignedBuffer().data(), nullptr);
}

TEST(AlignedBufferTest, AlignsSmallOnesToCacheLines) {
  EXPECT_EQ(Misalignment(AlignedBuffer(1), 64), 0U);
  EXPECT_EQ(Misalignment(AlignedBuffer(kHugePageFloats - 2000), 64), 0U);
}

TEST(AlignedBufferTest, AlignsLargeOnesToHugePages) {
  for (const size_t size :
       {kHugePageFloats, kHugePageFloats + 1, 3 * kHugePageFloats + 5}) {
    EXPECT_EQ(Misalignment(AlignedBuffer(size), kHugePageBytes), 0U) << size;
  }
}

TEST(AlignedBufferTest, StartsAsZerosAndTakesWritesToTheEnd) {
  for (const size_t size : {size_t{1}, size_t{1025}, kHugePageFloats + 1}) {
    AlignedBuffer buffer(size);
    float* const end = buffer.data() + buffer.size();
    EXPECT_EQ(std::count(buffer.data(), end, 0.0F),
              static_cast<ptrdiff_t>(size));
    std::fill(buffer.data(), end, 1.0F);
  }
}

TEST(AlignedBufferTest, LeavesNothingBehindWhenMoved) {
  AlignedBuffer from(3);
  from.data()[2] = 7;
  AlignedBuffer to(std::move(from));
  EXPECT_EQ(to.data()[2], 7);
  AlignedBuffer assigned(5);
  assigned = std::move(to);
  EXPECT_EQ(assigned.size(), 3U);
  EXPECT_EQ(assigned.data()[2], 7);
}

// The line "VmFlags: ..." of the mapping that begins at `memory`.
std::string MappingFlags(const void* memory) {
  std::ostringstream begin;
  begin << std::hex << reinterpret_cast<uintptr_t>(memory) << '-';
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.compare(0, begin.str().size(), begin.str()) == 0) inside = true;
    if (inside && line.compare(0, 8, "VmFlags:") == 0) return line + " ";
  }
  return "";
}

TEST(AlignedBufferTest, AsksForHugePages) {
  if (!std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled").good()) {
    GTEST_SKIP() << "this system has no transparent huge pages";
  }
  const AlignedBuffer buffer(3 * kHugePageFloats);
  EXPECT_NE(MappingFlags(buffer.data()).find(" hg "), std::string::npos);
}

TEST(AlignedArrayTest, CopiesWhenAsked) {
  const std::vector<uint64_t> values = {3, 1, 2};
  const auto copy = AlignedArray<uint64_t>::CopyOf(values);
  EXPECT_EQ(std::vector<uint64_t>(copy.begin(), copy.end()), values);
  EXPECT_EQ(copy.size_bytes(), 24U);
  EXPECT_TRUE(AlignedArray<char>::CopyOf({}).empty());
}

TEST(AlignedBufferTest, ThrowsWhenThereIsNoSuchMemory) {
  for (const size_t size :
       {size_t{1} << 58, std::numeric_limits<size_t>::max()}) {
    EXPECT_THROW(AlignedBuffer buffer(size), std::bad_alloc) << size;
  }
}

TEST(AlignedMatrixTest, LaysRowsOneBehindTheOther) {
  AlignedMatrix matrix(3, 5);
  matrix.row(1)[4] = 7;
  EXPECT_EQ(matrix.data()[9], 7);
  EXPECT_EQ(matrix.size(), 15U);
  EXPECT_EQ(std::as_const(matrix).row(2).data(), matrix.data() + 10);
}

TEST(AlignedMatrixTest, MayHaveNoColumns) {
  const AlignedMatrix matrix(3, 0);
  EXPECT_TRUE(matrix.empty());
  EXPECT_EQ(matrix.rows(), 3U);
  EXPECT_TRUE(matrix.row(2).empty());
}

}  // namespace
}  // namespace neumf
