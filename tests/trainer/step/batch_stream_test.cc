#include "trainer/step/batch_stream.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/trainer/step/batch_world.h"

namespace neumf {
namespace {

class BatchStreamTest : public testing::Test {
 protected:
  // 50 events.
  static BatchOptions Options(uint32_t batch_size = 3) {
    BatchOptions options;
    options.batch_size = batch_size;
    return options;
  }

  // What `stream` gives until its end.
  static std::vector<Batch> Drain(BatchStream& stream) {
    std::vector<Batch> batches;
    while (const Batch* batch = stream.Next()) batches.push_back(*batch);
    return batches;
  }

  static void ExpectEqual(const std::vector<Batch>& a,
                          const std::vector<Batch>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t n = 0; n < a.size(); ++n) EXPECT_TRUE(a[n] == b[n]) << n;
  }

  const BatchWorld world_;
};

TEST_F(BatchStreamTest, GivesTheBatchesOfEachEpochInOrder) {
  BatchMaker maker = world_.Maker(Options());
  BatchMaker expected = world_.Maker(Options());
  BatchStream stream(&maker);
  for (uint32_t epoch : {1, 2, 3, 7}) {
    stream.StartEpoch(epoch);
    ExpectEqual(Drain(stream), BatchWorld::Epoch(expected, epoch));
    EXPECT_EQ(stream.Next(), nullptr);
  }
}

// More batches than are made ahead, and fewer.
TEST_F(BatchStreamTest, AnyNumberOfBatchesWillDo) {
  for (uint32_t batch_size : {1, 10, 13, 25, 49, 50, 51}) {
    BatchMaker maker = world_.Maker(Options(batch_size));
    BatchMaker expected = world_.Maker(Options(batch_size));
    BatchStream stream(&maker);
    stream.StartEpoch(1);
    ExpectEqual(Drain(stream), BatchWorld::Epoch(expected, 1));
  }
}

TEST_F(BatchStreamTest, EndsWhereverItStands) {
  {
    BatchMaker maker = world_.Maker(Options());
    BatchStream stream(&maker);
  }
  for (int num_taken : {0, 1, 5}) {
    BatchMaker maker = world_.Maker(Options());
    BatchStream stream(&maker);
    stream.StartEpoch(1);
    for (int n = 0; n < num_taken; ++n) EXPECT_NE(stream.Next(), nullptr);
  }
}

TEST_F(BatchStreamTest, ABatchStaysUntilTheNextIsTaken) {
  BatchMaker maker = world_.Maker(Options(1));
  BatchMaker expected = world_.Maker(Options(1));
  const std::vector<Batch> batches = BatchWorld::Epoch(expected, 1);
  BatchStream stream(&maker);
  stream.StartEpoch(1);
  for (const Batch& batch : batches) {
    const Batch* const given = stream.Next();
    ASSERT_NE(given, nullptr);
    // The producer has all the time it wants.
    for (int n = 0; n < 1000; ++n) ASSERT_EQ(given->users, batch.users);
    EXPECT_TRUE(*given == batch);
  }
}

}  // namespace
}  // namespace neumf
