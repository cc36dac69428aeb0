#include "model/user_vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "model/score_bound.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

using testing::HasSubstr;

constexpr float kRoundoff = 0x1p-11F;

// Values of a few magnitudes, denormal ones of float16 among them.
TinyModel ModelOf(uint32_t gmf_width, std::vector<uint32_t> tower_widths) {
  TinyModelOptions options;
  options.gmf_width = gmf_width;
  options.tower_widths = std::move(tower_widths);
  TinyModel tiny = MakeTinyModel(options);
  for (AlignedMatrix* table :
       {&tiny.model.users.gmf, &tiny.model.users.tower}) {
    for (size_t i = 0; i < table->size(); i += 3) table->data()[i] *= 1e-6F;
  }
  return tiny;
}

// Each of the values that `rounded` has is the nearest to that of `exact`.
void ExpectRounded(const float* rounded, absl::Span<const float> exact) {
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_NEAR(rounded[i], exact[i],
                std::fabs(exact[i]) * kRoundoff + 0x1p-25F);
    EXPECT_EQ(rounded[i], ToFloat(ToFloat16(rounded[i])));
  }
}

TEST(UserVectorsTest, PointIntoTablesInFloat32) {
  const TinyModel tiny = ModelOf(4, {8, 4});
  const UserVectors user(tiny.model.users, 3);
  EXPECT_EQ(user.gmf(), tiny.model.users.gmf.row(3).data());
  EXPECT_EQ(user.tower(), tiny.model.users.tower.row(3).data());
}

TEST(UserVectorsTest, AreNullForWhatAModelHasNot) {
  for (const bool rounded : {false, true}) {
    TinyModel dot = ModelOf(4, {});
    TinyModel tower = ModelOf(0, {8, 4});
    if (rounded) {
      dot.model.users = RoundToFloat16(dot.model.users).value();
      tower.model.users = RoundToFloat16(tower.model.users).value();
    }
    EXPECT_NE(UserVectors(dot.model.users, 0).gmf(), nullptr);
    EXPECT_EQ(UserVectors(dot.model.users, 0).tower(), nullptr);
    EXPECT_EQ(UserVectors(tower.model.users, 0).gmf(), nullptr);
    EXPECT_NE(UserVectors(tower.model.users, 0).tower(), nullptr);
  }
}

TEST(UserVectorsTest, WidenEveryRowInFloat16) {
  const TinyModel tiny = ModelOf(5, {8, 4});
  NEUMF_ASSERT_OK_AND_ASSIGN(const UserTables rounded,
                             RoundToFloat16(tiny.model.users));
  EXPECT_TRUE(rounded.is_float16());
  EXPECT_EQ(HostBytes(rounded) * 2, HostBytes(tiny.model.users));
  std::vector<UserVectors> users;  // moves them as it grows
  std::vector<const float*> gmf;
  for (uint64_t row = 0; row < tiny.model.shape.num_users; ++row) {
    users.emplace_back(rounded, row);
    gmf.push_back(users.back().gmf());
  }
  for (uint64_t row = 0; row < users.size(); ++row) {
    EXPECT_EQ(users[row].gmf(), gmf[row]);
    ExpectRounded(users[row].gmf(), tiny.model.users.gmf.row(row));
    ExpectRounded(users[row].tower(), tiny.model.users.tower.row(row));
  }
}

TEST(UserVectorsTest, ValuesBeyondFloat16AreNotRounded) {
  TinyModel tiny = ModelOf(4, {8, 4});
  tiny.model.users.tower.row(2)[7] = 65519;
  NEUMF_EXPECT_OK(RoundToFloat16(tiny.model.users));
  tiny.model.users.tower.row(2)[7] = -65520;
  EXPECT_THAT(
      RoundToFloat16(tiny.model.users),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("user.tower: value 7 of row 2, -65520, is beyond")));
}

TEST(UserVectorsTest, RoundedTablesAreBoundedByTheirLargestValues) {
  TinyModel tiny = ModelOf(4, {8, 4});
  tiny.model.users.gmf.row(6)[3] = -50'000;
  tiny.model.users.tower.row(1)[5] = 60'000;
  tiny.model.users = RoundToFloat16(tiny.model.users).value();
  // The same values in float32.
  TinyModel wide = ModelOf(4, {8, 4});
  for (uint64_t row = 0; row < wide.model.shape.num_users; ++row) {
    const UserVectors user(tiny.model.users, row);
    std::copy_n(user.gmf(), 4, wide.model.users.gmf.row(row).data());
    std::copy_n(user.tower(), 8, wide.model.users.tower.row(row).data());
  }
  ScoreBound of_tiny(tiny.model.shape);
  of_tiny.AddUsers(tiny.model.users);
  ScoreBound of_wide(wide.model.shape);
  of_wide.AddUsers(wide.model.users);
  EXPECT_GT(of_wide.Bound(wide.model.network), 0);
  EXPECT_EQ(of_tiny.Bound(tiny.model.network),
            of_wide.Bound(wide.model.network));
}

}  // namespace
}  // namespace neumf
