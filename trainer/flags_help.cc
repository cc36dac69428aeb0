#include "trainer/flags_help.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "trainer/settings.h"

namespace neumf {
namespace {

constexpr size_t kColumns = 80;
constexpr size_t kHelpColumn = 22;

// The first group whose word the help begins with has the flag; the last one
// has all others.
struct Group {
  absl::string_view word;
  absl::string_view title;
};
constexpr Group kGroups[] = {
    {"setting", "Settings of train, in place of the recipe's"},
    {"train", "Of train"},
    {"import", "Of import"},
    {"evaluate", "Of evaluate"},
    {"compare", "Of compare"},
    {"", "Of all commands with data"},
};
// Their order on the page: those that everybody needs come first.
constexpr size_t kOrder[] = {5, 1, 0, 2, 3, 4};

size_t GroupOf(absl::string_view help) {
  size_t group = 0;
  while (!absl::StartsWith(help, kGroups[group].word)) ++group;
  return group;
}

// The text in lines that fit behind the name, each but the first indented.
std::string Wrapped(absl::string_view text) {
  std::string wrapped;
  size_t column = kHelpColumn;
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    if (column > kHelpColumn && column + 1 + word.size() > kColumns) {
      absl::StrAppend(&wrapped, "\n", std::string(kHelpColumn, ' '));
      column = kHelpColumn;
    } else if (column > kHelpColumn) {
      wrapped += ' ';
      ++column;
    }
    absl::StrAppend(&wrapped, word);
    column += word.size();
  }
  return wrapped;
}

std::string FlagHelp(absl::string_view name,
                     const absl::CommandLineFlag& flag) {
  const Group& group = kGroups[GroupOf(flag.Help())];
  std::string help(
      absl::StripPrefix(flag.Help(), absl::StrCat(group.word, ": ")));
  const bool is_setting = group.word == "setting";
  const std::string value =
      is_setting ? SettingText(name, TrainSettings()) : flag.DefaultValue();
  if (!value.empty()) absl::StrAppend(&help, " [", value, "]");
  std::string start = absl::StrCat("  --", name, " ");
  if (start.size() < kHelpColumn) start.resize(kHelpColumn, ' ');
  return absl::StrCat(start, Wrapped(help), "\n");
}

// Settings as their table has them, the others by name.
size_t PlaceOf(absl::string_view name) {
  static const auto* const names = new std::vector<std::string>(SettingNames());
  return static_cast<size_t>(std::find(names->begin(), names->end(), name) -
                             names->begin());
}

bool IsIn(absl::string_view folder, absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash != absl::string_view::npos &&
         absl::EndsWith(path.substr(0, slash), folder);
}

}  // namespace

std::string FlagsHelp(absl::string_view folder) {
  std::map<std::pair<size_t, absl::string_view>, absl::CommandLineFlag*>
      groups[std::size(kGroups)];
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!IsIn(folder, flag->Filename())) continue;
    groups[GroupOf(flag->Help())].emplace(std::pair(PlaceOf(name), name), flag);
  }
  std::string text;
  for (size_t group : kOrder) {
    absl::StrAppend(&text, "\n", kGroups[group].title, ":\n");
    for (const auto& [place, flag] : groups[group]) {
      absl::StrAppend(&text, FlagHelp(place.second, *flag));
    }
  }
  return text;
}

}  // namespace neumf
