#pragma once

// What readers share: turns the texts of an event's fields into an EventLog,
// counting bad lines and duplicates on the way. Belongs to one thread.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "data/event_log.h"
#include "data/readers.h"

namespace neumf {

// The fields of one event as the file has them. A file without ratings or times
// leaves the defaults.
struct EventText {
  absl::string_view user;
  absl::string_view item;
  absl::string_view rating = "1";
  absl::string_view time = "0";
};

// Larger data files are refused.
constexpr uint64_t kMaxDataFileBytes = uint64_t{1} << 34;

// One or more decimal digits and nothing else.
bool IsNumber(absl::string_view id);

// `text` in double quotes for an error message: control characters and bytes
// beyond ASCII escaped, cut when it is long.
std::string QuotedForMessage(absl::string_view text);

// Empty when `id` may be an external id, else what is wrong with it.
absl::string_view IdProblem(absl::string_view id);

class EventLogBuilder {
 public:
  // `path` names the data in errors, and the file of the lines that follow.
  explicit EventLogBuilder(absl::string_view path);

  // Where the data is more than one file: the lines that follow are those of
  // `path`, and their events are for training or the test part.
  enum class Part { kTrain, kGivenTest };
  void BeginFile(absl::string_view path, Part part);

  // Takes the event of a line, or counts a bad line when an id is empty, too
  // long, not UTF-8 or has a NUL in it, the rating is not a finite float or the
  // time not an integer. `negatives` are the items to rank a test event among.
  // REQUIRES: !IdProblem() of each; a file that lists some lists them with
  // each event.
  void Add(uint64_t line_number, const EventText& text,
           absl::Span<const absl::string_view> negatives = {});

  // Takes the events of a line that has a user with any number of items, even
  // none, or counts a bad line.
  void AddRow(uint64_t line_number, absl::string_view user,
              absl::Span<const absl::string_view> items);

  void AddBadLine(uint64_t line_number, absl::string_view reason);

  // Fills `*report`, also when it fails: see readers.h for the errors.
  absl::StatusOr<EventLog> Finish(const ReadOptions& options,
                                  ReadReport* report) &&;

 private:
  // External ids, numbered in the order of their first event.
  struct IdTable {
    // IdProblem(), sooner for an id of the table.
    absl::string_view Problem(absl::string_view id) const;
    uint32_t NumberOf(absl::string_view id);

    std::deque<std::string> ids;  // a deque, so that the views in it stay
    absl::flat_hash_map<absl::string_view, uint32_t> numbers;
  };

  // False when the user has had the item before.
  bool AddEvent(const Event& event);
  absl::Status CheckResult(const ReadOptions& options) const;

  const std::string path_;
  std::string file_;
  Part part_ = Part::kTrain;
  IdTable users_;
  IdTable items_;
  EventLog log_;  // with numbers of the id tables for rows
  absl::flat_hash_set<uint64_t> pairs_;  // user and item of every event
  ReadReport report_;
};

}  // namespace neumf
