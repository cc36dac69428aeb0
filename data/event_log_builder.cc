#include "data/event_log_builder.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/charconv.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace neumf {
namespace {

constexpr size_t kMaxIdBytes = 256;
constexpr size_t kMaxReportedBadLines = 5;
constexpr size_t kMaxQuotedBytes = 40;

bool ParseRating(absl::string_view text, float* rating) {
  const char* const end = text.data() + text.size();
  const absl::from_chars_result result =
      absl::from_chars(text.data(), end, *rating);
  return result.ec == std::errc() && result.ptr == end &&
         std::isfinite(*rating);
}

bool ParseTime(absl::string_view text, int64_t* time) {
  const char* const end = text.data() + text.size();
  const std::from_chars_result result =
      std::from_chars(text.data(), end, *time);
  return result.ec == std::errc() && result.ptr == end;
}

// Orders numbers of any length by value. REQUIRES: IsNumber() of both.
bool NumberLess(const std::string& a, const std::string& b) {
  const auto key = [](absl::string_view id) {
    absl::string_view digits = id;
    digits.remove_prefix(std::min(digits.find_first_not_of('0'), id.size()));
    return std::make_tuple(digits.size(), digits, id);
  };
  return key(a) < key(b);
}

// The numbers of `ids` in the order of item rows.
std::vector<uint32_t> ItemOrder(const std::deque<std::string>& ids) {
  std::vector<uint32_t> order(ids.size());
  std::iota(order.begin(), order.end(), 0U);
  if (absl::c_all_of(ids, IsNumber)) {
    absl::c_sort(order, [&](uint32_t a, uint32_t b) {
      return NumberLess(ids[a], ids[b]);
    });
  } else {
    absl::c_sort(order,
                 [&](uint32_t a, uint32_t b) { return ids[a] < ids[b]; });
  }
  return order;
}

// The numbers of `ids` in the order of user rows.
std::vector<uint32_t> UserOrder(const std::deque<std::string>& ids) {
  std::vector<uint64_t> hashes;
  hashes.reserve(ids.size());
  for (const std::string& id : ids) hashes.push_back(IdHash(id));
  std::vector<uint32_t> order(ids.size());
  std::iota(order.begin(), order.end(), 0U);
  absl::c_sort(order, [&](uint32_t a, uint32_t b) {
    return std::tie(hashes[a], ids[a]) < std::tie(hashes[b], ids[b]);
  });
  return order;
}

// Moves the ids into rows, and says in [number] which row each one took.
std::vector<uint32_t> TakeRows(const std::vector<uint32_t>& order,
                               std::deque<std::string>* ids,
                               std::vector<std::string>* rows) {
  std::vector<uint32_t> row_of(order.size());
  rows->reserve(order.size());
  for (uint32_t number : order) {
    row_of[number] = static_cast<uint32_t>(rows->size());
    rows->push_back(std::move((*ids)[number]));
  }
  return row_of;
}

}  // namespace

bool IsNumber(absl::string_view id) {
  return !id.empty() && absl::c_all_of(id, [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

std::string QuotedForMessage(absl::string_view text) {
  const absl::string_view more = text.size() > kMaxQuotedBytes ? "..." : "";
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxQuotedBytes)),
                      more, "\"");
}

absl::string_view EventLogBuilder::IdTable::Problem(
    absl::string_view id) const {
  if (numbers.contains(id)) return "";
  if (id.empty()) return "empty";
  if (id.size() > kMaxIdBytes) return "longer than 256 bytes";
  if (absl::StrContains(id, '\0')) return "with a NUL byte";
  if (!IsValidUtf8(id)) return "not UTF-8";
  return "";
}

uint32_t EventLogBuilder::IdTable::NumberOf(absl::string_view id) {
  const auto found = numbers.find(id);
  if (found != numbers.end()) return found->second;
  const uint32_t number = static_cast<uint32_t>(ids.size());
  ids.emplace_back(id);
  numbers.emplace(ids.back(), number);
  return number;
}

EventLogBuilder::EventLogBuilder(absl::string_view path) : path_(path) {}

void EventLogBuilder::Add(uint64_t line_number, const EventText& text) {
  const absl::string_view user_problem = users_.Problem(text.user);
  if (!user_problem.empty()) {
    return AddBadLine(line_number, absl::StrCat("user id ", user_problem));
  }
  const absl::string_view item_problem = items_.Problem(text.item);
  if (!item_problem.empty()) {
    return AddBadLine(line_number, absl::StrCat("item id ", item_problem));
  }
  Event event;
  if (!ParseRating(text.rating, &event.rating)) {
    return AddBadLine(line_number,
                      absl::StrCat("rating ", QuotedForMessage(text.rating),
                                   " is not a finite number"));
  }
  if (!ParseTime(text.time, &event.time)) {
    return AddBadLine(line_number,
                      absl::StrCat("time ", QuotedForMessage(text.time),
                                   " is not an integer of 64 bits"));
  }
  ++report_.num_lines;
  event.user = users_.NumberOf(text.user);
  event.item = items_.NumberOf(text.item);
  const uint64_t pair = uint64_t{event.user} << 32 | event.item;
  if (pairs_.insert(pair).second) {
    events_.push_back(event);
  } else {
    ++report_.num_duplicates;
  }
}

void EventLogBuilder::AddBadLine(uint64_t line_number,
                                 absl::string_view reason) {
  ++report_.num_lines;
  ++report_.num_bad_lines;
  if (report_.bad_lines.size() < kMaxReportedBadLines) {
    report_.bad_lines.push_back(
        absl::StrCat(path_, ":", line_number, ": ", reason));
  }
}

absl::Status EventLogBuilder::CheckResult(const ReadOptions& options) const {
  if (report_.num_bad_lines > options.max_bad_lines) {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ": ", report_.num_bad_lines, " bad lines, ",
        options.max_bad_lines,
        " allowed; the first: ", absl::StrJoin(report_.bad_lines, "; ")));
  }
  if (events_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": no event in the file"));
  }
  return absl::OkStatus();
}

absl::StatusOr<EventLog> EventLogBuilder::Finish(const ReadOptions& options,
                                                 ReadReport* report) && {
  const absl::Status status = CheckResult(options);
  *report = std::move(report_);
  NEUMF_RETURN_IF_ERROR(status);

  EventLog log;
  const std::vector<uint32_t> user_rows =
      TakeRows(UserOrder(users_.ids), &users_.ids, &log.user_ids);
  const std::vector<uint32_t> item_rows =
      TakeRows(ItemOrder(items_.ids), &items_.ids, &log.item_ids);
  log.events = std::move(events_);
  for (Event& event : log.events) {
    event.user = user_rows[event.user];
    event.item = item_rows[event.item];
  }
  return log;
}

}  // namespace neumf
