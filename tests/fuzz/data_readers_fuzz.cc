// The first byte of the input names a format of data, the rest is its files
// with a byte 0x1E between them. Whatever they hold, they are refused as the
// caller's fault or give a log that keeps every promise of event_log.h, and
// splits of it that keep those of split.h.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/logging.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "data/event_log_builder.h"
#include "data/item_sequences.h"
#include "data/readers.h"
#include "data/split.h"
#include "tests/fuzz/memory_folder.h"

namespace neumf {
namespace {

constexpr uint64_t kMaxBadLines = 2;

using Reader = absl::StatusOr<EventLog> (*)(FileSystem&, absl::string_view,
                                            const ReadOptions&, ReadReport*);

absl::StatusOr<EventLog> ReadAnyCsv(FileSystem& files, absl::string_view path,
                                    const ReadOptions& options,
                                    ReadReport* report) {
  CsvColumns columns;
  columns.rating = "rating";
  columns.time = "time";
  return ReadCsv(files, path, columns, options, report);
}

struct Format {
  char letter;
  Reader read;
  std::vector<std::string> files;
};

const std::array<Format, 7> kFormats = {{
    {'m', ReadMovieLens100k, {"u.data"}},
    {'u', ReadMovieLens100kUa, {"ua.base", "ua.test"}},
    {'d', ReadMovieLens1M, {"ratings.dat"}},
    {'r', ReadMovieLensLatest, {"ratings.csv"}},
    {'c', ReadAnyCsv, {"a.csv", "b.csv"}},
    {'n', ReadNcf, {"x.train.rating", "x.test.rating", "x.test.negative"}},
    {'g', ReadLightGcn, {"train.txt", "test.txt"}},
}};

using Pairs = std::set<std::pair<uint32_t, uint32_t>>;

// Adds what is in no event before; a repeat is a broken promise.
void AddAll(const std::vector<Event>& events, Pairs* pairs) {
  for (const Event& event : events) {
    NEUMF_CHECK(pairs->emplace(event.user, event.item).second);
  }
}

bool ItemLess(const EventLog& log, size_t a, size_t b) {
  const absl::string_view x = log.item_ids[a];
  const absl::string_view y = log.item_ids[b];
  bool numbers = true;
  for (const std::string& id : log.item_ids) numbers = numbers && IsNumber(id);
  if (!numbers) return x < y;
  const auto value = [](absl::string_view id) {
    const size_t first = id.find_first_not_of('0');
    return first == absl::string_view::npos ? "" : id.substr(first);
  };
  if (value(x).size() != value(y).size()) {
    return value(x).size() < value(y).size();
  }
  return value(x) != value(y) ? value(x) < value(y) : x < y;
}

void CheckIds(const EventLog& log) {
  for (const auto* ids : {&log.user_ids, &log.item_ids}) {
    for (const std::string& id : *ids) {
      NEUMF_CHECK(!id.empty() && id.size() <= 256 && IsValidUtf8(id));
      NEUMF_CHECK(id.find('\0') == std::string::npos);
    }
  }
  for (size_t u = 1; u < log.num_users(); ++u) {
    NEUMF_CHECK(IdHash(log.user_ids[u - 1]) < IdHash(log.user_ids[u]));
  }
  for (size_t i = 1; i < log.num_items(); ++i) {
    NEUMF_CHECK(ItemLess(log, i - 1, i));
  }
}

void CheckLog(const EventLog& log, const ReadReport& report) {
  NEUMF_CHECK(report.num_bad_lines <= kMaxBadLines);
  CheckIds(log);
  NEUMF_CHECK(!log.events.empty());
  NEUMF_CHECK(log.has_given_test != log.given_test.empty());
  Pairs pairs;
  AddAll(log.events, &pairs);
  AddAll(log.given_test, &pairs);
  for (const auto* events : {&log.events, &log.given_test}) {
    for (const Event& event : *events) {
      NEUMF_CHECK(event.user < log.num_users());
      NEUMF_CHECK(event.item < log.num_items());
      NEUMF_CHECK(std::isfinite(event.rating));
    }
  }
  NEUMF_CHECK(log.given_negatives.empty() ||
              log.given_negatives.size() == log.given_test.size());
  for (const std::vector<uint32_t>& items : log.given_negatives) {
    NEUMF_CHECK(!items.empty());
    for (uint32_t item : items) NEUMF_CHECK(item < log.num_items());
  }
}

void CheckSplit(const EventLog& log, const SplitOptions& options) {
  const absl::StatusOr<Split> split = MakeSplit(log, options);
  if (!split.ok()) {
    NEUMF_CHECK(absl::IsInvalidArgument(split.status()));
    return;
  }
  Pairs pairs;
  AddAll(split->train, &pairs);
  AddAll(split->held_out, &pairs);
  AddAll(split->low_rated, &pairs);
  Pairs all;
  AddAll(log.events, &all);
  AddAll(log.given_test, &all);
  for (const auto& pair : pairs) NEUMF_CHECK(all.count(pair) == 1);
  const bool is_whole =
      options.held_out == HeldOut::kTest && !options.min_rating.has_value();
  NEUMF_CHECK(!is_whole || pairs == all);
  NEUMF_CHECK(split->negatives.empty() ||
              split->negatives.size() == split->held_out.size());
  NEUMF_CHECK(split->hash == MakeSplit(log, options)->hash);
  NEUMF_CHECK(ItemSequences(log.num_users(), split->train).num_events() ==
              split->train.size());
}

void CheckSplits(const EventLog& log) {
  SplitOptions options;
  for (SplitKind kind : {SplitKind::kNone, SplitKind::kD2l, SplitKind::kLatest,
                         SplitKind::kRatio, SplitKind::kGiven}) {
    options.kind = kind;
    for (HeldOut held_out : {HeldOut::kTest, HeldOut::kValidation}) {
      options.held_out = held_out;
      options.min_rating.reset();
      CheckSplit(log, options);
      options.min_rating = 4;
      CheckSplit(log, options);
    }
  }
}

void Run(const Format& format, absl::string_view content) {
  std::vector<std::string> texts = absl::StrSplit(content, '\x1E');
  texts.resize(format.files.size());
  MemoryFolder files;
  for (size_t k = 0; k < texts.size(); ++k) {
    files.Put(format.files[k], std::move(texts[k]));
  }
  ReadOptions options;
  options.max_bad_lines = kMaxBadLines;
  ReadReport report;
  const absl::StatusOr<EventLog> log =
      format.read(files, "folder", options, &report);
  if (!log.ok()) {
    NEUMF_CHECK(absl::IsInvalidArgument(log.status()));
    return;
  }
  CheckLog(*log, report);
  CheckSplits(*log);
}

}  // namespace
}  // namespace neumf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  for (const neumf::Format& format : neumf::kFormats) {
    if (!input.empty() && input[0] == format.letter) {
      neumf::Run(format, input.substr(1));
    }
  }
  return 0;
}
