#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "data/event_log_builder.h"
#include "data/readers.h"
#include "data/text_lines.h"

namespace neumf {
namespace {

constexpr size_t kNumColumns = 4;

struct Line {
  uint64_t number = 0;
  absl::string_view text;
};

std::vector<Line> LinesOf(absl::string_view content) {
  std::vector<Line> lines;
  LineScanner scanner(content);
  while (scanner.Next()) {
    lines.push_back({scanner.line_number(), scanner.line()});
  }
  return lines;
}

// The path of the one file in `directory` whose name ends in `suffix`.
absl::StatusOr<std::string> FindFile(FileSystem& files,
                                     absl::string_view directory,
                                     absl::string_view suffix) {
  NEUMF_ASSIGN_OR_RETURN(std::vector<std::string> names,
                         files.ListDirectory(directory));
  names.erase(std::remove_if(names.begin(), names.end(),
                             [&](const std::string& name) {
                               return !absl::EndsWith(name, suffix);
                             }),
              names.end());
  if (names.size() == 1) return JoinPath(directory, names[0]);
  absl::c_sort(names);
  return absl::InvalidArgumentError(
      absl::StrCat(directory, ": ", names.empty() ? "no" : "more than one",
                   " file *", suffix, " in this directory",
                   names.empty() ? "" : ": ", absl::StrJoin(names, ", ")));
}

struct NcfFile {
  std::string path;
  std::string content;
};

absl::StatusOr<NcfFile> OpenFile(FileSystem& files, absl::string_view directory,
                                 absl::string_view suffix) {
  NcfFile file;
  NEUMF_ASSIGN_OR_RETURN(file.path, FindFile(files, directory, suffix));
  NEUMF_ASSIGN_OR_RETURN(file.content,
                         ReadWholeFile(files, file.path, kMaxDataFileBytes));
  return file;
}

std::string NotANumber(absl::string_view id) {
  return absl::StrCat("id ", QuotedForMessage(id), " is not a number");
}

// What is wrong with the line of an event, or nothing; then `*event` has it.
std::string ParseEvent(absl::string_view line, EventText* event) {
  std::vector<absl::string_view> fields;
  SplitLine(line, '\t', &fields);
  if (fields.size() != kNumColumns) {
    return absl::StrCat(fields.size(), " columns between tabs instead of four");
  }
  for (absl::string_view id : {fields[0], fields[1]}) {
    if (!IsNumber(id)) return NotANumber(id);
  }
  event->user = fields[0];
  event->item = fields[1];
  event->rating = fields[2];
  event->time = fields[3];
  return "";
}

// What is wrong with the line of negatives for `event`, or nothing; then
// `*negatives` has them.
std::string ParseNegatives(absl::string_view line, const EventText& event,
                           std::vector<absl::string_view>* negatives) {
  SplitLine(line, '\t', negatives);
  const std::string wanted =
      absl::StrCat("(", event.user, ",", event.item, ")");
  if (negatives->front() != wanted) {
    return absl::StrCat("begins with ", QuotedForMessage(negatives->front()),
                        " where the test file has ", wanted);
  }
  negatives->erase(negatives->begin());
  if (negatives->empty()) return "no items behind the first column";
  for (absl::string_view id : *negatives) {
    if (!IsNumber(id)) return NotANumber(id);
    const absl::string_view problem = IdProblem(id);
    if (!problem.empty()) return absl::StrCat("item id ", problem);
  }
  return "";
}

void AddTrain(const NcfFile& file, EventLogBuilder* builder) {
  builder->BeginFile(file.path, EventLogBuilder::Part::kTrain);
  LineScanner scanner(file.content);
  while (scanner.Next()) {
    EventText event;
    const std::string problem = ParseEvent(scanner.line(), &event);
    if (problem.empty()) {
      builder->Add(scanner.line_number(), event);
    } else {
      builder->AddBadLine(scanner.line_number(), problem);
    }
  }
}

// The k-th lines of the two files belong together.
class TestPart {
 public:
  TestPart(const NcfFile& test, const NcfFile& negative,
           EventLogBuilder* builder)
      : test_(test), negative_(negative), builder_(builder) {}

  void Add() {
    const std::vector<Line> tests = LinesOf(test_.content);
    const std::vector<Line> negatives = LinesOf(negative_.content);
    const size_t num_pairs = std::min(tests.size(), negatives.size());
    for (size_t k = 0; k < num_pairs; ++k) AddPair(tests[k], negatives[k]);
    for (size_t k = num_pairs; k < tests.size(); ++k) {
      AddBadLine(test_, tests[k], "no line of negatives for it");
    }
    for (size_t k = num_pairs; k < negatives.size(); ++k) {
      AddBadLine(negative_, negatives[k], "no line of the test file for it");
    }
  }

 private:
  void AddPair(const Line& test, const Line& negative) {
    EventText event;
    std::string problem = ParseEvent(test.text, &event);
    if (!problem.empty()) return AddBadLine(test_, test, problem);
    problem = ParseNegatives(negative.text, event, &items_);
    if (!problem.empty()) return AddBadLine(negative_, negative, problem);
    Begin(test_);
    builder_->Add(test.number, event, items_);
  }

  void AddBadLine(const NcfFile& file, const Line& line,
                  absl::string_view problem) {
    Begin(file);
    builder_->AddBadLine(line.number, problem);
  }

  void Begin(const NcfFile& file) {
    builder_->BeginFile(file.path, EventLogBuilder::Part::kGivenTest);
  }

  const NcfFile& test_;
  const NcfFile& negative_;
  EventLogBuilder* const builder_;
  std::vector<absl::string_view> items_;
};

}  // namespace

absl::StatusOr<EventLog> ReadNcf(FileSystem& files, absl::string_view directory,
                                 const ReadOptions& options,
                                 ReadReport* report) {
  NEUMF_ASSIGN_OR_RETURN(const NcfFile train,
                         OpenFile(files, directory, ".train.rating"));
  NEUMF_ASSIGN_OR_RETURN(const NcfFile test,
                         OpenFile(files, directory, ".test.rating"));
  NEUMF_ASSIGN_OR_RETURN(const NcfFile negative,
                         OpenFile(files, directory, ".test.negative"));
  EventLogBuilder builder(directory);
  AddTrain(train, &builder);
  builder.BeginFile(test.path, EventLogBuilder::Part::kGivenTest);
  TestPart(test, negative, &builder).Add();
  NEUMF_ASSIGN_OR_RETURN(EventLog log,
                         std::move(builder).Finish(options, report));
  log.has_times = true;
  return log;
}

}  // namespace neumf
