#include "data/csv_scanner.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "data/text_lines.h"

namespace neumf {
namespace {

constexpr char kQuote = '"';

char SeparatorOf(absl::string_view text) {
  return absl::StrContains(text.substr(0, text.find('\n')), '\t') ? '\t' : ',';
}

bool AtLineEnd(absl::string_view text) {
  return text.empty() || text == "\r" || text[0] == '\n' ||
         absl::StartsWith(text, "\r\n");
}

// The place of the quote that closes the field which `text` begins with, or
// npos.
size_t FindClosingQuote(absl::string_view text) {
  size_t at = text.find(kQuote, 1);
  while (at != absl::string_view::npos && at + 1 < text.size() &&
         text[at + 1] == kQuote) {
    at = text.find(kQuote, at + 2);
  }
  return at;
}

}  // namespace

CsvScanner::CsvScanner(absl::string_view text)
    : rest_(WithoutByteOrderMark(text)), separator_(SeparatorOf(rest_)) {}

bool CsvScanner::Next() {
  fields_.clear();
  unescaped_.clear();
  problem_ = absl::string_view();
  absl::string_view record;
  absl::string_view line;
  while (line.empty()) {
    if (rest_.empty()) return false;
    record = rest_;
    line = TakeLine(&rest_);
    line_number_ = ++num_lines_taken_;
  }
  if (!absl::StrContains(line, kQuote)) {
    SplitLine(line, separator_, &fields_);
    return true;
  }
  absl::string_view after = record;
  if (!ScanQuotedRecord(&after)) {
    fields_.clear();
    return true;
  }
  const absl::string_view scanned =
      record.substr(0, record.size() - after.size());
  num_lines_taken_ += std::count(scanned.begin(), scanned.end(), '\n');
  if (!after.empty()) TakeLine(&after);
  rest_ = after;
  return true;
}

bool CsvScanner::ScanQuotedRecord(absl::string_view* text) {
  for (;;) {
    if (absl::StartsWith(*text, absl::string_view(&kQuote, 1))) {
      if (!TakeQuotedField(text)) return false;
    } else {
      TakePlainField(text);
    }
    if (AtLineEnd(*text)) return true;
    if (text->front() != separator_) {
      problem_ = "text after a closing quote";
      return false;
    }
    text->remove_prefix(1);
  }
}

bool CsvScanner::TakeQuotedField(absl::string_view* text) {
  const size_t closing = FindClosingQuote(*text);
  if (closing == absl::string_view::npos) {
    problem_ = "a quote that is never closed";
    return false;
  }
  absl::string_view field = text->substr(1, closing - 1);
  if (absl::StrContains(field, kQuote)) {
    unescaped_.push_back(absl::StrReplaceAll(field, {{"\"\"", "\""}}));
    field = unescaped_.back();
  }
  fields_.push_back(field);
  text->remove_prefix(closing + 1);
  return true;
}

void CsvScanner::TakePlainField(absl::string_view* text) {
  size_t end = 0;
  while (!AtLineEnd(text->substr(end)) && (*text)[end] != separator_) ++end;
  fields_.push_back(text->substr(0, end));
  text->remove_prefix(end);
}

}  // namespace neumf
