#include "data/features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(FeatureTableTest, NumbersValuesByName) {
  const std::vector<std::vector<std::string>> rows = {
      {"genre=War", "age=7"}, {}, {"genre=War", "genre=Action", "genre=War"}};
  const FeatureTable table(rows);
  EXPECT_EQ(table.num_rows(), 3);
  EXPECT_EQ(table.num_values(), 3);
  EXPECT_THAT(table.names(), ElementsAre("age=7", "genre=Action", "genre=War"));
  EXPECT_THAT(table.row(0), ElementsAre(0, 2));
  EXPECT_THAT(table.row(1), IsEmpty());
  EXPECT_THAT(table.row(2), ElementsAre(1, 2));
  EXPECT_THAT(table.offsets(), ElementsAre(0, 2, 2, 4));
  EXPECT_THAT(table.entries(), ElementsAre(0, 2, 1, 2));
}

TEST(FeatureTableTest, MayHaveNoRows) {
  EXPECT_EQ(FeatureTable().num_rows(), 0);
  EXPECT_EQ(FeatureTable().num_values(), 0);
}

class ReadFeaturesTest : public testing::Test {
 protected:
  // Rows as text, "age=25-34,gender=F"; the error as the only element.
  std::vector<std::string> Read(absl::string_view name,
                                absl::string_view content,
                                const std::vector<std::string>& ids,
                                Entity entity) {
    const std::string path = directory_.Path(name);
    NEUMF_EXPECT_OK(WriteFileAtomically(*files_, path, content));
    const absl::StatusOr<FeatureTable> table =
        ReadFeatures(*files_, path, ids, entity);
    if (!table.ok()) {
      EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(table.status().message()),
                  testing::StartsWith(path));
      return {std::string(table.status().message())};
    }
    std::vector<std::string> rows;
    for (uint64_t row = 0; row < table->num_rows(); ++row) {
      std::vector<std::string> names;
      for (uint32_t value : table->row(row)) {
        names.push_back(table->names()[value]);
      }
      rows.push_back(absl::StrJoin(names, ","));
    }
    return rows;
  }

  std::vector<std::string> ReadUser(absl::string_view line) {
    return Read("u.user", absl::StrCat(line, "\n"), {"1"}, Entity::kUser);
  }
  std::vector<std::string> ReadItem(absl::string_view line) {
    return Read("u.item", absl::StrCat(line, "\n"), {"1"}, Entity::kItem);
  }
  std::vector<std::string> ReadCsv(absl::string_view content,
                                   const std::vector<std::string>& ids) {
    return Read("items.csv", content, ids, Entity::kItem);
  }

  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const TempDirectory directory_;
};

constexpr absl::string_view kFlags = "|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|1";

TEST_F(ReadFeaturesTest, UsersHaveAgeGenderAndOccupation) {
  EXPECT_THAT(Read("u.user",
                   "1|24|M|technician|85711\r\n\n2|53|F|other|T8H1N\n"
                   "3|7|F|none|1\n",
                   {"2", "1", "3"}, Entity::kUser),
              ElementsAre("age=50-55,gender=F,occupation=other",
                          "age=18-24,gender=M,occupation=technician",
                          "age=0-17,gender=F,occupation=none"));
}

TEST_F(ReadFeaturesTest, AgesComeInTheBucketsOfMovieLens1M) {
  const auto bucket = [&](int age) {
    const std::vector<std::string> rows =
        ReadUser(absl::StrCat("1|", age, "|M|x|0"));
    return rows[0].substr(0, rows[0].find(','));
  };
  EXPECT_EQ(bucket(0), "age=0-17");
  EXPECT_EQ(bucket(17), "age=0-17");
  EXPECT_EQ(bucket(18), "age=18-24");
  EXPECT_EQ(bucket(24), "age=18-24");
  EXPECT_EQ(bucket(25), "age=25-34");
  EXPECT_EQ(bucket(35), "age=35-44");
  EXPECT_EQ(bucket(45), "age=45-49");
  EXPECT_EQ(bucket(49), "age=45-49");
  EXPECT_EQ(bucket(50), "age=50-55");
  EXPECT_EQ(bucket(56), "age=56+");
  EXPECT_EQ(bucket(100), "age=56+");
}

TEST_F(ReadFeaturesTest, BadUserLinesSayWhatIsWrong) {
  EXPECT_THAT(ReadUser("1|24|M|x"),
              ElementsAre(HasSubstr("line 1: 4 fields between | instead")));
  EXPECT_THAT(ReadUser("one|24|M|x|0"),
              ElementsAre(HasSubstr("line 1: id \"one\" is not a number")));
  EXPECT_THAT(ReadUser("1|old|M|x|0"),
              ElementsAre(HasSubstr("age \"old\" is not a number")));
  EXPECT_THAT(ReadUser("1|-1|M|x|0"),
              ElementsAre(HasSubstr("age \"-1\" is not a number")));
  EXPECT_THAT(ReadUser("1|99999999999|M|x|0"),
              ElementsAre(HasSubstr("is not a number")));
  EXPECT_THAT(ReadUser("1|24|X|x|0"),
              ElementsAre(HasSubstr("gender \"X\" is not F or M")));
  EXPECT_THAT(ReadUser("1|24|M||0"),
              ElementsAre(HasSubstr("occupation \"\" is not a word")));
  EXPECT_THAT(ReadUser("1|24|M|\xFF|0"),
              ElementsAre(HasSubstr("occupation \"\\xff\" is not a word")));
  EXPECT_THAT(ReadUser("1|24|M|x|0\n\n1|25|M|x|0"),
              ElementsAre(HasSubstr("line 3: id \"1\" for the second time")));
}

TEST_F(ReadFeaturesTest, ItemsHaveYearAndGenres) {
  EXPECT_THAT(
      ReadItem(absl::StrCat("1|Caf\xE9 (1994)|01-Jan-1994||http://x", kFlags)),
      ElementsAre("genre=Action,genre=Western,year=1990-1994"));
  EXPECT_THAT(ReadItem(absl::StrCat("1|X|31-Dec-1995||", kFlags)),
              ElementsAre("genre=Action,genre=Western,year=1995-1999"));
}

TEST_F(ReadFeaturesTest, AnItemWithoutADateLacksItsYear) {
  EXPECT_THAT(ReadItem(absl::StrCat("1|unknown|||", kFlags)),
              ElementsAre("genre=Action,genre=Western,year=missing"));
}

TEST_F(ReadFeaturesTest, BadItemLinesSayWhatIsWrong) {
  EXPECT_THAT(ReadItem(absl::StrCat("1|X|1994||", kFlags)),
              ElementsAre(HasSubstr("line 1: date \"1994\" is not written")));
  EXPECT_THAT(ReadItem(absl::StrCat("1|X|01-Jan-94||", kFlags)),
              ElementsAre(HasSubstr("year \"94\" is not a number of four")));
  EXPECT_THAT(ReadItem(absl::StrCat("1|X|01-Jan-199x||", kFlags)),
              ElementsAre(HasSubstr("year \"199x\"")));
  EXPECT_THAT(ReadItem(absl::StrCat("1|X|||", kFlags, "|0")),
              ElementsAre(HasSubstr("25 fields between | instead of 24")));
  EXPECT_THAT(ReadItem(absl::StrCat("|X|||", kFlags)),
              ElementsAre(HasSubstr("id \"\" is not a number")));
  EXPECT_THAT(ReadItem("1|X|||" + std::string(kFlags.substr(0, 37)) + "2"),
              ElementsAre(HasSubstr("flag \"2\" is not 0 or 1")));
}

TEST_F(ReadFeaturesTest, ReadsTheUsersOfMovieLens1M) {
  EXPECT_THAT(Read("users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n",
                   {"1", "2"}, Entity::kUser),
              ElementsAre("age=0-17,gender=F,occupation=10",
                          "age=56+,gender=M,occupation=16"));
  EXPECT_THAT(Read("users.dat", "1::F::1::10\n", {"1"}, Entity::kUser),
              ElementsAre(HasSubstr("line 1: 4 fields between :: instead")));
}

TEST_F(ReadFeaturesTest, ReadsTheItemsOfMovieLens1M) {
  EXPECT_THAT(
      Read("movies.dat",
           "1::Toy Story (1995)::Animation|Children's\n"
           "2::Caf\xE9 (Le) (2000)::Drama\n"
           "3::No year::Drama\n",
           {"1", "2", "3"}, Entity::kItem),
      ElementsAre("genre=Animation,genre=Children's,year=1995-1999",
                  "genre=Drama,year=2000-2004", "genre=Drama,year=missing"));
  EXPECT_THAT(Read("movies.dat", "1::X (year)::Drama\n", {"1"}, Entity::kItem),
              ElementsAre(HasSubstr("line 1: year \"year\"")));
  EXPECT_THAT(Read("movies.dat", "1::X (1995)::\n", {"1"}, Entity::kItem),
              ElementsAre(HasSubstr("line 1: genre \"\" is not a word")));
  EXPECT_THAT(Read("movies.dat", "1::X (1995)\n", {"1"}, Entity::kItem),
              ElementsAre(HasSubstr("line 1: 2 fields between :: instead")));
}

TEST_F(ReadFeaturesTest, CsvColumnsAreCategorical) {
  EXPECT_THAT(ReadCsv("item_id,genre,studio\n"
                      "a,Drama|War|Drama,\"Smith, Sons\"\n"
                      "b,,\n"
                      "c,|War|,x\n",
                      {"c", "a", "b"}),
              ElementsAre("genre=War,studio=x",
                          "genre=Drama,genre=War,studio=Smith, Sons", ""));
}

TEST_F(ReadFeaturesTest, TsvAndUsersAreReadToo) {
  EXPECT_THAT(
      Read("who.tsv", "user_id\tcity\nann\tOslo\n", {"ann"}, Entity::kUser),
      ElementsAre("city=Oslo"));
}

TEST_F(ReadFeaturesTest, ReadsTheMoviesOfMovieLensLatest) {
  EXPECT_THAT(
      Read("movies.csv",
           "movieId,title,genres\r\n"
           "1,Toy Story (1995),Adventure|Children\r\n"
           "11,\"American President, The (1995)\",Drama\r\n"
           "114335,La cravate (1957),(no genres listed)\r\n",
           {"1", "11", "114335"}, Entity::kItem),
      ElementsAre("genres=Adventure,genres=Children", "genres=Drama", ""));
  EXPECT_THAT(Read("users.csv", "userId,age\n7,young\n", {"7"}, Entity::kUser),
              ElementsAre("age=young"));
}

TEST_F(ReadFeaturesTest, ATitleIsNoFeature) {
  EXPECT_THAT(ReadCsv("item_id,title\na,b\n", {"a"}),
              ElementsAre(HasSubstr("no column of a feature")));
  EXPECT_THAT(ReadCsv("item_id,title,x\na,\xFF,y\n", {"a"}),
              ElementsAre("x=y"));
}

TEST_F(ReadFeaturesTest, BadCsvSaysWhatIsWrong) {
  EXPECT_THAT(ReadCsv("", {"a"}), ElementsAre(HasSubstr("the file is empty")));
  EXPECT_THAT(ReadCsv("id,genre\n", {"a"}),
              ElementsAre(HasSubstr("first column \"id\" is not item_id or "
                                    "movieId")));
  EXPECT_THAT(ReadCsv("user_id,genre\n", {"a"}),
              ElementsAre(HasSubstr("\"user_id\" is not item_id")));
  EXPECT_THAT(ReadCsv("item_id\na\n", {"a"}),
              ElementsAre(HasSubstr("no column of a feature")));
  EXPECT_THAT(ReadCsv("item_id,\na,b\n", {"a"}),
              ElementsAre(HasSubstr("column \"\" is not a name")));
  EXPECT_THAT(ReadCsv("item_id,\"x\n", {"a"}),
              ElementsAre(HasSubstr("the header has a quote")));
  EXPECT_THAT(ReadCsv("item_id,x\na\n", {"a"}),
              ElementsAre(HasSubstr("line 2: 1 columns where the header")));
  EXPECT_THAT(ReadCsv("item_id,x\na,\"b\n", {"a"}),
              ElementsAre(HasSubstr("line 2: a quote that is never closed")));
  EXPECT_THAT(ReadCsv("item_id,x\na,\xFF\n", {"a"}),
              ElementsAre(HasSubstr("line 2: x \"\\xff\" is not a word")));
  EXPECT_THAT(ReadCsv("item_id,x\na,b\na,b\n", {"a"}),
              ElementsAre(HasSubstr("line 3: id \"a\" for the second time")));
}

TEST_F(ReadFeaturesTest, CountsWhatIsLackingAndNamesTheFirst) {
  EXPECT_THAT(
      ReadCsv("item_id,x\nb,y\n", {"a", "b", "c"}),
      ElementsAre(HasSubstr("lacks 2 of the 3 items of the data; the first is "
                            "\"a\"")));
  EXPECT_THAT(Read("u.user", "1|24|M|x|0\n", {"1", "2"}, Entity::kUser),
              ElementsAre(HasSubstr("lacks 1 of the 2 users")));
}

TEST_F(ReadFeaturesTest, IgnoresUnknownIdsAndTheirValues) {
  const std::string path = directory_.Path("items.csv");
  NEUMF_ASSERT_OK(
      WriteFileAtomically(*files_, path, "item_id,x\nz,q\na,y\nz,q\n"));
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const FeatureTable table,
      ReadFeatures(*files_, path, std::vector<std::string>{"a"},
                   Entity::kItem));
  EXPECT_THAT(table.names(), ElementsAre("x=y"));
}

TEST_F(ReadFeaturesTest, TheNameSaysTheFormat) {
  EXPECT_THAT(Read("u.data", "", {}, Entity::kItem),
              ElementsAre(AllOf(HasSubstr("no format of features"),
                                HasSubstr("movies.dat, *.csv"))));
  EXPECT_THAT(Read("u.user", "", {}, Entity::kItem),
              ElementsAre(HasSubstr("describes users, where items")));
  EXPECT_THAT(Read("movies.dat", "", {}, Entity::kUser),
              ElementsAre(HasSubstr("describes items, where users")));
}

TEST_F(ReadFeaturesTest, AMissingFileIsNotFound) {
  EXPECT_THAT(
      ReadFeatures(*files_, directory_.Path("u.item"), {}, Entity::kItem),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("u.item")));
}

}  // namespace
}  // namespace neumf
