#include "data/split.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

bool EarlierThan(const Event& a, const Event& b) { return a.time < b.time; }

// By user row, then by time; events that are equal in both keep the file's
// order.
std::vector<Event> SortedByUserAndTime(const EventLog& log) {
  std::vector<uint64_t> next(log.num_users() + 1);
  for (const Event& event : log.events) ++next[event.user + 1];
  for (uint64_t u = 0; u < log.num_users(); ++u) next[u + 1] += next[u];

  std::vector<Event> sorted(log.events.size());
  for (const Event& event : log.events) sorted[next[event.user]++] = event;

  // Placing the events has moved each user's start to the next user's.
  auto begin = sorted.begin();
  for (uint64_t u = 0; u < log.num_users(); ++u) {
    const auto end = sorted.begin() + static_cast<ptrdiff_t>(next[u]);
    std::stable_sort(begin, end, EarlierThan);
    begin = end;
  }
  return sorted;
}

// Takes the first event with the largest time out of `*row`, which is sorted by
// time and has at least two events.
Event TakeLastEvent(std::vector<Event>* row) {
  const auto last =
      std::lower_bound(row->begin(), row->end(), row->back(), EarlierThan);
  const Event event = *last;
  row->erase(last);
  return event;
}

void SplitRow(std::vector<Event> row, HeldOut held_out, Split* split) {
  if (held_out == HeldOut::kValidation && row.size() > 1) TakeLastEvent(&row);
  if (row.size() > 1) split->held_out.push_back(TakeLastEvent(&row));
  split->train.insert(split->train.end(), row.begin(), row.end());
}

}  // namespace

absl::StatusOr<SplitKind> ParseSplitKind(absl::string_view text) {
  if (text == "none") return SplitKind::kNone;
  if (text == "d2l") return SplitKind::kD2l;
  return absl::InvalidArgumentError(
      absl::StrCat("unknown split \"", text, "\": choose none or d2l"));
}

absl::StatusOr<Split> MakeSplit(const EventLog& log, SplitKind kind,
                                HeldOut held_out) {
  if (kind == SplitKind::kD2l && !log.has_times) {
    return absl::InvalidArgumentError(
        "the split d2l holds out each user's last event, but the data does not "
        "say when events were: name the column of times, or take the split "
        "none");
  }
  std::vector<Event> sorted = SortedByUserAndTime(log);
  Split split;
  if (kind == SplitKind::kNone) {
    split.train = std::move(sorted);
    return split;
  }
  split.train.reserve(sorted.size());
  for (auto begin = sorted.begin(); begin != sorted.end();) {
    const auto end = std::find_if(begin, sorted.end(), [&](const Event& event) {
      return event.user != begin->user;
    });
    SplitRow(std::vector<Event>(begin, end), held_out, &split);
    begin = end;
  }
  return split;
}

}  // namespace neumf
