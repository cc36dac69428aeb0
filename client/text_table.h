#pragma once

// Columns for a terminal.

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace neumf {

// `text` with control characters replaced, so that ids and titles, which come
// from files and the network, cannot drive a terminal. For UTF-8.
std::string Printable(absl::string_view text);

// Rows under a header, each column as wide as its widest cell.
class TextTable {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string header;
    Align align = Align::kLeft;
  };

  explicit TextTable(std::vector<Column> columns);

  // The cells are made Printable(). REQUIRES: one cell a column.
  void AddRow(std::vector<std::string> cells);

  // Lines without trailing spaces, each with its line end.
  std::string ToString() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // the header is the first
};

}  // namespace neumf
