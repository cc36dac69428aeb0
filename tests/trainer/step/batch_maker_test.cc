#include "trainer/step/batch_maker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "tests/trainer/step/batch_world.h"

namespace neumf {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::Not;

using UserItem = std::pair<uint32_t, uint32_t>;

// A group over candidates, with items instead of places.
struct Group {
  uint32_t user = 0;
  std::vector<uint32_t> targets;
  std::vector<float> weights;
  std::vector<uint32_t> masked;
};

std::vector<Group> GroupsOf(const Batch& batch) {
  std::vector<Group> groups;
  const auto items = [&](const std::vector<uint32_t>& places, size_t begin,
                         size_t end) {
    std::vector<uint32_t> found;
    for (size_t n = begin; n < end; ++n) {
      found.push_back(batch.candidates.at(places.at(n)));
    }
    return found;
  };
  for (uint32_t g = 0; g < batch.num_groups; ++g) {
    Group group;
    group.user = batch.users[g];
    const uint32_t begin = batch.target_offsets[g];
    const uint32_t end = batch.target_offsets[g + 1];
    group.targets = items(batch.targets, begin, end);
    group.weights.assign(batch.target_weights.begin() + begin,
                         batch.target_weights.begin() + end);
    group.masked = items(batch.masked, batch.masked_offsets[g],
                         batch.masked_offsets[g + 1]);
    groups.push_back(group);
  }
  return groups;
}

class BatchMakerTest : public testing::Test {
 protected:
  static BatchOptions Options(BatchForm form, uint32_t batch_size = 7) {
    BatchOptions options;
    options.form = form;
    options.batch_size = batch_size;
    options.num_negatives = 3;
    return options;
  }

  std::vector<Batch> Epoch(const BatchOptions& options,
                           uint32_t epoch = 1) const {
    BatchMaker maker = world_.Maker(options);
    return BatchWorld::Epoch(maker, epoch);
  }
  std::vector<Group> Groups(const BatchOptions& options) const {
    std::vector<Group> groups;
    for (const Batch& batch : Epoch(options)) {
      for (Group& group : GroupsOf(batch)) groups.push_back(std::move(group));
    }
    return groups;
  }

  std::vector<UserItem> AllEvents() const {
    std::vector<UserItem> events;
    for (uint32_t user = 0; user < world_.sequences().num_users(); ++user) {
      for (uint32_t item : world_.sequences().row(user)) {
        events.emplace_back(user, item);
      }
    }
    std::sort(events.begin(), events.end());
    return events;
  }
  // Of an item in its user's sequence.
  size_t PositionOf(uint32_t user, uint32_t item) const {
    const absl::Span<const uint32_t> row = world_.sequences().row(user);
    return static_cast<size_t>(std::find(row.begin(), row.end(), item) -
                               row.begin());
  }

  const BatchWorld world_;
};

TEST_F(BatchMakerTest, EveryEventIsAPairOnceAnEpoch) {
  for (uint32_t batch_size : {1, 7, 10, 50, 1000}) {
    std::vector<UserItem> seen;
    const std::vector<Batch> batches =
        Epoch(Options(BatchForm::kPairs, batch_size));
    for (const Batch& batch : batches) {
      ASSERT_TRUE(batch.is_pairs());
      ASSERT_EQ(batch.users.size(), batch.num_groups);
      ASSERT_EQ(batch.items.size(), batch.num_groups * 4);
      for (uint32_t g = 0; g < batch.num_groups; ++g) {
        seen.emplace_back(batch.users[g], batch.items[size_t{g} * 4]);
      }
    }
    for (size_t b = 0; b + 1 < batches.size(); ++b) {
      EXPECT_EQ(batches[b].num_groups, batch_size);
    }
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen, AllEvents()) << batch_size;
  }
}

TEST_F(BatchMakerTest, NegativesOfAPairAreNoneOfItsUsersItems) {
  for (const Batch& batch : Epoch(Options(BatchForm::kPairs))) {
    for (uint32_t g = 0; g < batch.num_groups; ++g) {
      for (size_t n = 1; n <= 3; ++n) {
        const uint32_t item = batch.items[size_t{g} * 4 + n];
        ASSERT_LT(item, BatchWorld::kNumItems);
        EXPECT_THAT(world_.sequences().row(batch.users[g]),
                    Not(Contains(item)));
      }
    }
  }
}

// The user as it was before the event: position 0 knows of no item.
TEST_F(BatchMakerTest, UsersAreAsTheyWereBeforeTheEvent) {
  for (const Batch& batch : Epoch(Options(BatchForm::kPairs))) {
    for (uint32_t g = 0; g < batch.num_groups; ++g) {
      const auto position = static_cast<uint32_t>(
          PositionOf(batch.users[g], batch.items[size_t{g} * 4]));
      std::vector<uint32_t> rows;
      std::vector<float> weights;
      const uint32_t num_bias_rows =
          world_.bags().Append(batch.users[g], position, &rows, &weights);
      const Bag bag = batch.user_bag(g);
      EXPECT_THAT(bag.rows, ElementsAreArray(rows));
      EXPECT_THAT(bag.weights, ElementsAreArray(weights));
      EXPECT_EQ(bag.num_bias_rows, num_bias_rows);
      EXPECT_EQ(rows.size(), 1U + std::min(position, 3U));
    }
  }
}

TEST_F(BatchMakerTest, EveryEventIsATargetOnceAnEpoch) {
  std::vector<UserItem> seen;
  for (const Group& group : Groups(Options(BatchForm::kEvents))) {
    ASSERT_EQ(group.targets.size(), 1U);
    EXPECT_EQ(group.weights[0], 1.0F);
    seen.emplace_back(group.user, group.targets[0]);
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, AllEvents());
}

TEST_F(BatchMakerTest, TargetsEndWithTheSequence) {
  BatchOptions options = Options(BatchForm::kEvents);
  options.num_targets = 3;
  options.target_decay = 2;
  std::map<uint32_t, size_t> num_targets;
  for (const Group& group : Groups(options)) {
    const absl::Span<const uint32_t> row = world_.sequences().row(group.user);
    const size_t position = PositionOf(group.user, group.targets.at(0));
    EXPECT_THAT(group.targets, ElementsAreArray(row.subspan(position, 3)));
    for (size_t t = 0; t < group.targets.size(); ++t) {
      EXPECT_FLOAT_EQ(
          group.weights[t],
          static_cast<float>(std::exp(-static_cast<double>(t) / 2)));
    }
    num_targets[group.user] += group.targets.size();
  }
  EXPECT_EQ(num_targets[1], 1U);
  EXPECT_EQ(num_targets[2], 2U + 1U);
  EXPECT_EQ(num_targets[6], 3U + 2U + 1U);
  EXPECT_EQ(num_targets[5], 7U * 3U + 2U + 1U);
}

TEST_F(BatchMakerTest, ItemsBeforeAnEventAreTakenOut) {
  BatchOptions options = Options(BatchForm::kEvents);
  for (uint32_t num_candidates : {0U, 4U, 12U, 31U, 40U}) {
    options.num_candidates = num_candidates;
    for (const Batch& batch : Epoch(options)) {
      for (const Group& group : GroupsOf(batch)) {
        std::vector<uint32_t> before;
        for (uint32_t item : world_.sequences().row(group.user)) {
          if (item == group.targets[0]) break;
          const bool is_there = std::binary_search(
              batch.candidates.begin(), batch.candidates.end(), item);
          if (is_there) before.push_back(item);
        }
        EXPECT_EQ(group.masked, before);
      }
    }
  }
}

TEST_F(BatchMakerTest, UsersWithEventsAreGroupsOnceAnEpoch) {
  std::vector<uint32_t> users;
  for (const Group& group : Groups(Options(BatchForm::kUsers, 3))) {
    users.push_back(group.user);
    EXPECT_THAT(group.targets,
                ElementsAreArray(world_.sequences().row(group.user)));
    EXPECT_THAT(group.weights, Each(1.0F));
    EXPECT_THAT(group.masked, IsEmpty());
  }
  std::sort(users.begin(), users.end());
  EXPECT_EQ(users, (std::vector<uint32_t>{1, 2, 3, 5, 6, 7, 8}));
}

TEST_F(BatchMakerTest, RecencyWeighsTheNewestMostAndOneInTheMean) {
  for (BatchForm form : {BatchForm::kUsers, BatchForm::kEvents}) {
    BatchOptions options = Options(form);
    options.recency = 4;
    std::map<UserItem, double> weights;
    for (const Group& group : Groups(options)) {
      for (size_t t = 0; t < group.targets.size(); ++t) {
        weights[{group.user, group.targets[t]}] = double{group.weights[t]};
      }
    }
    for (uint32_t user = 0; user < world_.sequences().num_users(); ++user) {
      const absl::Span<const uint32_t> row = world_.sequences().row(user);
      double sum = 0;
      for (size_t p = 0; p < row.size(); ++p) {
        const double weight = weights[{user, row[p]}];
        const double newest = weights[{user, row.back()}];
        const auto places = static_cast<double>(row.size() - 1 - p);
        EXPECT_NEAR(weight / newest, (0.1 + std::exp(-places / 4)) / 1.1, 1e-5);
        sum += weight;
      }
      EXPECT_NEAR(sum, static_cast<double>(row.size()), 1e-4) << user;
    }
  }
}

TEST_F(BatchMakerTest, AllItemsAreCandidatesUnlessFewerAreDrawn) {
  std::vector<uint32_t> catalog(BatchWorld::kNumItems);
  std::iota(catalog.begin(), catalog.end(), 0);
  BatchOptions options = Options(BatchForm::kUsers);
  for (uint32_t num_candidates : {0U, 31U, 1000U}) {
    options.num_candidates = num_candidates;
    for (const Batch& batch : Epoch(options)) {
      EXPECT_EQ(batch.candidates, catalog);
    }
  }
}

TEST_F(BatchMakerTest, DrawnCandidatesHaveAllTargets) {
  for (BatchForm form : {BatchForm::kUsers, BatchForm::kEvents}) {
    BatchOptions options = Options(form, 2);
    options.num_candidates = 4;
    for (const Batch& batch : Epoch(options)) {
      EXPECT_TRUE(
          std::is_sorted(batch.candidates.begin(), batch.candidates.end()));
      std::set<uint32_t> targets;
      for (const Group& group : GroupsOf(batch)) {
        targets.insert(group.targets.begin(), group.targets.end());
      }
      const std::set<uint32_t> distinct(batch.candidates.begin(),
                                        batch.candidates.end());
      EXPECT_EQ(distinct.size(), batch.candidates.size());
      EXPECT_TRUE(std::includes(distinct.begin(), distinct.end(),
                                targets.begin(), targets.end()));
      EXPECT_GE(distinct.size(), 4U);
      EXPECT_LE(distinct.size(), 4U + targets.size());
    }
  }
}

// Places say what they said when the whole catalog was there.
TEST_F(BatchMakerTest, TargetsAreTheSameAmongFewerCandidates) {
  for (BatchForm form : {BatchForm::kUsers, BatchForm::kEvents}) {
    BatchOptions options = Options(form);
    options.num_targets = form == BatchForm::kEvents ? 2 : 1;
    options.recency = 3;
    const std::vector<Group> whole = Groups(options);
    options.num_candidates = 5;
    const std::vector<Group> few = Groups(options);
    ASSERT_EQ(whole.size(), few.size());
    for (size_t g = 0; g < whole.size(); ++g) {
      EXPECT_EQ(few[g].user, whole[g].user);
      EXPECT_EQ(few[g].targets, whole[g].targets);
      EXPECT_EQ(few[g].weights, whole[g].weights);
    }
  }
}

TEST_F(BatchMakerTest, ExamplesAreWhatATrainerCounts) {
  EXPECT_EQ(world_.Maker(Options(BatchForm::kPairs)).examples_an_epoch(),
            world_.num_events() * 4);
  EXPECT_EQ(world_.Maker(Options(BatchForm::kEvents)).examples_an_epoch(),
            world_.num_events());
  EXPECT_EQ(world_.Maker(Options(BatchForm::kUsers)).examples_an_epoch(),
            world_.num_events());
}

TEST_F(BatchMakerTest, EpochsAndSeedsShuffleAnew) {
  for (BatchForm form :
       {BatchForm::kPairs, BatchForm::kEvents, BatchForm::kUsers}) {
    BatchOptions options = Options(form);
    const Batch first = Epoch(options, 1)[0];
    EXPECT_NE(Epoch(options, 2)[0].users, first.users);
    EXPECT_NE(Epoch(options, 2)[0].dropout_seed, first.dropout_seed);
    options.seed = 2;
    EXPECT_NE(Epoch(options, 1)[0].users, first.users);
  }
}

// As a resumed run makes them: the epochs before need not have been.
TEST_F(BatchMakerTest, AnEpochDoesNotDependOnThoseBefore) {
  for (BatchForm form :
       {BatchForm::kPairs, BatchForm::kEvents, BatchForm::kUsers}) {
    BatchOptions options = Options(form);
    options.num_candidates = 6;
    BatchMaker maker = world_.Maker(options);
    for (uint32_t epoch : {1, 2, 3}) BatchWorld::Epoch(maker, epoch);
    const std::vector<Batch> later = BatchWorld::Epoch(maker, 4);
    const std::vector<Batch> alone = Epoch(options, 4);
    ASSERT_EQ(later.size(), alone.size());
    for (size_t b = 0; b < later.size(); ++b) {
      EXPECT_TRUE(later[b] == alone[b]) << b;
    }
  }
}

TEST_F(BatchMakerTest, AnyThreadMakesTheSameBatchInAnyOrder) {
  for (BatchForm form :
       {BatchForm::kPairs, BatchForm::kEvents, BatchForm::kUsers}) {
    BatchOptions options = Options(form, 2);
    options.num_candidates = 6;
    const std::vector<Batch> expected = Epoch(options, 3);
    BatchMaker maker = world_.Maker(options);
    maker.StartEpoch(3);
    std::vector<Batch> made(expected.size());
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        BatchMaker::Scratch scratch;
        for (size_t b = made.size(); b-- > 0;) {
          if (b % 3 == t) maker.Make(b, &scratch, &made[b]);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (size_t b = 0; b < made.size(); ++b) {
      EXPECT_TRUE(made[b] == expected[b]) << b;
    }
  }
}

// Nothing of the batch before is left in the memory.
// 50 events in batches of 12: the last one has 2, fewer than there are parts.
TEST_F(BatchMakerTest, PartsAreTheWholeBatch) {
  constexpr uint32_t kParts = 3;
  BatchOptions options;
  options.batch_size = 12;
  options.num_negatives = 3;
  BatchMaker whole = world_.Maker(options);
  const std::vector<Batch> batches = BatchWorld::Epoch(whole, 2);
  std::vector<std::vector<Batch>> parts;
  options.num_parts = kParts;
  for (options.part = 0; options.part < kParts; ++options.part) {
    BatchMaker maker = world_.Maker(options);
    parts.push_back(BatchWorld::Epoch(maker, 2));
    ASSERT_EQ(parts.back().size(), batches.size());
  }
  for (size_t b = 0; b < batches.size(); ++b) {
    EXPECT_EQ(whole.num_groups(b), batches[b].num_groups);
    std::vector<uint32_t> users;
    std::vector<uint32_t> items;
    for (const std::vector<Batch>& part : parts) {
      users.insert(users.end(), part[b].users.begin(), part[b].users.end());
      items.insert(items.end(), part[b].items.begin(), part[b].items.end());
      EXPECT_LE(part[b].num_groups, batches[b].num_groups / kParts + 1);
    }
    EXPECT_EQ(users, batches[b].users) << b;
    EXPECT_EQ(items, batches[b].items) << b;
    EXPECT_EQ(parts[0][b].dropout_seed, batches[b].dropout_seed);
    EXPECT_NE(parts[1][b].dropout_seed, parts[2][b].dropout_seed);
  }
  EXPECT_EQ(batches.back().num_groups, 2U);
}

TEST_F(BatchMakerTest, ABatchIsFilledAgain) {
  for (BatchForm form :
       {BatchForm::kPairs, BatchForm::kEvents, BatchForm::kUsers}) {
    BatchOptions options = Options(form, 5);
    options.num_candidates = 6;
    const std::vector<Batch> expected = Epoch(options);
    BatchMaker maker = world_.Maker(options);
    maker.StartEpoch(1);
    BatchMaker::Scratch scratch;
    Batch batch;
    for (size_t b = 0; b < expected.size(); ++b) {
      maker.Make(b, &scratch, &batch);
      EXPECT_TRUE(batch == expected[b]) << b;
    }
  }
}

}  // namespace
}  // namespace neumf
