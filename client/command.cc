#include "client/command.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <new>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/text_table.h"

namespace neumf {
namespace {

// `text` on the left of a column of `width` characters.
std::string Padded(absl::string_view text, size_t width) {
  return absl::StrFormat("%-*s", static_cast<int>(width), text);
}

std::string OptionText(const OptionSpec& option) {
  return option.value_name.empty()
             ? std::string(option.name)
             : absl::StrCat(option.name, " ", option.value_name);
}

std::string Synopsis(const Command& command) {
  std::string text = absl::StrCat("neumfctl ", command.name);
  for (const OptionSpec& option : command.options) {
    switch (option.occurrence) {
      case OptionSpec::kRequired:
        absl::StrAppend(&text, " ", OptionText(option));
        break;
      case OptionSpec::kOptional:
        absl::StrAppend(&text, " [", OptionText(option), "]");
        break;
      case OptionSpec::kRepeated:
        absl::StrAppend(&text, " [", OptionText(option), "]...");
        break;
    }
  }
  for (const absl::string_view operand : command.operands) {
    absl::StrAppend(&text, " ", operand);
  }
  return text;
}

std::string CommandHelp(const Command& command) {
  std::string text = absl::StrCat("Usage: ", Synopsis(command), "\n\n",
                                  command.description, "\n");
  if (command.options.empty()) return text;
  size_t width = 0;
  for (const OptionSpec& option : command.options) {
    width = std::max(width, OptionText(option).size());
  }
  absl::StrAppend(&text, "\nOptions:\n");
  for (const OptionSpec& option : command.options) {
    absl::StrAppend(&text, "  ", Padded(OptionText(option), width), "  ",
                    option.help, "\n");
  }
  return text;
}

std::string CommandList(absl::Span<const Command> commands) {
  std::string text = "Commands:\n";
  size_t width = 0;
  for (const Command& command : commands) {
    width = std::max(width, command.name.size());
  }
  for (const Command& command : commands) {
    absl::StrAppend(&text, "  ", Padded(command.name, width), "  ",
                    command.summary, "\n");
  }
  return text;
}

std::string GeneralHelp(absl::Span<const Command> commands) {
  return absl::StrCat(
      "Usage: neumfctl COMMAND [OPTIONS]\n\n"
      "Asks a neumf server, and looks into checkpoints.\n\n",
      CommandList(commands),
      "\n'neumfctl help COMMAND' explains one of them; "
      "'neumfctl --version' prints the version.\n"
      "The exit code is 0 when the answer is OK, else 1.\n");
}

// Of the commands of two words whose first is `word`.
std::string GroupHelp(absl::string_view word, absl::Span<const Command> group) {
  return absl::StrCat("Usage: neumfctl ", word, " COMMAND [OPTIONS]\n\n",
                      CommandList(group));
}

std::vector<Command> CommandsOfGroup(absl::Span<const Command> commands,
                                     absl::string_view word) {
  std::vector<Command> group;
  for (const Command& command : commands) {
    if (absl::StartsWith(command.name, absl::StrCat(word, " "))) {
      group.push_back(command);
    }
  }
  return group;
}

bool AsksForHelp(absl::string_view word) {
  return word == "--help" || word == "-h";
}

// The command that `words` begin with; null when there is none.
const Command* FindCommand(absl::Span<const Command> commands,
                           absl::Span<const std::string> words) {
  for (const Command& command : commands) {
    const std::vector<std::string> name = absl::StrSplit(command.name, ' ');
    if (words.subspan(0, name.size()) == absl::MakeConstSpan(name)) {
      return &command;
    }
  }
  return nullptr;
}

size_t NumWords(const Command& command) {
  return 1 + std::count(command.name.begin(), command.name.end(), ' ');
}

int UnknownCommand(absl::Span<const std::string> words, std::ostream& errors) {
  errors << "neumfctl: unknown command '" << absl::StrJoin(words, " ")
         << "' (see 'neumfctl --help')\n";
  return 1;
}

int PrintHelp(absl::Span<const Command> commands,
              absl::Span<const std::string> topic, std::ostream& out,
              std::ostream& errors) {
  if (topic.empty()) {
    out << GeneralHelp(commands);
    return 0;
  }
  const Command* command = FindCommand(commands, topic);
  if (command != nullptr) {
    out << CommandHelp(*command);
    return 0;
  }
  const std::vector<Command> group = CommandsOfGroup(commands, topic[0]);
  if (topic.size() > 1 || group.empty()) return UnknownCommand(topic, errors);
  out << GroupHelp(topic[0], group);
  return 0;
}

// For words that are no command: the first one of several commands, or nothing
// at all.
int RunGroup(absl::Span<const Command> commands,
             absl::Span<const std::string> words, std::ostream& out,
             std::ostream& errors) {
  const std::vector<Command> group = CommandsOfGroup(commands, words[0]);
  if (group.empty()) return UnknownCommand(words.subspan(0, 1), errors);
  if (words.size() == 1) {
    errors << GroupHelp(words[0], group);
    return 1;
  }
  if (!AsksForHelp(words[1])) {
    return UnknownCommand(words.subspan(0, 2), errors);
  }
  out << GroupHelp(words[0], group);
  return 0;
}

// The file of a checkpoint may ask for more memory than there is.
absl::Status RunFenced(const Command& command, const Args& args,
                       std::ostream& out) {
  try {
    return command.run(args, out);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("there is not enough memory");
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

int RunCommand(const Command& command, absl::Span<const std::string> words,
               std::ostream& out, std::ostream& errors) {
  if (std::any_of(words.begin(), words.end(), AsksForHelp)) {
    out << CommandHelp(command);
    return 0;
  }
  const absl::StatusOr<Args> args =
      Args::Parse(command.options, command.operands, words);
  if (!args.ok()) {
    errors << "neumfctl " << command.name << ": " << args.status().message()
           << " (see 'neumfctl help " << command.name << "')\n";
    return 1;
  }
  const absl::Status status = RunFenced(command, *args, out);
  if (!status.ok()) {
    // Without the payloads that Status::ToString() would append as bytes.
    errors << absl::StatusCodeToString(status.code()) << ": "
           << Printable(status.message()) << "\n";
    return 1;
  }
  if (!out.flush()) {
    errors << "UNAVAILABLE: the answer could not be written\n";
    return 1;
  }
  return 0;
}

}  // namespace

int RunNeumfctl(absl::Span<const Command> commands,
                absl::Span<const std::string> words, std::ostream& out,
                std::ostream& errors) {
  if (words.empty()) {
    errors << "neumfctl: which command? (see 'neumfctl --help')\n";
    return 1;
  }
  if (words[0] == "help" || AsksForHelp(words[0])) {
    return PrintHelp(commands, words.subspan(1), out, errors);
  }
  if (words[0] == "--version") {
    out << "neumfctl " << NEUMF_VERSION << "\n";
    return 0;
  }
  const Command* command = FindCommand(commands, words);
  if (command == nullptr) return RunGroup(commands, words, out, errors);
  return RunCommand(*command, words.subspan(NumWords(*command)), out, errors);
}

}  // namespace neumf
