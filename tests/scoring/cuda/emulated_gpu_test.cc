// The emulated GPU keeps what device.h says, and fails when it is told to.

#include "tests/support/gpu_emulator/emulated_gpu.h"

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"
#include "scoring/cuda/device/device.h"
#include "tests/support/gpu_emulator/emulated_launch.h"
#include "tests/support/gpu_emulator/sanitizers.h"
#include "tests/support/status_matchers.h"

namespace neumf::cuda {
namespace {

using testing::HasSubstr;
using Place = Memory::Place;

constexpr uint32_t kCount = 100;
constexpr size_t kBytes = kCount * sizeof(uint32_t);

// Adds `number` to each of kCount counters.
struct AddTo {
  static constexpr uint32_t kThreads = 32;
  static constexpr uint32_t kMinBlocks = 1;
  uint32_t* counters = nullptr;
  uint32_t number = 0;

  template <typename Thread>
  void operator()(Thread& thread) const {
    for (uint32_t i = thread.thread(); i < kCount; i += kThreads) {
      counters[i] += number;
    }
  }
};

// Does not meet its block.
struct Faulty {
  static constexpr uint32_t kThreads = 64;
  static constexpr uint32_t kMinBlocks = 1;

  template <typename Thread>
  void operator()(Thread& thread) const {
    if (thread.warp() == 0) thread.SyncBlock();
  }
};

// A device with counters, and a pinned copy of them.
class EmulatedGpuTest : public testing::Test {
 protected:
  void Start(GpuProperties properties = {}) {
    gpu_ = std::make_unique<EmulatedGpu>(std::move(properties));
    Open();
  }
  void Open() {
    NEUMF_ASSERT_OK_AND_ASSIGN(device_, Device::Open(0));
    NEUMF_ASSERT_OK_AND_ASSIGN(stream_, device_->MakeStream());
    counters_ = Allocate(Place::kDevice, kBytes);
    pinned_ = Allocate(Place::kPinned, kBytes);
  }
  Memory Allocate(Place place, size_t bytes) {
    absl::StatusOr<Memory> memory = Memory::Allocate(*device_, place, bytes);
    NEUMF_EXPECT_OK(memory);
    return memory.ok() ? *std::move(memory) : Memory();
  }

  absl::Status Zero() { return stream_->Fill(Counters(), 0, kBytes); }
  absl::Status Add(uint32_t number) {
    return Launch(*stream_, {1, 0}, AddTo{Counters(), number});
  }
  absl::Status CopyBack() {
    return stream_->Copy(pinned_.as<void>(), Counters(), kBytes);
  }
  uint32_t* Counters() const { return counters_.as<uint32_t>(); }
  std::vector<uint32_t> Pinned() const {
    const auto* const values = pinned_.as<uint32_t>();
    return {values, values + kCount};
  }
  void ExpectPinned(uint32_t value) const {
    EXPECT_THAT(Pinned(), testing::Each(value));
  }

  // Goes last: it checks what the others left.
  std::unique_ptr<EmulatedGpu> gpu_;
  std::unique_ptr<Device> device_;
  Memory counters_;
  Memory pinned_;
  std::unique_ptr<Stream> stream_;
};

auto IsUnavailable(const char* text) {
  return StatusIs(absl::StatusCode::kUnavailable, HasSubstr(text));
}

TEST_F(EmulatedGpuTest, IsNoDeviceWhenItIsNotThere) {
  EXPECT_THAT(Device::Open(0), IsUnavailable("no CUDA device 0: there are 0"));
  EXPECT_THAT(Device::Reset(0), IsUnavailable("no CUDA device"));
  Start();
  EXPECT_THAT(Device::Open(1), IsUnavailable("no CUDA device 1: there are 1"));
}

TEST_F(EmulatedGpuTest, RunsWhatIsQueuedInOrder) {
  Start();
  NEUMF_EXPECT_OK(Zero());
  NEUMF_EXPECT_OK(Add(3));
  NEUMF_EXPECT_OK(Add(4));
  NEUMF_EXPECT_OK(CopyBack());
  NEUMF_EXPECT_OK(stream_->Synchronize());
  ExpectPinned(7);
  EXPECT_EQ(gpu_->num_launches(), 2);
  EXPECT_EQ(gpu_->num_commands(), 5);
}

TEST_F(EmulatedGpuTest, RunsLateWhenItIsToldTo) {
  GpuProperties properties;
  properties.runs_late = true;
  Start(properties);
  NEUMF_EXPECT_OK(Zero());
  NEUMF_EXPECT_OK(Add(3));
  NEUMF_EXPECT_OK(CopyBack());
  ExpectPinned(0xFFFFFFFF);
  NEUMF_EXPECT_OK(stream_->Synchronize());
  ExpectPinned(3);
}

TEST_F(EmulatedGpuTest, RunsAGraphEachTimeThatItIsLaunched) {
  Start();
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Graph> graph,
                             stream_->Record([&] { return Add(5); }));
  NEUMF_EXPECT_OK(Zero());
  EXPECT_EQ(gpu_->num_launches(), 0);
  NEUMF_EXPECT_OK(stream_->Launch(*graph));
  NEUMF_EXPECT_OK(stream_->Launch(*graph));
  NEUMF_EXPECT_OK(CopyBack());
  NEUMF_EXPECT_OK(stream_->Synchronize());
  ExpectPinned(10);
}

TEST_F(EmulatedGpuTest, ARecordingThatFailsIsNoGraph) {
  Start();
  EXPECT_THAT(stream_->Record([] { return absl::AbortedError("no"); }),
              StatusIs(absl::StatusCode::kAborted));
  NEUMF_EXPECT_OK(Zero());
  NEUMF_EXPECT_OK(CopyBack());
  ExpectPinned(0);
}

TEST_F(EmulatedGpuTest, CountsMemory) {
  GpuProperties properties;
  properties.total_bytes = 1000;
  Start(properties);
  EXPECT_THAT(device_->FreeBytes(), IsOkAndHolds(1000 - kBytes));
  EXPECT_EQ(gpu_->live_bytes(Place::kPinned), kBytes);
  {
    const Memory more = Allocate(Place::kDevice, 1000 - kBytes);
    EXPECT_EQ(more.as<uint8_t>()[999 - kBytes], 0xFF);
    EXPECT_THAT(Memory::Allocate(*device_, Place::kDevice, 1),
                StatusIs(absl::StatusCode::kResourceExhausted));
    Allocate(Place::kPinned, 1);
    Allocate(Place::kDevice, 0);
  }
  EXPECT_EQ(gpu_->peak_bytes(Place::kDevice), 1000);
  EXPECT_EQ(gpu_->live_bytes(Place::kDevice), kBytes);
  gpu_->SetBytesOfOthers(500);
  EXPECT_THAT(device_->FreeBytes(), IsOkAndHolds(500 - kBytes));
  EXPECT_THAT(Memory::Allocate(*device_, Place::kDevice, 500),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(EmulatedGpuTest, FailsTheAllocationThatItIsToldTo) {
  Start();
  gpu_->FailAllocation(2);
  Allocate(Place::kDevice, 8);
  EXPECT_THAT(Memory::Allocate(*device_, Place::kPinned, 8),
              StatusIs(absl::StatusCode::kResourceExhausted));
  Allocate(Place::kPinned, 8);
  EXPECT_EQ(gpu_->num_allocations(), 5);
}

TEST_F(EmulatedGpuTest, FailsTheCommandThatItIsToldTo) {
  Start();
  NEUMF_EXPECT_OK(Zero());
  gpu_->FailCommand(2);
  NEUMF_EXPECT_OK(Add(1));
  EXPECT_THAT(Add(2), IsUnavailable("starting a kernel: told to fail"));
  NEUMF_EXPECT_OK(Add(4));
  NEUMF_EXPECT_OK(CopyBack());
  ExpectPinned(5);
  gpu_->FailCommand(1);
  EXPECT_THAT(stream_->Synchronize(), IsUnavailable("told to fail"));
  NEUMF_EXPECT_OK(stream_->Synchronize());
}

TEST_F(EmulatedGpuTest, StaysLostUntilAReset) {
  Start();
  gpu_->LoseFromCommand(1);
  EXPECT_THAT(Zero(), IsUnavailable("told to fail"));
  EXPECT_THAT(Zero(), IsUnavailable("lost"));
  EXPECT_THAT(device_->FreeBytes(), IsUnavailable("lost"));
  EXPECT_THAT(Memory::Allocate(*device_, Place::kDevice, 1),
              IsUnavailable("lost"));
  EXPECT_THAT(Device::Open(0), IsUnavailable("lost"));
  NEUMF_EXPECT_OK(Device::Reset(0));
  EXPECT_EQ(gpu_->live_bytes(Place::kDevice), 0);
  EXPECT_EQ(gpu_->live_bytes(Place::kPinned), 0);
  // What came before is dead, and can go.
  EXPECT_THAT(Zero(), IsUnavailable("reset"));
  EXPECT_THAT(stream_->Synchronize(), IsUnavailable("reset"));
  EXPECT_EQ(EmulatedBlocksPerMultiprocessor(*device_, 32, 0), 0);
  stream_ = nullptr;
  counters_ = Memory();
  pinned_ = Memory();
  Open();
  NEUMF_EXPECT_OK(Zero());
}

TEST_F(EmulatedGpuTest, StaysLostWhenResetsAreRefused) {
  Start();
  gpu_->RefuseResets();
  EXPECT_THAT(Device::Reset(0), IsUnavailable("told to fail"));
  EXPECT_THAT(Device::Open(0), IsUnavailable("lost"));
  EXPECT_EQ(gpu_->num_resets(), 1);
}

TEST_F(EmulatedGpuTest, AFaultOfAKernelFailsTheTest) {
  Start();
  EXPECT_NONFATAL_FAILURE(NEUMF_EXPECT_OK(Launch(*stream_, {1, 0}, Faulty{})),
                          "deadlock");
  EXPECT_THAT(stream_->Synchronize(), IsUnavailable("deadlock"));
  NEUMF_EXPECT_OK(stream_->Synchronize());
}

TEST_F(EmulatedGpuTest, ALaunchThatNoGpuTakesFailsTheTest) {
  Start();
  const auto launch = [&](const Grid& grid) {
    EXPECT_THAT(Launch(*stream_, grid, AddTo{}), IsUnavailable("cannot have"));
  };
  EXPECT_NONFATAL_FAILURE(launch({0, 0}), "0 blocks");
  EXPECT_NONFATAL_FAILURE(launch({1, 227 * 1024 + 1}), "shared memory");
}

TEST_F(EmulatedGpuTest, CopiesAreBetweenPinnedMemoryAndTheDevice) {
  Start();
  const auto copy = [&](void* to, const void* from, size_t bytes) {
    NEUMF_EXPECT_OK(stream_->Copy(to, from, bytes));
  };
  char own[8];
  EXPECT_NONFATAL_FAILURE(copy(own, Counters(), 8), "a copy of 8 bytes");
  EXPECT_NONFATAL_FAILURE(copy(pinned_.as<char>() + 1, Counters(), kBytes),
                          "not between");
  EXPECT_NONFATAL_FAILURE(copy(Counters() + 10, Counters(), 8), "not between");
  EXPECT_NONFATAL_FAILURE(
      NEUMF_EXPECT_OK(stream_->Fill(pinned_.as<void>(), 0, 8)), "a fill of 8");
}

TEST_F(EmulatedGpuTest, WritesAroundMemoryFailTheTest) {
  if (kWithAddressSanitizer) GTEST_SKIP() << "it ends the program at once";
  Start();
  Counters()[kCount] = 0;
  EXPECT_NONFATAL_FAILURE(counters_ = Memory(), "wrote around 400 bytes");
}

TEST_F(EmulatedGpuTest, MemoryThatIsLeftFailsTheTest) {
  Start();
  EXPECT_NONFATAL_FAILURE(gpu_ = nullptr, "2 pieces of memory");
}

TEST_F(EmulatedGpuTest, SaysHowManyBlocksFit) {
  Start();
  EXPECT_EQ(BlocksPerMultiprocessor<AddTo>(*device_, 0), 2);
  EXPECT_EQ(BlocksPerMultiprocessor<AddTo>(*device_, 113 * 1024), 2);
  EXPECT_EQ(BlocksPerMultiprocessor<AddTo>(*device_, 114 * 1024), 1);
  EXPECT_EQ(BlocksPerMultiprocessor<AddTo>(*device_, 227 * 1024 + 1), 0);
}

TEST_F(EmulatedGpuTest, MeasuresTheTimeBetweenTheLastTwoMarks) {
  Start();
  NEUMF_EXPECT_OK(stream_->Mark());
  NEUMF_EXPECT_OK(Zero());
  NEUMF_EXPECT_OK(stream_->Mark());
  NEUMF_EXPECT_OK(stream_->Synchronize());
  NEUMF_ASSERT_OK_AND_ASSIGN(const double seconds,
                             stream_->SecondsBetweenMarks());
  EXPECT_GE(seconds, 0);
  EXPECT_LT(seconds, 60);
}

}  // namespace
}  // namespace neumf::cuda
