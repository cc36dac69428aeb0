#include "model/id_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Optional;

auto Refused(const char* reason) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(reason));
}

absl::StatusOr<IdTable> Table(const std::vector<std::string>& ids) {
  return IdTable::FromIds(ids);
}

TEST(IdTableTest, FindsRowsByIdAndIdsByRow) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table, Table({"b", "a", "long id"}));
  EXPECT_EQ(table.size(), 3U);
  EXPECT_THAT(table.Find("a"), Optional(1U));
  EXPECT_THAT(table.Find("long id"), Optional(2U));
  EXPECT_EQ(table.id(0), "b");
}

TEST(IdTableTest, FindsNothingForAbsentIds) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table, Table({"ab", "c"}));
  for (const absl::string_view id : {"", "a", "b", "abc", "AB"}) {
    EXPECT_EQ(table.Find(id), std::nullopt) << id;
  }
}

TEST(IdTableTest, FindsNothingWhenEmpty) {
  EXPECT_EQ(IdTable().size(), 0U);
  EXPECT_EQ(IdTable().Find("a"), std::nullopt);
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table, Table({}));
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.Find("a"), std::nullopt);
}

TEST(IdTableTest, HoldsManyIds) {
  constexpr int kNumIds = 100'000;
  std::vector<std::string> ids;
  ids.reserve(kNumIds);
  for (int row = 0; row < kNumIds; ++row) ids.push_back(absl::StrCat(row));
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table, Table(ids));
  for (uint32_t row = 0; row < ids.size(); ++row) {
    ASSERT_THAT(table.Find(ids[row]), Optional(row));
    ASSERT_EQ(table.id(row), ids[row]);
    ASSERT_EQ(table.Find(ids[row] + "x"), std::nullopt);
  }
}

TEST(IdTableTest, SurvivesCopiesAndMoves) {
  NEUMF_ASSERT_OK_AND_ASSIGN(IdTable table, Table({"a", "b"}));
  const IdTable copy = table;
  const IdTable moved = std::move(table);
  EXPECT_THAT(copy.Find("b"), Optional(1U));
  EXPECT_THAT(moved.Find("b"), Optional(1U));
}

TEST(IdTableTest, TakesIdsOfTheLargestSizeOnly) {
  NEUMF_EXPECT_OK(Table({std::string(256, 'x')}));
  EXPECT_THAT(Table({"a", std::string(257, 'x')}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("row 1"), HasSubstr("257 bytes"))));
}

TEST(IdTableTest, KnowsItsLongestId) {
  EXPECT_EQ(IdTable().longest_id_bytes(), 0);
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table, Table({"a", "four", "bb"}));
  EXPECT_EQ(table.longest_id_bytes(), 4);
}

TEST(IdTableTest, RefusesEmptyIds) {
  EXPECT_THAT(Table({"a", "", "b"}), Refused("row 1: the id is empty"));
}

TEST(IdTableTest, RefusesIdsThatAreNotUtf8) {
  EXPECT_THAT(Table({"a\xFF"}), Refused("row 0: the id is not UTF-8"));
}

TEST(IdTableTest, RefusesIdsWhoseBytesAreUtf8OnlyTogether) {
  EXPECT_THAT(IdTable::Create({0, 1, 2}, "\xC3\xA9"),
              Refused("row 0: the id is not UTF-8"));
}

TEST(IdTableTest, RefusesRepeatedIdsAndNamesBothRows) {
  EXPECT_THAT(Table({"a", "same", "b", "same"}),
              Refused("row 3: the id \"same\" is that of row 1 too"));
}

TEST(IdTableTest, RefusesOffsetsThatDoNotFitTheBytes) {
  EXPECT_THAT(IdTable::Create({}, ""), Refused("missing"));
  EXPECT_THAT(IdTable::Create({0, 1}, "ab"), Refused("from 0 to 1"));
  EXPECT_THAT(IdTable::Create({1, 2}, "ab"), Refused("from 1 to 2"));
  EXPECT_THAT(IdTable::Create({0, 3}, "ab"), Refused("from 0 to 3"));
  EXPECT_THAT(IdTable::Create({0, 2, 1, 3}, "abc"), Refused("row 1"));
  EXPECT_THAT(IdTable::Create({0, ~uint64_t{0}, 3}, "abc"), Refused("row 1"));
}

TEST(IdTableTest, CountsItsMemory) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table,
                             Table({std::string(200, 'x'), "b"}));
  // Bytes, three offsets, four slots.
  EXPECT_GE(table.resident_bytes(), 201U + 3 * 8 + 4 * 4);
  EXPECT_LE(table.resident_bytes(), 2 * 201U + 3 * 8 + 4 * 4);
}

}  // namespace
}  // namespace neumf
