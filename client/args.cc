#include "client/args.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace neumf {
namespace {

// A lone "-" is an operand, as everywhere.
bool IsOption(absl::string_view word) {
  return word.size() > 1 && word[0] == '-';
}

absl::StatusOr<OptionSpec> FindSpec(absl::Span<const OptionSpec> specs,
                                    absl::string_view name) {
  for (const OptionSpec& spec : specs) {
    if (spec.name == name) return spec;
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown option ", name));
}

// The value of the option at words[*at], which may be the next word; then `*at`
// moves on to it.
absl::StatusOr<std::string> TakeValue(const OptionSpec& spec,
                                      absl::Span<const std::string> words,
                                      size_t* at) {
  const std::string& word = words[*at];
  const size_t equals = word.find('=');
  if (spec.value_name.empty()) {
    if (equals == std::string::npos) return "";
    return absl::InvalidArgumentError(
        absl::StrCat(spec.name, " takes no value"));
  }
  if (equals != std::string::npos) return word.substr(equals + 1);
  if (*at + 1 == words.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(spec.name, " needs a value: ", spec.value_name));
  }
  return words[++*at];
}

absl::Status CheckOperands(absl::Span<const absl::string_view> names,
                           absl::Span<const std::string> operands) {
  if (operands.size() < names.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(names[operands.size()], " is missing"));
  }
  if (operands.size() > names.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument '", operands[names.size()], "'"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Args> Args::Parse(
    absl::Span<const OptionSpec> specs,
    absl::Span<const absl::string_view> operand_names,
    absl::Span<const std::string> words) {
  Args args;
  bool options_ended = false;
  for (size_t at = 0; at < words.size(); ++at) {
    const absl::string_view word = words[at];
    if (options_ended || !IsOption(word)) {
      args.operands_.push_back(words[at]);
    } else if (word == "--") {
      options_ended = true;
    } else {
      NEUMF_ASSIGN_OR_RETURN(const OptionSpec spec,
                             FindSpec(specs, word.substr(0, word.find('='))));
      NEUMF_ASSIGN_OR_RETURN(std::string value, TakeValue(spec, words, &at));
      NEUMF_RETURN_IF_ERROR(args.AddOption(spec, std::move(value)));
    }
  }
  NEUMF_RETURN_IF_ERROR(args.CheckRequired(specs));
  NEUMF_RETURN_IF_ERROR(CheckOperands(operand_names, args.operands_));
  return args;
}

absl::Status Args::CheckRequired(absl::Span<const OptionSpec> specs) const {
  for (const OptionSpec& spec : specs) {
    if (spec.occurrence == OptionSpec::kRequired && !has(spec.name)) {
      return absl::InvalidArgumentError(
          absl::StrCat(spec.name, " ", spec.value_name, " is missing"));
    }
  }
  return absl::OkStatus();
}

absl::Status Args::AddOption(const OptionSpec& spec, std::string value) {
  std::vector<std::string>& values = options_[std::string(spec.name)];
  if (!values.empty() && spec.occurrence != OptionSpec::kRepeated) {
    return absl::InvalidArgumentError(
        absl::StrCat(spec.name, " is there twice"));
  }
  values.push_back(std::move(value));
  return absl::OkStatus();
}

bool Args::has(absl::string_view option) const {
  return !values(option).empty();
}

absl::string_view Args::value(absl::string_view option,
                              absl::string_view otherwise) const {
  return has(option) ? absl::string_view(values(option).front()) : otherwise;
}

absl::Span<const std::string> Args::values(absl::string_view option) const {
  const auto found = options_.find(option);
  if (found == options_.end()) return {};
  return found->second;
}

absl::Status Args::CheckUtf8(absl::string_view option) const {
  for (const std::string& value : values(option)) {
    if (IsValidUtf8(value)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(option, ": the value is not UTF-8"));
  }
  return absl::OkStatus();
}

absl::StatusOr<int32_t> Args::Number(absl::string_view option,
                                     int32_t otherwise) const {
  if (!has(option)) return otherwise;
  int32_t number = 0;
  if (!absl::SimpleAtoi(value(option), &number)) {
    return absl::InvalidArgumentError(absl::StrCat(
        option, ": '", value(option), "' is not a 32-bit whole number"));
  }
  return number;
}

absl::StatusOr<absl::Duration> Args::Time(absl::string_view option,
                                          absl::Duration otherwise) const {
  if (!has(option)) return otherwise;
  absl::Duration duration;
  if (!absl::ParseDuration(value(option), &duration) ||
      duration <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, ": '", value(option),
                     "' is not a time above 0 such as 500ms or 2s"));
  }
  return duration;
}

}  // namespace neumf
