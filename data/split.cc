#include "data/split.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "data/user_draws.h"

namespace neumf {
namespace {

constexpr double kValidationShare = 0.1;
constexpr size_t kNumDrawnNegatives = 99;

// What draws are for.
enum Purpose : uint64_t {
  kTestShare = 1,
  kValidationPart = 2,
  kNegatives = 3,
};

bool EarlierThan(const Event& a, const Event& b) { return a.time < b.time; }

// By user row, then by time; events that are equal in both keep their order.
std::vector<Event> SortedByUserAndTime(uint64_t num_users,
                                       absl::Span<const Event> events) {
  std::vector<uint64_t> next(num_users + 1);
  for (const Event& event : events) ++next[event.user + 1];
  for (uint64_t u = 0; u < num_users; ++u) next[u + 1] += next[u];

  std::vector<Event> sorted(events.size());
  for (const Event& event : events) sorted[next[event.user]++] = event;

  // Placing the events has moved each user's start to the next user's.
  auto begin = sorted.begin();
  for (uint64_t u = 0; u < num_users; ++u) {
    const auto end = sorted.begin() + static_cast<ptrdiff_t>(next[u]);
    std::stable_sort(begin, end, EarlierThan);
    begin = end;
  }
  return sorted;
}

// Walks events by user row, one user after the other.
class RowCutter {
 public:
  explicit RowCutter(absl::Span<const Event> events) : rest_(events) {}

  // The events of `user`, maybe none. REQUIRES: calls with ascending users.
  absl::Span<const Event> TakeRow(uint32_t user) {
    size_t size = 0;
    while (size < rest_.size() && rest_[size].user == user) ++size;
    const absl::Span<const Event> row = rest_.first(size);
    rest_.remove_prefix(size);
    return row;
  }

 private:
  absl::Span<const Event> rest_;
};

// The part of a user's events that is still to be divided, in time order. What
// is taken out keeps that order; the last event is never taken.
class UserRow {
 public:
  explicit UserRow(absl::Span<const Event> events)
      : events_(events.begin(), events.end()) {}

  const std::vector<Event>& events() const { return events_; }

  // One of the events with the largest time.
  std::vector<Event> TakeLast(bool first_of_tie) {
    if (events_.size() < 2) return {};
    const auto last = first_of_tie
                          ? std::lower_bound(events_.begin(), events_.end(),
                                             events_.back(), EarlierThan)
                          : events_.end() - 1;
    const Event event = *last;
    events_.erase(last);
    return {event};
  }

  std::vector<Event> TakeShare(double share, UserDraws draws) {
    if (events_.size() < 2) return {};
    const auto wanted = static_cast<size_t>(
        std::lround(share * static_cast<double>(events_.size())));
    const size_t count = std::min(wanted, events_.size() - 1);
    std::vector<uint32_t> order(events_.size());
    std::iota(order.begin(), order.end(), 0U);
    draws.MoveSampleToFront(count, &order);
    std::vector<bool> is_taken(events_.size());
    for (size_t k = 0; k < count; ++k) is_taken[order[k]] = true;

    std::vector<Event> taken;
    std::vector<Event> left;
    for (size_t k = 0; k < events_.size(); ++k) {
      (is_taken[k] ? taken : left).push_back(events_[k]);
    }
    events_ = std::move(left);
    return taken;
  }

 private:
  std::vector<Event> events_;
};

// Divides a log user by user.
class Splitter {
 public:
  Splitter(const EventLog& log, const SplitOptions& options)
      : log_(log), options_(options) {}

  Split Run() {
    std::vector<Event> positives;
    std::vector<Event> low_rated;
    const auto add = [&](absl::Span<const Event> events) {
      for (const Event& event : events) {
        (IsPositive(event) ? positives : low_rated).push_back(event);
      }
    };
    add(log_.events);
    if (options_.kind != SplitKind::kGiven) add(log_.given_test);
    positives = SortedByUserAndTime(log_.num_users(), positives);
    low_rated = SortedByUserAndTime(log_.num_users(), low_rated);

    RowCutter positive_rows(positives);
    RowCutter low_rows(low_rated);
    for (uint32_t user = 0; user < log_.num_users(); ++user) {
      SplitUser(user, positive_rows.TakeRow(user), low_rows.TakeRow(user));
    }
    if (options_.kind == SplitKind::kGiven) FinishGiven();
    return std::move(split_);
  }

 private:
  bool IsPositive(const Event& event) const {
    return !options_.min_rating.has_value() ||
           event.rating >= *options_.min_rating;
  }
  bool ByTime() const {
    return options_.kind == SplitKind::kD2l ||
           options_.kind == SplitKind::kLatest;
  }
  UserDraws Draws(uint32_t user, Purpose purpose) const {
    return UserDraws(options_.seed, purpose, log_.user_ids[user]);
  }

  void SplitUser(uint32_t user, absl::Span<const Event> positives,
                 absl::Span<const Event> low_rated) {
    UserRow row(positives);
    std::vector<Event> held_out = TakeTest(user, &row);
    int64_t end_of_time = EarliestTime(held_out);
    if (options_.held_out == HeldOut::kValidation) {
      held_out = TakeValidation(user, &row);
      end_of_time = std::min(end_of_time, EarliestTime(held_out));
    }
    Append(held_out, &split_.held_out);
    Append(row.events(), &split_.train);
    for (const Event& event : low_rated) {
      if (!ByTime() || event.time <= end_of_time) {
        split_.low_rated.push_back(event);
      }
    }
  }

  std::vector<Event> TakeTest(uint32_t user, UserRow* row) const {
    switch (options_.kind) {
      case SplitKind::kNone:
      case SplitKind::kGiven:
        return {};
      case SplitKind::kD2l:
        return row->TakeLast(/*first_of_tie=*/true);
      case SplitKind::kLatest:
        return row->TakeLast(/*first_of_tie=*/false);
      case SplitKind::kRatio:
        return row->TakeShare(options_.ratio, Draws(user, kTestShare));
    }
    return {};
  }

  std::vector<Event> TakeValidation(uint32_t user, UserRow* row) const {
    if (options_.kind == SplitKind::kNone) return {};
    if (ByTime()) return TakeTest(user, row);
    if (options_.kind == SplitKind::kGiven && !log_.given_negatives.empty()) {
      return row->TakeLast(/*first_of_tie=*/false);
    }
    return row->TakeShare(kValidationShare, Draws(user, kValidationPart));
  }

  // What kGiven holds out is not taken from anything.
  void FinishGiven() {
    if (options_.held_out == HeldOut::kTest) return HoldOutGivenTest();
    if (!log_.given_negatives.empty()) DrawNegatives();
  }

  void HoldOutGivenTest() {
    std::vector<size_t> places(log_.given_test.size());
    std::iota(places.begin(), places.end(), size_t{0});
    absl::c_stable_sort(places, [&](size_t a, size_t b) {
      return log_.given_test[a].user < log_.given_test[b].user;
    });
    for (size_t place : places) {
      if (!IsPositive(log_.given_test[place])) continue;
      split_.held_out.push_back(log_.given_test[place]);
      if (!log_.given_negatives.empty()) {
        split_.negatives.push_back(log_.given_negatives[place]);
      }
    }
  }

  // For each held-out event, from the items that its user has no event with,
  // whatever its rating.
  void DrawNegatives() {
    const std::vector<Event> events =
        SortedByUserAndTime(log_.num_users(), log_.events);
    RowCutter rows(events);
    auto event = split_.held_out.begin();
    std::vector<bool> is_met(log_.num_items());
    for (uint32_t user = 0; user < log_.num_users(); ++user) {
      const absl::Span<const Event> row = rows.TakeRow(user);
      if (event == split_.held_out.end() || event->user != user) continue;
      for (const Event& met : row) is_met[met.item] = true;
      split_.negatives.push_back(DrawUnmet(user, is_met));
      for (const Event& met : row) is_met[met.item] = false;
      ++event;
    }
  }

  std::vector<uint32_t> DrawUnmet(uint32_t user,
                                  const std::vector<bool>& is_met) const {
    std::vector<uint32_t> items;
    for (uint32_t item = 0; item < is_met.size(); ++item) {
      if (!is_met[item]) items.push_back(item);
    }
    const size_t count = std::min(kNumDrawnNegatives, items.size());
    Draws(user, kNegatives).MoveSampleToFront(count, &items);
    items.resize(count);
    return items;
  }

  static int64_t EarliestTime(absl::Span<const Event> events) {
    int64_t time = std::numeric_limits<int64_t>::max();
    for (const Event& event : events) time = std::min(time, event.time);
    return time;
  }

  static void Append(absl::Span<const Event> events, std::vector<Event>* to) {
    to->insert(to->end(), events.begin(), events.end());
  }

  const EventLog& log_;
  const SplitOptions& options_;
  Split split_;
};

// Takes numbers as their bytes, little-endian whatever the machine.
class RowHasher {
 public:
  void Add(uint64_t number) {
    char bytes[8];
    for (int k = 0; k < 8; ++k) {
      bytes[k] = static_cast<char>(number >> (8 * k));
    }
    sha_.Update(bytes, sizeof(bytes));
  }
  void Add(absl::Span<const Event> events) {
    Add(events.size());
    for (const Event& event : events) {
      Add(uint64_t{event.user} << 32 | event.item);
    }
  }
  uint64_t Finish() {
    const Sha256Digest digest = sha_.Finish();
    uint64_t hash = 0;
    for (int k = 0; k < 8; ++k) hash |= uint64_t{digest[k]} << (8 * k);
    return hash;
  }

 private:
  Sha256 sha_;
};

uint64_t HashOf(const Split& split) {
  RowHasher hasher;
  hasher.Add(split.train);
  hasher.Add(split.held_out);
  hasher.Add(split.low_rated);
  hasher.Add(split.negatives.size());
  for (const std::vector<uint32_t>& items : split.negatives) {
    hasher.Add(items.size());
    for (uint32_t item : items) hasher.Add(item);
  }
  return hasher.Finish();
}

absl::Status CheckOptions(const EventLog& log, const SplitOptions& options) {
  const bool by_time =
      options.kind == SplitKind::kD2l || options.kind == SplitKind::kLatest;
  if (by_time && !log.has_times) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the split ", options.kind == SplitKind::kD2l ? "d2l" : "latest",
        " holds out each user's last event, but the data does not say when "
        "events were: name the column of times, or take another split"));
  }
  if (options.kind == SplitKind::kGiven && !log.has_given_test) {
    return absl::InvalidArgumentError(
        "the split given holds out what the data set itself does, but this "
        "data has no test part: take another split");
  }
  if (options.kind == SplitKind::kRatio &&
      !(options.ratio > 0 && options.ratio < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the held-out ratio of the split ratio must lie between 0 "
                     "and 1, not ",
                     options.ratio));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SplitKind> ParseSplitKind(absl::string_view text) {
  if (text == "none") return SplitKind::kNone;
  if (text == "d2l") return SplitKind::kD2l;
  if (text == "latest") return SplitKind::kLatest;
  if (text == "ratio") return SplitKind::kRatio;
  if (text == "given") return SplitKind::kGiven;
  return absl::InvalidArgumentError(
      absl::StrCat("unknown split \"", text,
                   "\": choose none, d2l, latest, ratio or given"));
}

absl::StatusOr<Split> MakeSplit(const EventLog& log,
                                const SplitOptions& options) {
  NEUMF_RETURN_IF_ERROR(CheckOptions(log, options));
  Split split = Splitter(log, options).Run();
  if (split.train.empty() && options.min_rating.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no event to train on has a rating of ",
                     *options.min_rating, " or more"));
  }
  split.hash = HashOf(split);
  return split;
}

absl::StatusOr<Split> MakeSplit(const EventLog& log, SplitKind kind,
                                HeldOut held_out) {
  SplitOptions options;
  options.kind = kind;
  options.held_out = held_out;
  return MakeSplit(log, options);
}

}  // namespace neumf
