#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "data/event_log_builder.h"
#include "data/readers.h"
#include "data/text_lines.h"

namespace neumf {
namespace {

absl::Status AddFile(FileSystem& files, absl::string_view path,
                     EventLogBuilder* builder) {
  NEUMF_ASSIGN_OR_RETURN(const std::string content,
                         ReadWholeFile(files, path, kMaxDataFileBytes));
  std::vector<absl::string_view> ids;
  LineScanner scanner(content);
  while (scanner.Next()) {
    ids = absl::StrSplit(scanner.line(), ' ', absl::SkipEmpty());
    const auto wrong = absl::c_find_if_not(ids, IsNumber);
    if (wrong != ids.end()) {
      builder->AddBadLine(
          scanner.line_number(),
          absl::StrCat("id ", QuotedForMessage(*wrong), " is not a number"));
    } else if (!ids.empty()) {
      builder->AddRow(scanner.line_number(), ids[0],
                      absl::MakeConstSpan(ids).subspan(1));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EventLog> ReadLightGcn(FileSystem& files,
                                      absl::string_view directory,
                                      const ReadOptions& options,
                                      ReadReport* report) {
  EventLogBuilder builder(directory);
  const std::string train = JoinPath(directory, "train.txt");
  builder.BeginFile(train, EventLogBuilder::Part::kTrain);
  NEUMF_RETURN_IF_ERROR(AddFile(files, train, &builder));
  const std::string test = JoinPath(directory, "test.txt");
  builder.BeginFile(test, EventLogBuilder::Part::kGivenTest);
  NEUMF_RETURN_IF_ERROR(AddFile(files, test, &builder));
  return std::move(builder).Finish(options, report);
}

}  // namespace neumf
