#include "trainer/command_line.h"

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

using Flag = absl::CommandLineFlag;

// An argument as it is written; the flag it means is found by Find().
struct Written {
  explicit Written(absl::string_view argument) {
    absl::ConsumePrefix(&argument, "-");
    absl::ConsumePrefix(&argument, "-");
    const size_t equals = argument.find('=');
    name = argument.substr(0, equals);
    if (equals != absl::string_view::npos) value = argument.substr(equals + 1);
  }

  absl::string_view name;
  std::optional<absl::string_view> value;
};

bool IsSwitch(const Flag& flag) { return flag.IsOfType<bool>(); }

// Gives a switch its value. Null when there is no such flag.
Flag* Find(Written* written) {
  Flag* flag = absl::FindCommandLineFlag(written->name);
  if (flag != nullptr) {
    if (IsSwitch(*flag) && !written->value) written->value = "true";
    return flag;
  }
  absl::string_view name = written->name;
  if (written->value || !absl::ConsumePrefix(&name, "no")) return nullptr;
  flag = absl::FindCommandLineFlag(name);
  if (flag == nullptr || !IsSwitch(*flag)) return nullptr;
  written->value = "false";
  return flag;
}

template <typename T>
bool Holds(const Flag& flag) {
  return flag.IsOfType<T>() || flag.IsOfType<std::optional<T>>();
}

absl::string_view Wanted(const Flag& flag) {
  if (IsSwitch(flag)) return "true or false";
  if (Holds<float>(flag) || Holds<double>(flag)) return "a number";
  if (Holds<int>(flag)) return "a whole number";
  if (Holds<uint32_t>(flag) || Holds<uint64_t>(flag)) {
    return "a whole number from 0";
  }
  if (flag.IsOfType<absl::Duration>()) return "a time such as 90s or 10m";
  return "another text";
}

absl::Status Set(absl::string_view value, Flag* flag) {
  std::string error;
  if (flag->ParseFrom(value, &error)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--", flag->Name(), " takes ", Wanted(*flag), ", not '", value, "'"));
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(
    absl::Span<char* const> arguments) {
  CommandLine line;
  bool has_flags = true;
  for (size_t a = 0; a < arguments.size(); ++a) {
    const absl::string_view argument = arguments[a];
    if (has_flags && argument == "--") {
      has_flags = false;
      continue;
    }
    if (!has_flags || argument == "-" || !absl::StartsWith(argument, "-")) {
      line.words.emplace_back(argument);
      continue;
    }
    Written written(argument);
    Flag* const flag = Find(&written);
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no flag --", written.name, "; see --help"));
    }
    if (!written.value) {
      if (++a == arguments.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--", written.name, " needs a value"));
      }
      written.value = arguments[a];
    }
    NEUMF_RETURN_IF_ERROR(Set(*written.value, flag));
    line.given.emplace_back(flag->Name());
  }
  return line;
}

}  // namespace neumf
