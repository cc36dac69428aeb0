#pragma once

// Walks the records of a CSV or TSV text (RFC 4180), the header among them.
//
//   CsvScanner scanner(text);
//   while (scanner.Next()) {
//     if (!scanner.problem().empty()) continue;
//     Use(scanner.line_number(), scanner.fields());
//   }
//
// The separator is a tab when the first line has one, else a comma. A field
// that begins with a quote goes on to the closing quote, over separators and
// line ends; "" in it is one quote. A quote elsewhere is a character like
// others. Empty lines are skipped. Belongs to one thread.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace neumf {

class CsvScanner {
 public:
  // `text` must outlive the scanner.
  explicit CsvScanner(absl::string_view text);

  // Moves to the next record. False at the end of the text.
  bool Next();

  // Of the record that Next() moved to: the line on which it begins, from 1.
  uint64_t line_number() const { return line_number_; }

  // Its fields, unquoted, valid until the next Next(). None of a malformed one.
  absl::Span<const absl::string_view> fields() const { return fields_; }

  // Why the record is malformed; empty when it is not. The scan goes on with
  // the line after the first one of the record, so that a quote which nobody
  // closed does not swallow the rest of the text.
  absl::string_view problem() const { return problem_; }

 private:
  // Fills fields_ from `text`, which begins with the record, and leaves in
  // `*text` what follows the record. False and problem_ when it is malformed.
  bool ScanQuotedRecord(absl::string_view* text);
  bool TakeQuotedField(absl::string_view* text);
  void TakePlainField(absl::string_view* text);

  absl::string_view rest_;
  char separator_;
  uint64_t num_lines_taken_ = 0;
  uint64_t line_number_ = 0;
  std::vector<absl::string_view> fields_;
  std::deque<std::string> unescaped_;  // the fields that had "" in them
  absl::string_view problem_;
};

}  // namespace neumf
