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
#include "base/logging.h"
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

absl::string_view IdProblem(absl::string_view id) {
  if (id.empty()) return "empty";
  if (id.size() > kMaxIdBytes) return "longer than 256 bytes";
  if (absl::StrContains(id, '\0')) return "with a NUL byte";
  if (!IsValidUtf8(id)) return "not UTF-8";
  return "";
}

absl::string_view EventLogBuilder::IdTable::Problem(
    absl::string_view id) const {
  return numbers.contains(id) ? "" : IdProblem(id);
}

uint32_t EventLogBuilder::IdTable::NumberOf(absl::string_view id) {
  const auto found = numbers.find(id);
  if (found != numbers.end()) return found->second;
  const auto number = static_cast<uint32_t>(ids.size());
  ids.emplace_back(id);
  numbers.emplace(ids.back(), number);
  return number;
}

EventLogBuilder::EventLogBuilder(absl::string_view path)
    : path_(path), file_(path) {}

void EventLogBuilder::BeginFile(absl::string_view path, Part part) {
  file_ = std::string(path);
  part_ = part;
  if (part == Part::kGivenTest) log_.has_given_test = true;
}

void EventLogBuilder::Add(uint64_t line_number, const EventText& text,
                          absl::Span<const absl::string_view> negatives) {
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
  if (!AddEvent(event) || negatives.empty()) return;
  std::vector<uint32_t>& items = log_.given_negatives.emplace_back();
  for (absl::string_view id : negatives) items.push_back(items_.NumberOf(id));
  NEUMF_CHECK(log_.given_negatives.size() == log_.given_test.size());
}

void EventLogBuilder::AddRow(uint64_t line_number, absl::string_view user,
                             absl::Span<const absl::string_view> items) {
  const absl::string_view user_problem = users_.Problem(user);
  if (!user_problem.empty()) {
    return AddBadLine(line_number, absl::StrCat("user id ", user_problem));
  }
  for (absl::string_view item : items) {
    const absl::string_view item_problem = items_.Problem(item);
    if (!item_problem.empty()) {
      return AddBadLine(line_number, absl::StrCat("item id ", item_problem));
    }
  }
  ++report_.num_lines;
  Event event;
  event.user = users_.NumberOf(user);
  for (absl::string_view item : items) {
    event.item = items_.NumberOf(item);
    AddEvent(event);
  }
}

bool EventLogBuilder::AddEvent(const Event& event) {
  const uint64_t pair = uint64_t{event.user} << 32 | event.item;
  if (!pairs_.insert(pair).second) {
    ++report_.num_duplicates;
    return false;
  }
  (part_ == Part::kTrain ? log_.events : log_.given_test).push_back(event);
  return true;
}

void EventLogBuilder::AddBadLine(uint64_t line_number,
                                 absl::string_view reason) {
  ++report_.num_lines;
  ++report_.num_bad_lines;
  if (report_.bad_lines.size() < kMaxReportedBadLines) {
    report_.bad_lines.push_back(
        absl::StrCat(file_, ":", line_number, ": ", reason));
  }
}

absl::Status EventLogBuilder::CheckResult(const ReadOptions& options) const {
  if (report_.num_bad_lines > options.max_bad_lines) {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ": ", report_.num_bad_lines, " bad lines, ",
        options.max_bad_lines,
        " allowed; the first: ", absl::StrJoin(report_.bad_lines, "; ")));
  }
  if (log_.events.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": no event to train on"));
  }
  if (log_.has_given_test && log_.given_test.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": no event in the test part"));
  }
  return absl::OkStatus();
}

absl::StatusOr<EventLog> EventLogBuilder::Finish(const ReadOptions& options,
                                                 ReadReport* report) && {
  const absl::Status status = CheckResult(options);
  *report = std::move(report_);
  NEUMF_RETURN_IF_ERROR(status);

  const std::vector<uint32_t> user_rows =
      TakeRows(UserOrder(users_.ids), &users_.ids, &log_.user_ids);
  const std::vector<uint32_t> item_rows =
      TakeRows(ItemOrder(items_.ids), &items_.ids, &log_.item_ids);
  for (std::vector<Event>* events : {&log_.events, &log_.given_test}) {
    for (Event& event : *events) {
      event.user = user_rows[event.user];
      event.item = item_rows[event.item];
    }
  }
  for (std::vector<uint32_t>& negatives : log_.given_negatives) {
    for (uint32_t& item : negatives) item = item_rows[item];
  }
  return std::move(log_);
}

}  // namespace neumf
