#pragma once

// The words of a command line after the command's name.
//
//   const std::vector<OptionSpec> specs = {
//       {"--user", "ID", "whom to ask for", OptionSpec::kRequired},
//       {"--json", "", "print JSON"}};
//   NEUMF_ASSIGN_OR_RETURN(Args args, Args::Parse(specs, {}, words));
//   absl::string_view user = args.value("--user");
//
// An option is written `--name VALUE`, `--name=VALUE` or `-n VALUE`; options
// and operands come in any order, and after `--` everything is an operand.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace neumf {

struct OptionSpec {
  enum Occurrence { kOptional, kRequired, kRepeated };

  absl::string_view name;        // "--user" or "-k"
  absl::string_view value_name;  // for help: "ID"; empty: takes no value
  absl::string_view help;
  Occurrence occurrence = kOptional;
};

class Args {
 public:
  // `operand_names` are for messages; exactly as many operands must be there.
  // INVALID_ARGUMENT says in one line what is unknown, missing or too much.
  static absl::StatusOr<Args> Parse(
      absl::Span<const OptionSpec> specs,
      absl::Span<const absl::string_view> operand_names,
      absl::Span<const std::string> words);

  bool has(absl::string_view option) const;
  // `otherwise` when the option was not given. Valid as long as this object.
  absl::string_view value(absl::string_view option,
                          absl::string_view otherwise = "") const;
  // In the order of the command line.
  absl::Span<const std::string> values(absl::string_view option) const;
  const std::string& operand(size_t index) const { return operands_[index]; }

  // INVALID_ARGUMENT names the option when one of its values is not UTF-8, which
  // no message could hold.
  absl::Status CheckUtf8(absl::string_view option) const;

  // The value as a number, or as a time such as "500ms" that is above 0.
  // INVALID_ARGUMENT names the option when it is neither.
  absl::StatusOr<int32_t> Number(absl::string_view option,
                                 int32_t otherwise) const;
  absl::StatusOr<absl::Duration> Time(absl::string_view option,
                                      absl::Duration otherwise) const;

 private:
  absl::Status AddOption(const OptionSpec& spec, std::string value);
  absl::Status CheckRequired(absl::Span<const OptionSpec> specs) const;

  std::map<std::string, std::vector<std::string>, std::less<>> options_;
  std::vector<std::string> operands_;
};

}  // namespace neumf
