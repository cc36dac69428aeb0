#include "data/feature_lines.h"

#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "data/csv_scanner.h"
#include "data/event_log_builder.h"
#include "data/text_lines.h"

namespace neumf {
namespace {

using Fields = std::vector<absl::string_view>;
using Names = std::vector<std::string>;

// In the order of the flags in u.item.
constexpr std::array<absl::string_view, 19> kGenres = {
    "unknown",   "Action",   "Adventure",   "Animation", "Children's",
    "Comedy",    "Crime",    "Documentary", "Drama",     "Fantasy",
    "Film-Noir", "Horror",   "Musical",     "Mystery",   "Romance",
    "Sci-Fi",    "Thriller", "War",         "Western"};

// The fields of u.item before the flags: id, title, date, video date, URL.
constexpr size_t kNumFieldsBeforeFlags = 5;

constexpr int kYearsInABucket = 5;

absl::Status Wrong(absl::string_view what, absl::string_view text,
                   absl::string_view should) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " ", QuotedForMessage(text), " is not ", should));
}

absl::Status CheckNumFields(const Fields& fields, size_t wanted,
                            absl::string_view separator) {
  if (fields.size() == wanted) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      fields.size(), " fields between ", separator, " instead of ", wanted));
}

absl::Status CheckId(absl::string_view id) {
  return IsNumber(id) ? absl::OkStatus() : Wrong("id", id, "a number");
}

// MovieLens 1M tells no more than the bucket, by its first year; the same
// buckets serve both data sets.
absl::Status AddAge(absl::string_view text, Names* names) {
  constexpr std::array<std::pair<uint32_t, absl::string_view>, 7> kBuckets = {{
      {56, "56+"},
      {50, "50-55"},
      {45, "45-49"},
      {35, "35-44"},
      {25, "25-34"},
      {18, "18-24"},
      {0, "0-17"},
  }};
  uint32_t age = 0;
  if (!IsNumber(text) || !absl::SimpleAtoi(text, &age)) {
    return Wrong("age", text, "a number");
  }
  for (const auto& [from, bucket] : kBuckets) {
    if (age < from) continue;
    names->push_back(absl::StrCat("age=", bucket));
    break;
  }
  return absl::OkStatus();
}

absl::Status AddGender(absl::string_view text, Names* names) {
  if (text != "F" && text != "M") return Wrong("gender", text, "F or M");
  names->push_back(absl::StrCat("gender=", text));
  return absl::OkStatus();
}

absl::Status AddWord(absl::string_view feature, absl::string_view value,
                     Names* names) {
  if (value.empty() || !IsValidUtf8(value)) {
    return Wrong(feature, value, "a word of UTF-8");
  }
  names->push_back(absl::StrCat(feature, "=", value));
  return absl::OkStatus();
}

absl::Status AddYear(absl::string_view text, Names* names) {
  int year = 0;
  if (text.size() != 4 || !IsNumber(text) || !absl::SimpleAtoi(text, &year)) {
    return Wrong("year", text, "a number of four digits");
  }
  const int first = year - year % kYearsInABucket;
  names->push_back(
      absl::StrCat("year=", first, "-", first + kYearsInABucket - 1));
  return absl::OkStatus();
}

void AddMissingYear(Names* names) { names->push_back("year=missing"); }

// u.user: id|age|gender|occupation|zip.
absl::Status Parse100kUser(absl::string_view line, std::string* id,
                           Names* names) {
  const Fields fields = absl::StrSplit(line, '|');
  NEUMF_RETURN_IF_ERROR(CheckNumFields(fields, 5, "|"));
  NEUMF_RETURN_IF_ERROR(CheckId(fields[0]));
  *id = std::string(fields[0]);
  NEUMF_RETURN_IF_ERROR(AddAge(fields[1], names));
  NEUMF_RETURN_IF_ERROR(AddGender(fields[2], names));
  return AddWord("occupation", fields[3], names);
}

// "01-Jan-1995", or nothing.
absl::Status AddYearOfDate(absl::string_view date, Names* names) {
  if (date.empty()) {
    AddMissingYear(names);
    return absl::OkStatus();
  }
  const Fields parts = absl::StrSplit(date, '-');
  if (parts.size() != 3) return Wrong("date", date, "written dd-Mon-yyyy");
  return AddYear(parts[2], names);
}

// u.item: id|title|date|video date|URL|19 flags. The title is Latin-1.
absl::Status Parse100kItem(absl::string_view line, std::string* id,
                           Names* names) {
  const Fields fields = absl::StrSplit(line, '|');
  NEUMF_RETURN_IF_ERROR(
      CheckNumFields(fields, kNumFieldsBeforeFlags + kGenres.size(), "|"));
  NEUMF_RETURN_IF_ERROR(CheckId(fields[0]));
  *id = std::string(fields[0]);
  NEUMF_RETURN_IF_ERROR(AddYearOfDate(fields[2], names));
  for (size_t genre = 0; genre < kGenres.size(); ++genre) {
    const absl::string_view flag = fields[kNumFieldsBeforeFlags + genre];
    if (flag != "0" && flag != "1") return Wrong("flag", flag, "0 or 1");
    if (flag == "1") names->push_back(absl::StrCat("genre=", kGenres[genre]));
  }
  return absl::OkStatus();
}

// users.dat: id::gender::age::occupation::zip, the occupation as a number.
absl::Status Parse1MUser(absl::string_view line, std::string* id,
                         Names* names) {
  const Fields fields = absl::StrSplit(line, "::");
  NEUMF_RETURN_IF_ERROR(CheckNumFields(fields, 5, "::"));
  NEUMF_RETURN_IF_ERROR(CheckId(fields[0]));
  *id = std::string(fields[0]);
  NEUMF_RETURN_IF_ERROR(AddGender(fields[1], names));
  NEUMF_RETURN_IF_ERROR(AddAge(fields[2], names));
  return AddWord("occupation", fields[3], names);
}

// "Toy Story (1995)".
absl::Status AddYearOfTitle(absl::string_view title, Names* names) {
  const size_t open = title.rfind('(');
  if (open == absl::string_view::npos || !absl::ConsumeSuffix(&title, ")")) {
    AddMissingYear(names);
    return absl::OkStatus();
  }
  return AddYear(title.substr(open + 1), names);
}

// movies.dat: id::title::genre|genre. The title is Latin-1.
absl::Status Parse1MItem(absl::string_view line, std::string* id,
                         Names* names) {
  const Fields fields = absl::StrSplit(line, "::");
  NEUMF_RETURN_IF_ERROR(CheckNumFields(fields, 3, "::"));
  NEUMF_RETURN_IF_ERROR(CheckId(fields[0]));
  *id = std::string(fields[0]);
  NEUMF_RETURN_IF_ERROR(AddYearOfTitle(fields[1], names));
  for (absl::string_view genre : absl::StrSplit(fields[2], '|')) {
    NEUMF_RETURN_IF_ERROR(AddWord("genre", genre, names));
  }
  return absl::OkStatus();
}

using LineParser = absl::Status (*)(absl::string_view line, std::string* id,
                                    Names* names);

absl::Status AtLine(uint64_t line_number, const absl::Status& status) {
  return Annotate(status, absl::StrCat("line ", line_number));
}

absl::Status ForEachLine(absl::string_view content, LineParser parse,
                         FeatureLineSink sink) {
  LineScanner scanner(content);
  while (scanner.Next()) {
    std::string id;
    Names names;
    absl::Status status = parse(scanner.line(), &id, &names);
    if (status.ok()) status = sink(id, std::move(names));
    if (!status.ok()) return AtLine(scanner.line_number(), status);
  }
  return absl::OkStatus();
}

// Of MovieLens latest's movies.csv. A title is a value of its own, which says
// nothing about other items.
constexpr absl::string_view kTitleColumn = "title";
constexpr absl::string_view kNoGenres = "(no genres listed)";

// The names of the id's column: ours, and that of MovieLens latest.
std::array<absl::string_view, 2> IdNames(Entity entity) {
  if (entity == Entity::kUser) return {"user_id", "userId"};
  return {"item_id", "movieId"};
}

// What the columns are called, the id's first.
absl::StatusOr<Names> ReadCsvHeader(Entity entity, CsvScanner* scanner) {
  if (!scanner->Next()) return absl::InvalidArgumentError("the file is empty");
  if (!scanner->problem().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header has ", scanner->problem()));
  }
  Names columns;
  bool has_features = false;
  for (absl::string_view column : scanner->fields()) {
    if (column.empty() || !IsValidUtf8(column)) {
      return Wrong("column", column, "a name in UTF-8");
    }
    if (!columns.empty() && column != kTitleColumn) has_features = true;
    columns.emplace_back(column);
  }
  const auto [ours, movielens] = IdNames(entity);
  if (columns[0] != ours && columns[0] != movielens) {
    return Wrong("the first column", columns[0],
                 absl::StrCat(ours, " or ", movielens));
  }
  if (!has_features) {
    return absl::InvalidArgumentError("the header has no column of a feature");
  }
  return columns;
}

absl::Status ParseRecord(const CsvScanner& scanner, const Names& columns,
                         Names* names) {
  if (!scanner.problem().empty()) {
    return absl::InvalidArgumentError(scanner.problem());
  }
  if (scanner.fields().size() != columns.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(scanner.fields().size(), " columns where the header has ",
                     columns.size()));
  }
  for (size_t c = 1; c < columns.size(); ++c) {
    if (columns[c] == kTitleColumn || scanner.fields()[c] == kNoGenres) {
      continue;
    }
    for (absl::string_view value :
         absl::StrSplit(scanner.fields()[c], '|', absl::SkipEmpty())) {
      NEUMF_RETURN_IF_ERROR(AddWord(columns[c], value, names));
    }
  }
  return absl::OkStatus();
}

absl::Status ForEachRecord(absl::string_view content, Entity entity,
                           FeatureLineSink sink) {
  CsvScanner scanner(content);
  NEUMF_ASSIGN_OR_RETURN(const Names columns, ReadCsvHeader(entity, &scanner));
  while (scanner.Next()) {
    Names names;
    absl::Status status = ParseRecord(scanner, columns, &names);
    if (status.ok()) status = sink(scanner.fields()[0], std::move(names));
    if (!status.ok()) return AtLine(scanner.line_number(), status);
  }
  return absl::OkStatus();
}

struct LineFormat {
  absl::string_view file;
  Entity entity;
  LineParser parse;
};

constexpr std::array<LineFormat, 4> kLineFormats = {{
    {"u.user", Entity::kUser, Parse100kUser},
    {"u.item", Entity::kItem, Parse100kItem},
    {"users.dat", Entity::kUser, Parse1MUser},
    {"movies.dat", Entity::kItem, Parse1MItem},
}};

}  // namespace

absl::Status ForEachFeatureLine(absl::string_view path,
                                absl::string_view content, Entity entity,
                                FeatureLineSink sink) {
  const absl::string_view name = path.substr(path.rfind('/') + 1);
  if (absl::EndsWith(name, ".csv") || absl::EndsWith(name, ".tsv")) {
    return ForEachRecord(content, entity, sink);
  }
  for (const LineFormat& format : kLineFormats) {
    if (name != format.file) continue;
    if (entity == format.entity)
      return ForEachLine(content, format.parse, sink);
    return absl::InvalidArgumentError(
        entity == Entity::kUser ? "describes items, where users are wanted"
                                : "describes users, where items are wanted");
  }
  return absl::InvalidArgumentError(
      "the name says no format of features: take u.user, u.item, users.dat, "
      "movies.dat, *.csv or *.tsv");
}

}  // namespace neumf
