#include "model/id_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha256.h"
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

absl::StatusOr<IdTable> Create(const std::vector<uint64_t>& offsets,
                               absl::string_view bytes) {
  ThreadPool threads(1, "test");
  return IdTable::Create(AlignedArray<uint64_t>::CopyOf(offsets),
                         AlignedArray<char>::CopyOf(bytes), threads);
}

AlignedArray<uint64_t> OffsetsOf(const std::vector<std::string>& ids) {
  std::vector<uint64_t> offsets = {0};
  for (const std::string& id : ids)
    offsets.push_back(offsets.back() + id.size());
  return AlignedArray<uint64_t>::CopyOf(offsets);
}

AlignedArray<char> BytesOf(const std::vector<std::string>& ids) {
  return AlignedArray<char>::CopyOf(absl::StrJoin(ids, ""));
}

absl::StatusOr<IdTable> Create(const std::vector<std::string>& ids,
                               ThreadPool& threads) {
  return IdTable::Create(OffsetsOf(ids), BytesOf(ids), threads);
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

TEST(IdTableTest, SurvivesMoves) {
  NEUMF_ASSERT_OK_AND_ASSIGN(IdTable table, Table({"a", "b"}));
  const IdTable moved = std::move(table);
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
  EXPECT_THAT(Create({0, 1, 2}, "\xC3\xA9"),
              Refused("row 0: the id is not UTF-8"));
}

TEST(IdTableTest, RefusesRepeatedIdsAndNamesBothRows) {
  EXPECT_THAT(Table({"a", "same", "b", "same"}),
              Refused("row 3: the id \"same\" is that of row 1 too"));
}

TEST(IdTableTest, RefusesOffsetsThatDoNotFitTheBytes) {
  EXPECT_THAT(Create({}, ""), Refused("missing"));
  EXPECT_THAT(Create({0, 1}, "ab"), Refused("from 0 to 1"));
  EXPECT_THAT(Create({1, 2}, "ab"), Refused("from 1 to 2"));
  EXPECT_THAT(Create({0, 3}, "ab"), Refused("from 0 to 3"));
  EXPECT_THAT(Create({0, 2, 1, 3}, "abc"), Refused("row 1"));
  EXPECT_THAT(Create({0, ~uint64_t{0}, 3}, "abc"), Refused("row 1"));
}

TEST(IdTableTest, IsTheSameWithAnyNumberOfThreads) {
  std::vector<std::string> ids;
  ids.reserve(50'000);
  for (int row = 0; row < 50'000; ++row) ids.push_back(absl::StrCat("u", row));
  ThreadPool threads(4, "test");
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table, Create(ids, threads));
  for (uint32_t row = 0; row < ids.size(); ++row) {
    ASSERT_THAT(table.Find(ids[row]), Optional(row));
  }
  ids[49'000] = ids[7];
  EXPECT_THAT(Create(ids, threads),
              Refused("row 49000: the id \"u7\" is that of row 7 too"));
}

// The rows 8190 to 8192 lie in two ranges, which two threads take at once.
TEST(IdTableTest, NamesTheFirstRepeatHoweverTheThreadsRan) {
  std::vector<std::string> ids;
  ids.reserve(20'000);
  for (int row = 0; row < 20'000; ++row) ids.push_back(absl::StrCat("u", row));
  ids[8191] = ids[8190];
  ids[8192] = ids[8190];
  ThreadPool threads(4, "test");
  for (int repeat = 0; repeat < 20; ++repeat) {
    EXPECT_THAT(
        Create(ids, threads),
        Refused("bytes: row 8191: the id \"u8190\" is that of row 8190 too"));
  }
}

// --- Rows in the order of their hashes ---

std::vector<std::string> IdsByHash(int count) {
  std::vector<std::string> ids;
  ids.reserve(count);
  for (int i = 0; i < count; ++i) ids.push_back(absl::StrCat("u", i));
  std::sort(ids.begin(), ids.end(),
            [](const std::string& a, const std::string& b) {
              return IdHash(a) < IdHash(b);
            });
  return ids;
}

class IdTableByHashTest : public testing::Test {
 protected:
  absl::StatusOr<IdTable> Create() {
    return IdTable::CreateByHash(OffsetsOf(ids_), BytesOf(ids_),
                                 AlignedArray<uint64_t>::CopyOf(hashes_),
                                 threads_);
  }

  ThreadPool threads_{3, "test"};
  std::vector<std::string> ids_ = IdsByHash(20'000);
  std::vector<uint64_t> hashes_ = HashesOf(ids_);

 private:
  static std::vector<uint64_t> HashesOf(const std::vector<std::string>& ids) {
    std::vector<uint64_t> hashes;
    hashes.reserve(ids.size());
    for (const std::string& id : ids) hashes.push_back(IdHash(id));
    return hashes;
  }
};

TEST_F(IdTableByHashTest, FindsRows) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table, Create());
  for (uint32_t row = 0; row < ids_.size(); ++row) {
    ASSERT_THAT(table.Find(ids_[row]), Optional(row));
    ASSERT_EQ(table.Find(ids_[row] + "x"), std::nullopt);
  }
  EXPECT_EQ(std::vector<uint64_t>(table.hashes().begin(), table.hashes().end()),
            hashes_);
}

TEST(IdTableByHashSizes, FindsRowsOfTablesOfAnySize) {
  for (int size = 0; size < 70; ++size) {
    const std::vector<std::string> ids = IdsByHash(size);
    NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table,
                               IdTable::FromIdsByHash(ids));
    for (uint32_t row = 0; row < ids.size(); ++row) {
      ASSERT_THAT(table.Find(ids[row]), Optional(row));
    }
    for (int absent = size; absent < 100; ++absent) {
      ASSERT_EQ(table.Find(absl::StrCat("u", absent)), std::nullopt);
    }
  }
}

// Guesses from the ends of the range miss all of these by far.
TEST(IdTableByHashSizes, FindsRowsWhoseHashesCrowd) {
  std::vector<std::string> ids = IdsByHash(100'000);
  const auto crowd_end = std::partition_point(
      ids.begin(), ids.end(),
      [](const std::string& id) { return IdHash(id) < uint64_t{1} << 56; });
  ids.erase(crowd_end, ids.end() - 1);
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table, IdTable::FromIdsByHash(ids));
  for (uint32_t row = 0; row < ids.size(); ++row) {
    ASSERT_THAT(table.Find(ids[row]), Optional(row));
  }
}

TEST_F(IdTableByHashTest, RefusesHashesThatAreNotTheIdsOwn) {
  ++hashes_[12'345];
  EXPECT_THAT(Create(),
              Refused("hash: row 12345: the hash is not that of the id"));
}

TEST_F(IdTableByHashTest, RefusesRowsInAnotherOrder) {
  std::swap(ids_[12'344], ids_[12'345]);
  std::swap(hashes_[12'344], hashes_[12'345]);
  EXPECT_THAT(Create(), Refused("hash: row 12345: the hashes do not ascend"));
}

TEST_F(IdTableByHashTest, RefusesAnotherNumberOfHashes) {
  hashes_.pop_back();
  EXPECT_THAT(Create(), Refused("19999 hashes for 20000 ids"));
}

TEST_F(IdTableByHashTest, RefusesRepeatedIds) {
  ids_[9'000] = ids_[9'001];
  hashes_[9'000] = hashes_[9'001];
  EXPECT_THAT(Create(), AllOf(Refused("bytes: row 9001"),
                              Refused("is that of row 9000 too")));
}

TEST_F(IdTableByHashTest, NeedsNoIndex) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table, Create());
  EXPECT_EQ(table.resident_bytes(),
            table.bytes().size() + 8 * (ids_.size() + 1) + 8 * ids_.size());
}

// --- Ids whose hashes are equal ---

// Puts ids into as many groups as there are first letters, that of 'a' being 0.
uint64_t FirstLetter(absl::string_view id) {
  return static_cast<uint64_t>(id[0] - 'a');
}

absl::StatusOr<IdTable> CreateByLetter(const std::vector<std::string>& ids) {
  std::vector<uint64_t> hashes;
  for (const std::string& id : ids) hashes.push_back(FirstLetter(id));
  ThreadPool threads(1, "test");
  return IdTable::CreateByHash(OffsetsOf(ids), BytesOf(ids),
                               AlignedArray<uint64_t>::CopyOf(hashes), threads,
                               FirstLetter);
}

TEST(IdTableOfEqualHashes, FindsEachRow) {
  const std::vector<std::string> ids = {"a2", "a1", "c9", "c1", "c5", "d"};
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table, CreateByLetter(ids));
  for (uint32_t row = 0; row < ids.size(); ++row) {
    EXPECT_THAT(table.Find(ids[row]), Optional(row));
  }
  for (const char* absent : {"a", "a3", "b", "c2", "d1", "e"}) {
    EXPECT_EQ(table.Find(absent), std::nullopt) << absent;
  }
}

TEST(IdTableOfEqualHashes, FindsRowsWhenAllHashesAreTheSmallest) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const IdTable table,
                             CreateByLetter({"a3", "a1", "a2"}));
  EXPECT_THAT(table.Find("a3"), Optional(0U));
  EXPECT_THAT(table.Find("a2"), Optional(2U));
  EXPECT_EQ(table.Find("a4"), std::nullopt);
  EXPECT_EQ(table.Find("b"), std::nullopt);
}

TEST(IdTableOfEqualHashes, RefusesRepeatsThatAreNotNeighbours) {
  EXPECT_THAT(CreateByLetter({"a", "b1", "b2", "b3", "b1", "c"}),
              Refused("bytes: row 4: the id \"b1\" is that of row 1 too"));
}

TEST(IdTableOfEqualHashes, RefusesGroupsThatDescend) {
  EXPECT_THAT(CreateByLetter({"b1", "b2", "a"}),
              Refused("hash: row 2: the hashes do not ascend"));
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
