#include "bench/figures.h"

#include <algorithm>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace neumf {

bool FigureWriter::Wants(absl::string_view name) const {
  return absl::StrContains(name, only_);
}

bool FigureWriter::WantsOneOf(
    absl::string_view prefix,
    std::initializer_list<absl::string_view> suffixes) const {
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [&](absl::string_view suffix) {
                       return Wants(absl::StrCat(prefix, suffix));
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
