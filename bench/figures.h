#pragma once

// Where measured figures go: one JSON object a line on stdout.

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json.hpp"

namespace neumf {

// Name, value, unit; `details` holds whatever else belongs to the figure
// (baseline, pairs/s, threads, ...).
struct Figure {
  std::string name;
  double value = 0;
  const char* unit = "";
  nlohmann::ordered_json details;
};

class FigureWriter {
 public:
  // Takes figures whose name holds `only`; an empty text is in every name.
  explicit FigureWriter(absl::string_view only) : only_(only) {}

  bool Wants(absl::string_view name) const;
  // Whether one of the figures `prefix`.`what` is wanted.
  bool WantsOneOf(absl::string_view prefix,
                  absl::Span<const char* const> what) const;

  // Prints `figure` when it is wanted.
  void Write(const Figure& figure) const;

 private:
  const std::string only_;
};

}  // namespace neumf
