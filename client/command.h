#pragma once

// A sub-command of neumfctl: its words, its help and what it does.

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/args.h"

namespace neumf {

struct Command {
  absl::string_view name;         // one or two words: "checkpoint verify"
  absl::string_view summary;      // one line for the list of commands
  absl::string_view description;  // paragraphs for `neumfctl help NAME`
  std::vector<OptionSpec> options;
  std::vector<absl::string_view> operands;  // "FILE"
  // Prints the answer to `out`. An error is printed by the caller.
  absl::Status (*run)(const Args& args, std::ostream& out) = nullptr;
};

// Runs `neumfctl WORDS...`, its own `help`, `--help` and `--version` included,
// and returns the exit code: 0 only when the answer is OK and was written. What
// a command throws is an error like others: RESOURCE_EXHAUSTED when memory could
// not be had, else INTERNAL.
int RunNeumfctl(absl::Span<const Command> commands,
                absl::Span<const std::string> words, std::ostream& out,
                std::ostream& errors);

}  // namespace neumf
