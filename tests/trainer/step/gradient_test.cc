#include "trainer/step/gradient.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace neumf {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

ModelSpec TinySpec() {
  ModelSpec spec;
  spec.num_users = 5;
  spec.num_items = 7;
  spec.factors = 3;
  spec.user_bias = true;
  spec.item_bias = true;
  spec.global_bias = true;
  return spec;
}

class GradientTest : public testing::Test {
 protected:
  // The number of the table that is `block`.
  size_t TableOf(const ParameterBlock& block) const {
    for (size_t table = 0; table < gradient_.num_tables(); ++table) {
      if (gradient_.table(table).offset == block.offset) return table;
    }
    ADD_FAILURE() << block.name << " is no table";
    return 0;
  }

  const ParameterLayout layout_{TinySpec()};
  Gradient gradient_{layout_};
};

TEST_F(GradientTest, StartsAsNothing) {
  EXPECT_EQ(gradient_.values().size(), layout_.size);
  EXPECT_THAT(gradient_.values(), Each(0.0F));
  ASSERT_EQ(gradient_.num_tables(), 4U);
  for (size_t table = 0; table < gradient_.num_tables(); ++table) {
    EXPECT_THAT(gradient_.touched(table), IsEmpty());
  }
}

TEST_F(GradientTest, KeepsTouchedRowsOnce) {
  const size_t items = TableOf(layout_.item_gmf);
  gradient_.Touch(items, 6)[2] += 1;
  gradient_.Touch(items, 0)[0] += 2;
  gradient_.Touch(items, 6)[2] += 3;
  EXPECT_THAT(gradient_.touched(items), UnorderedElementsAre(0, 6));
  EXPECT_THAT(gradient_.touched(TableOf(layout_.user_gmf)), IsEmpty());
  EXPECT_EQ(gradient_.block(layout_.item_gmf)[6 * 3 + 2], 4);
  EXPECT_EQ(gradient_.block(layout_.item_gmf)[0], 2);
}

TEST_F(GradientTest, TouchesAWholeTable) {
  const size_t users = TableOf(layout_.user_bias);
  gradient_.Touch(users, 3);
  gradient_.TouchAll(users);
  EXPECT_THAT(gradient_.touched(users), ElementsAre(0, 1, 2, 3, 4));
  gradient_.Touch(users, 1);
  EXPECT_EQ(gradient_.touched(users).size(), 5U);
}

TEST_F(GradientTest, ClearsTablesAndDenseBlocks) {
  const size_t users = TableOf(layout_.user_gmf);
  gradient_.Touch(users, 4)[1] = 1;
  gradient_.TouchAll(TableOf(layout_.item_bias));
  std::fill_n(gradient_.block(layout_.item_bias), layout_.item_bias.size(), 2);
  gradient_.block(layout_.global_bias)[0] = 3;
  gradient_.Clear();
  EXPECT_THAT(gradient_.values(), Each(0.0F));
  for (size_t table = 0; table < gradient_.num_tables(); ++table) {
    EXPECT_THAT(gradient_.touched(table), IsEmpty());
  }
  gradient_.Touch(users, 4);
  EXPECT_THAT(gradient_.touched(users), ElementsAre(4));
}

}  // namespace
}  // namespace neumf
