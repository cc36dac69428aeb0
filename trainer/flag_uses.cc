#include "trainer/flag_uses.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "trainer/data_source.h"
#include "trainer/settings.h"

namespace neumf {
namespace {

struct Use {
  absl::string_view flag;
  absl::string_view commands;
};

// But for the settings, which are all train's.
constexpr Use kUses[] = {
    {"a", "compare"},
    {"b", "compare"},
    {"checkpoint", "evaluate"},
    {"columns", "train import evaluate"},
    {"data", "train import evaluate"},
    {"device", "train"},
    {"drop_rated", "train import evaluate"},
    {"evaluate_every", "train"},
    {"exchange_timeout", "train"},
    {"format", "train import evaluate"},
    {"held_out", "train import"},
    {"id_base", "import"},
    {"join_timeout", "train"},
    {"keep", "train import"},
    {"layout", "import"},
    {"max_bad_lines", "train import evaluate"},
    {"metrics_out", "train import evaluate"},
    {"min_rating", "train import evaluate"},
    {"out", "train import"},
    {"patience", "train"},
    {"per_user_out", "evaluate"},
    {"protocol", "train import evaluate"},
    {"recipe", "train"},
    {"seed", "train compare"},
    {"select_by", "train"},
    {"signing_key", "train import"},
    {"split", "train import evaluate"},
    {"split_kind", "evaluate"},
    {"split_ratio", "train import evaluate"},
    {"split_seed", "train import evaluate"},
    {"state", "train"},
    {"threads", "train import evaluate"},
    {"user_precision", "train import"},
    {"weights", "import"},
    {"weights_out", "train"},
    {"whole_lists", "train import evaluate"},
};

std::vector<std::string> CommandsOf(absl::string_view flag) {
  for (const Use& use : kUses) {
    if (use.flag == flag) return absl::StrSplit(use.commands, ' ');
  }
  const std::vector<std::string> settings = SettingNames();
  const bool is_setting =
      std::find(settings.begin(), settings.end(), flag) != settings.end();
  return is_setting ? std::vector<std::string>{"train"}
                    : std::vector<std::string>{};
}

// What a task makes of its flags.
struct Chosen {
  absl::string_view format;
  Protocol protocol = Protocol::kD2l;
  SplitOptions split;
};

struct TaskUse {
  absl::string_view flag;
  bool (*is_read)(const Chosen& chosen);
  absl::string_view where;
};

bool IsMeasured(const Chosen& chosen) {
  return chosen.split.kind != SplitKind::kNone;
}

// With the listed negatives of ncf too: those of validation are drawn.
bool DrawsHeldOut(const Chosen& chosen) {
  return chosen.split.kind == SplitKind::kRatio ||
         (chosen.split.kind == SplitKind::kGiven &&
          chosen.split.held_out == HeldOut::kValidation);
}

constexpr TaskUse kTaskUses[] = {
    {"columns", [](const Chosen& c) { return c.format == "csv"; },
     "--format csv"},
    {"held_out", IsMeasured, "a --split that holds something out"},
    {"split_ratio",
     [](const Chosen& c) { return c.split.kind == SplitKind::kRatio; },
     "the split ratio"},
    {"split_seed", DrawsHeldOut,
     "the split ratio, or validation events of the split given"},
    {"drop_rated",
     [](const Chosen& c) {
       return IsMeasured(c) && c.protocol == Protocol::kTriplet;
     },
     "what is held out by the protocol triplet"},
    {"whole_lists",
     [](const Chosen& c) {
       return IsMeasured(c) && c.protocol == Protocol::kFull;
     },
     "what is held out by the protocol full"},
};

absl::StatusOr<Chosen> ChosenBy(const TaskOptions& task) {
  Chosen chosen;
  chosen.format = task.data.format;
  NEUMF_ASSIGN_OR_RETURN(
      chosen.protocol,
      ProtocolFor(task.protocol, task.data.format, task.split));
  NEUMF_ASSIGN_OR_RETURN(chosen.split,
                         SplitFor(chosen.protocol, task.split, {}));
  if (task.held_out == "validation") {
    chosen.split.held_out = HeldOut::kValidation;
  }
  return chosen;
}

}  // namespace

std::string CommandsThatRead(absl::string_view flag) {
  std::vector<std::string> commands = CommandsOf(flag);
  if (commands.empty()) return "";
  const std::string last = commands.back();
  commands.pop_back();
  if (commands.empty()) return last;
  return absl::StrCat(absl::StrJoin(commands, ", "), " and ", last);
}

absl::Status CheckFlagsOfCommand(absl::string_view command,
                                 absl::Span<const std::string> given) {
  for (const std::string& flag : given) {
    const std::vector<std::string> commands = CommandsOf(flag);
    if (std::find(commands.begin(), commands.end(), command) !=
        commands.end()) {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, " is for ", CommandsThatRead(flag), ": ",
                     command, " does not read it"));
  }
  return absl::OkStatus();
}

absl::Status CheckFlagsOfTask(const TaskOptions& task,
                              absl::Span<const std::string> given) {
  NEUMF_ASSIGN_OR_RETURN(const Chosen chosen, ChosenBy(task));
  for (const std::string& flag : given) {
    for (const TaskUse& use : kTaskUses) {
      if (use.flag != flag || use.is_read(chosen)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "--", flag, " would change nothing: it is for ", use.where));
    }
  }
  return absl::OkStatus();
}

}  // namespace neumf
