#include "bench/figures.h"

#include <algorithm>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace neumf {

bool FigureWriter::Wants(absl::string_view name) const {
  return absl::StrContains(name, only_);
}

bool FigureWriter::WantsOneOf(absl::string_view prefix,
                              absl::Span<const char* const> what) const {
  return std::any_of(what.begin(), what.end(), [&](const char* figure) {
    return Wants(absl::StrCat(prefix, ".", figure));
  });
}

void FigureWriter::Write(const Figure& figure) const {
  if (!Wants(figure.name)) return;
  nlohmann::ordered_json line = {
      {"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}};
  line.update(figure.details);
  std::cout << line.dump() << std::endl;
}

}  // namespace neumf
