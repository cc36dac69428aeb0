#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "data/event_log_builder.h"
#include "data/readers.h"
#include "data/text_lines.h"

namespace neumf {
namespace {

constexpr size_t kNumColumns = 4;

void AddLine(uint64_t line_number, absl::Span<const absl::string_view> fields,
             EventLogBuilder* builder) {
  if (fields.size() != kNumColumns) {
    return builder->AddBadLine(
        line_number,
        absl::StrCat(fields.size(), " columns between tabs instead of four"));
  }
  for (absl::string_view id : {fields[0], fields[1]}) {
    if (!IsNumber(id)) {
      return builder->AddBadLine(
          line_number,
          absl::StrCat("id ", QuotedForMessage(id), " is not a number"));
    }
  }
  EventText event;
  event.user = fields[0];
  event.item = fields[1];
  event.rating = fields[2];
  event.time = fields[3];
  builder->Add(line_number, event);
}

}  // namespace

absl::StatusOr<EventLog> ReadMovieLens100k(FileSystem& files,
                                           absl::string_view directory,
                                           const ReadOptions& options,
                                           ReadReport* report) {
  const std::string path = JoinPath(directory, "u.data");
  NEUMF_ASSIGN_OR_RETURN(const std::string content,
                         ReadWholeFile(files, path, kMaxDataFileBytes));
  EventLogBuilder builder(path);
  std::vector<absl::string_view> fields;
  absl::string_view rest = WithoutByteOrderMark(content);
  for (uint64_t line_number = 1; !rest.empty(); ++line_number) {
    const absl::string_view line = TakeLine(&rest);
    if (line.empty()) continue;
    SplitLine(line, '\t', &fields);
    AddLine(line_number, fields, &builder);
  }
  NEUMF_ASSIGN_OR_RETURN(EventLog log,
                         std::move(builder).Finish(options, report));
  log.has_times = true;
  return log;
}

}  // namespace neumf
