#include "server/flag_table.h"

#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr absl::string_view kFlagFile = "flagfile";
constexpr uint64_t kMaxFlagFileBytes = 1 << 20;

}  // namespace

absl::StatusOr<FlagTable::Argument> FlagTable::SplitArgument(
    absl::string_view text) {
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "-")) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no flag: flags start with --"));
  }
  absl::ConsumePrefix(&rest, "-");
  const size_t equals = rest.find('=');
  if (equals == absl::string_view::npos) return Argument{rest, std::nullopt};
  return Argument{rest.substr(0, equals), rest.substr(equals + 1)};
}

void FlagTable::Group(absl::string_view title) {
  groups_.push_back({std::string(title), {}});
}

void FlagTable::AddFlag(absl::string_view name, absl::string_view help,
                        std::string default_text, bool is_bool,
                        std::function<std::string(absl::string_view)> set) {
  groups_.back().flags.push_back({std::string(name), std::string(help),
                                  std::move(default_text), is_bool,
                                  std::move(set)});
}

const FlagTable::Flag* FlagTable::Find(absl::string_view name) const {
  for (const FlagGroup& group : groups_) {
    for (const Flag& flag : group.flags) {
      if (flag.name == name) return &flag;
    }
  }
  return nullptr;
}

absl::Status FlagTable::Parse(absl::Span<const std::string> args,
                              FileSystem& files) {
  std::vector<std::string> words(args.begin(), args.end());
  for (size_t i = 0; i < words.size(); ++i) {
    NEUMF_ASSIGN_OR_RETURN(Argument argument, SplitArgument(words[i]));
    const Flag* flag = Match(&argument);
    const bool is_file = argument.name == kFlagFile;
    if (flag == nullptr && !is_file) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown flag ", words[i], "; --help lists all"));
    }
    if (!argument.value.has_value()) {
      if (++i == words.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--", argument.name, ": has no value"));
      }
      argument.value = words[i];
    }
    if (is_file) {
      NEUMF_ASSIGN_OR_RETURN(const std::vector<std::string> lines,
                             ReadFlagFile(*argument.value, files));
      words.insert(words.begin() + static_cast<ptrdiff_t>(i) + 1, lines.begin(),
                   lines.end());
    } else {
      NEUMF_RETURN_IF_ERROR(Set(*flag, *argument.value));
    }
  }
  return absl::OkStatus();
}

const FlagTable::Flag* FlagTable::Match(Argument* argument) const {
  const Flag* flag = Find(argument->name);
  if (argument->value.has_value()) return flag;
  if (flag != nullptr) {
    if (flag->is_bool) argument->value = "true";
    return flag;
  }
  absl::string_view name = argument->name;
  flag = absl::ConsumePrefix(&name, "no") ? Find(name) : nullptr;
  if (flag == nullptr || !flag->is_bool) return nullptr;
  argument->value = "false";
  return flag;
}

absl::Status FlagTable::Set(const Flag& flag, absl::string_view value) {
  const std::string error = flag.set(value);
  if (error.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--", flag.name, ": ", error));
}

absl::StatusOr<std::vector<std::string>> FlagTable::ReadFlagFile(
    absl::string_view path, FileSystem& files) {
  const auto text = ReadWholeFile(files, path, kMaxFlagFileBytes);
  if (!text.ok()) return Annotate(text.status(), "--flagfile");
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    NEUMF_ASSIGN_OR_RETURN(const Argument argument, SplitArgument(line));
    if (argument.name == kFlagFile) {
      return absl::InvalidArgumentError(
          "--flagfile: a flag file cannot name another");
    }
    lines.emplace_back(line);
  }
  return lines;
}

std::string FlagTable::Help() const {
  std::string text;
  for (const FlagGroup& group : groups_) {
    absl::StrAppend(&text, "\n", group.title, ":\n");
    for (const Flag& flag : group.flags) {
      absl::StrAppend(&text, "  --", flag.name);
      if (!flag.default_text.empty()) {
        absl::StrAppend(&text, " (default ", flag.default_text, ")");
      }
      for (absl::string_view line : absl::StrSplit(flag.help, '\n')) {
        absl::StrAppend(&text, "\n      ", line);
      }
      absl::StrAppend(&text, "\n");
    }
  }
  return text;
}

}  // namespace neumf
