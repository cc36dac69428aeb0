// What the checkpoint loader makes of the memory of the host that is left.

#include <cstdint>
#include <limits>
#include <utility>

#include "tests/server/checkpoint_loader_fixture.h"

namespace neumf {
namespace {

class LoaderMemoryTest : public CheckpointLoaderTest {
 protected:
  CheckpointLoader::Options OptionsWithLimit() {
    CheckpointLoader::Options options;
    options.available_memory = [this] {
      return AvailableMemory{available_, "it"};
    };
    return options;
  }

  uint64_t available_ = std::numeric_limits<uint64_t>::max();
  ScoringDevice host_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  // Finds available_ bytes.
  const CheckpointLoader loader_{&files_, OptionsWithLimit(), &host_,
                                 &metrics_};
};

TEST_F(LoaderMemoryTest, WhatDoesNotFitIntoMemoryIsRefusedBeforeItIsRead) {
  folder_.Publish(1);
  folder_.FlipLastByte(1);  // reading it would find that first
  options_.available_memory = [] {
    return AvailableMemory{1 << 20, "memory.max of /b"};
  };
  ExpectRefused(Load(1), ReloadResult::kNoMemory,
                "of the 1048576 that memory.max of /b leaves, 943719 may be");
}

TEST_F(LoaderMemoryTest, RoomIsMadeOnceAndOnlyWhenMemoryIsShort) {
  folder_.Publish(1);
  available_ = 1 << 20;
  bool has_standby = true;
  int asked = 0;
  const auto make_room = [&] {
    ++asked;
    if (has_standby) available_ = 1 << 30;
    return std::exchange(has_standby, false);
  };
  const auto load = [&] {
    LoadRequest request{folder_.File(1)};
    request.make_room = make_room;
    return loader_.Load(request);
  };
  EXPECT_EQ(load().result, ReloadResult::kOk);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(load().result, ReloadResult::kOk);
  EXPECT_EQ(asked, 1);
  available_ = 1 << 20;  // and nothing is kept any more
  ExpectRefused(load(), ReloadResult::kNoMemory, "1048576");
  EXPECT_EQ(asked, 2);
}

TEST_F(LoaderMemoryTest, SaysWhetherThereWereRoomWithoutWhatIsServed) {
  folder_.Publish(1);
  const LoadOutcome served = loader_.Load({folder_.File(1)});
  ASSERT_NE(served.snapshot, nullptr);
  EXPECT_FALSE(served.fits_alone);  // which nobody has asked
  folder_.Publish(2);
  // A version takes most of a megabyte, threads and buffers included.
  available_ = 1000;
  served.snapshot->resident_bytes = 100 << 20;
  LoadOutcome outcome = loader_.Load({folder_.File(2), served.snapshot.get()});
  EXPECT_EQ(outcome.result, ReloadResult::kNoMemory);
  EXPECT_TRUE(outcome.fits_alone);
  served.snapshot->resident_bytes = 1000;
  outcome = loader_.Load({folder_.File(2), served.snapshot.get()});
  EXPECT_EQ(outcome.result, ReloadResult::kNoMemory);
  EXPECT_FALSE(outcome.fits_alone);
}

TEST_F(LoaderMemoryTest, WhatLiesOnTheGpuIsNoMemoryOfTheHost) {
  folder_.Publish(1);
  folder_.Publish(2);
  const LoadOutcome served = loader_.Load({folder_.File(1)});
  ASSERT_NE(served.snapshot, nullptr);
  const uint64_t scorer_bytes = served.snapshot->scorer->resident_bytes();
  available_ = 0;
  // What is freed, from which on version 2 fits.
  uint64_t few = 0;
  uint64_t enough = 100 << 20;
  const auto fits_alone = [&](uint64_t bytes) {
    served.snapshot->resident_bytes = bytes;
    return loader_.Load({folder_.File(2), served.snapshot.get()}).fits_alone;
  };
  ASSERT_TRUE(fits_alone(enough));
  while (enough - few > 1) {
    const uint64_t middle = few + (enough - few) / 2;
    (fits_alone(middle) ? enough : few) = middle;
  }
  served.snapshot->device_life = host_.life();
  EXPECT_FALSE(fits_alone(enough + scorer_bytes - 1));
  EXPECT_TRUE(fits_alone(enough + scorer_bytes));
}

}  // namespace
}  // namespace neumf
