// Reads a checkpoint once for each allocation that may fail: a daemon short of
// memory refuses the checkpoint and goes on serving.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <string>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/checkpoint/memory_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
std::atomic<int64_t> allocations_left{kNever};

}  // namespace

void* operator new(std::size_t size) {
  if (allocations_left-- == 1) throw std::bad_alloc();
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
// Inlined, g++ would take its free() for the wrong partner of `new`.
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace neumf {
namespace {

// Many chunks, ranges of rows and blocks, so that all threads have work.
std::string FileBytes() {
  TinyModelOptions model_options;
  model_options.num_items = 2000;
  const TinyModel tiny = MakeTinyModel(model_options);
  CheckpointWriterOptions writer_options;
  writer_options.digest_chunk_bytes = 4096;
  MemoryFile file;
  NEUMF_EXPECT_OK(WriteCheckpointFile(file, "7", tiny.model, tiny.items, {},
                                      writer_options));
  return file.bytes();
}

enum class Outcome { kRead, kRefused, kThrown };

// The `nth` allocation of Read(), on any thread, fails.
Outcome ReadWithFailure(MemoryFile& file, size_t num_threads, int64_t nth) {
  CheckpointReader::Options options;
  options.num_threads = num_threads;
  options.block_bytes = 16 << 10;
  const auto reader = CheckpointReader::Open(file, "7", options);
  NEUMF_EXPECT_OK(reader);
  allocations_left = nth;
  Outcome outcome = Outcome::kRefused;
  try {
    const auto sink = [](const ItemRows&) { return absl::OkStatus(); };
    if ((*reader)->Read(sink).ok()) outcome = Outcome::kRead;
  } catch (const std::bad_alloc&) {
    outcome = Outcome::kThrown;
  }
  allocations_left = kNever;
  return outcome;
}

class MemoryShortageTest : public testing::TestWithParam<size_t> {};

TEST_P(MemoryShortageTest, ComesOutOfReadWhicheverAllocationFails) {
  MemoryFile file(FileBytes());
  int64_t nth = 1;
  int num_thrown = 0;
  for (; nth < 100'000; ++nth) {
    const Outcome outcome = ReadWithFailure(file, GetParam(), nth);
    if (outcome == Outcome::kRead) break;
    if (outcome == Outcome::kThrown) ++num_thrown;
  }
  EXPECT_LT(nth, 100'000);
  EXPECT_GT(num_thrown, 50);
}

INSTANTIATE_TEST_SUITE_P(Threads, MemoryShortageTest, testing::Values(1, 2, 4));

}  // namespace
}  // namespace neumf
