// neumf-train: trains models and publishes them as checkpoints, evaluates and
// compares published checkpoints. This file only turns flags into options.

#include <cerrno>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "trainer/compare_command.h"
#include "trainer/evaluate_command.h"
#include "trainer/outputs.h"
#include "trainer/recipes.h"
#include "trainer/stop_signal.h"
#include "trainer/train_command.h"

// Of train and evaluate.
ABSL_FLAG(std::string, data, "",
          "where the events are: a directory; for csv also a file");
ABSL_FLAG(std::string, format, "ml-100k",
          "of the data: ml-100k, ml-100k-ua, ml-1m, ml-latest, ncf, lightgcn "
          "or csv");
ABSL_FLAG(std::string, columns, "",
          "csv: names of the columns, as user=userId,item=movieId,"
          "time=timestamp,rating=rating; empty means user,item");
ABSL_FLAG(uint64_t, max_bad_lines, 0, "lines of the data to put up with");
ABSL_FLAG(
    std::string, split, "",
    "train: what is left out of training, d2l (each user's last event) or "
    "none; default d2l. evaluate: test or validation; default test");
ABSL_FLAG(int, threads, 1,
          "threads to work with; more do not help models this small");
ABSL_FLAG(std::string, metrics_out, "", "JSON file to write the metrics to");

// Of train.
ABSL_FLAG(std::string, out, "",
          "train: directory to publish the checkpoint in; made when missing");
ABSL_FLAG(std::string, recipe, "d2l-neumf",
          "train: a named set of all settings; see neumf-train recipes");
ABSL_FLAG(std::string, model, "neumf", "train: neumf");
ABSL_FLAG(std::string, loss, "bpr", "train: bpr");
ABSL_FLAG(std::string, held_out, "test",
          "train: what --split d2l leaves out: test, or validation together "
          "with test");
ABSL_FLAG(uint64_t, seed, 1, "train, compare: of everything random");
ABSL_FLAG(std::string, device, "auto", "train: auto or cpu");
ABSL_FLAG(std::optional<uint32_t>, epochs, std::nullopt,
          "train: instead of the recipe's");
ABSL_FLAG(std::optional<uint32_t>, factors, std::nullopt,
          "train: width of the embeddings, instead of the recipe's");
ABSL_FLAG(std::optional<uint32_t>, tower_factors, std::nullopt,
          "train: width of the tower's embeddings where it is not that of "
          "--factors");
ABSL_FLAG(std::optional<std::string>, hidden, std::nullopt,
          "train: widths of the tower's layers, as 10-10-10, instead of the "
          "recipe's");
ABSL_FLAG(std::optional<uint32_t>, batch_size, std::nullopt,
          "train: train pairs a step, instead of the recipe's");
ABSL_FLAG(std::optional<double>, learning_rate, std::nullopt,
          "train: instead of the recipe's");
ABSL_FLAG(std::optional<double>, weight_decay, std::nullopt,
          "train: L2 added to every gradient, instead of the recipe's");

// Of evaluate.
ABSL_FLAG(std::string, checkpoint, "", "evaluate: the file");
ABSL_FLAG(std::string, protocol, "d2l", "evaluate: d2l, ncf, triplet or full");
ABSL_FLAG(std::string, split_kind, "",
          "evaluate: the --split that training had, where it is not the "
          "protocol's own: d2l, latest, ratio or given");
ABSL_FLAG(uint64_t, split_seed, 0, "evaluate: of what the split draws");
ABSL_FLAG(double, split_ratio, 0.1,
          "evaluate: the share of each user's events that the split ratio "
          "holds out");
ABSL_FLAG(std::optional<float>, min_rating, std::nullopt,
          "evaluate: events rated lower are no positives; 4 for the protocol "
          "triplet");
ABSL_FLAG(bool, drop_rated, false,
          "evaluate: the protocol triplet puts what a user rated low below all "
          "other items");
ABSL_FLAG(bool, whole_lists, false,
          "evaluate: the protocol full looks deeper than 1000 places: map and "
          "mrr instead of map@1000 and mrr@1000");
ABSL_FLAG(std::string, per_user_out, "",
          "evaluate: CSV file to write every user's metrics to");

// Of compare.
ABSL_FLAG(std::string, a, "", "compare: a file of evaluate --per_user_out");
ABSL_FLAG(std::string, b, "", "compare: another");

namespace neumf {
namespace {

constexpr char kUsage[] =
    "neumf-train trains recommendation models and publishes checkpoints.\n"
    "\n"
    "  neumf-train train --data PATH --format FORMAT --out DIR [flags]\n"
    "  neumf-train evaluate --checkpoint FILE --data PATH --format FORMAT\n"
    "      --protocol d2l|ncf|triplet|full [flags]\n"
    "  neumf-train compare --a FILE.csv --b FILE.csv\n"
    "  neumf-train recipes\n"
    "  neumf-train --help | --version\n";

// To stdout, at once: a disk may be full and a reader gone.
absl::Status Print(absl::string_view text) {
  const size_t count = std::fwrite(text.data(), 1, text.size(), stdout);
  if (count == text.size() && std::fflush(stdout) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "write to stdout");
}

// The flags of this file as --help shows them.
std::string FlagsHelp() {
  std::string text;
  std::map<absl::string_view, absl::CommandLineFlag*> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (absl::EndsWith(flag->Filename(), "trainer/main.cc")) {
      flags.emplace(name, flag);
    }
  }
  for (const auto& [name, flag] : flags) {
    const std::string value = flag->DefaultValue();
    absl::StrAppendFormat(&text, "  --%-15s %s%s\n", name, flag->Help(),
                          value.empty() ? "" : absl::StrCat(" [", value, "]"));
  }
  return text;
}

absl::Status CheckChoice(absl::string_view flag, absl::string_view value,
                         absl::string_view choices) {
  for (absl::string_view choice : absl::StrSplit(choices, ", ")) {
    if (value == choice) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--", flag, ": this build knows ", choices, ", not '", value, "'"));
}

DataSource DataFromFlags() {
  DataSource source;
  source.path = absl::GetFlag(FLAGS_data);
  source.format = absl::GetFlag(FLAGS_format);
  source.columns = absl::GetFlag(FLAGS_columns);
  source.max_bad_lines = absl::GetFlag(FLAGS_max_bad_lines);
  return source;
}

// --split, or what the command takes it for when it was not given.
std::string SplitOr(absl::string_view default_split) {
  const std::string split = absl::GetFlag(FLAGS_split);
  return split.empty() ? std::string(default_split) : split;
}

template <typename Flag, typename Value>
void Override(const Flag& flag, Value* value) {
  if (const auto given = absl::GetFlag(flag)) *value = *given;
}

absl::StatusOr<Recipe> RecipeFromFlags() {
  NEUMF_ASSIGN_OR_RETURN(Recipe recipe,
                         FindRecipe(absl::GetFlag(FLAGS_recipe)));
  NEUMF_RETURN_IF_ERROR(
      CheckChoice("model", absl::GetFlag(FLAGS_model), recipe.model));
  NEUMF_RETURN_IF_ERROR(
      CheckChoice("loss", absl::GetFlag(FLAGS_loss), recipe.loss));
  NEUMF_RETURN_IF_ERROR(
      CheckChoice("device", absl::GetFlag(FLAGS_device), "auto, cpu"));
  TrainSettings& settings = recipe.settings;
  Override(FLAGS_epochs, &settings.epochs);
  Override(FLAGS_factors, &settings.factors);
  Override(FLAGS_factors, &settings.tower_factors);
  Override(FLAGS_tower_factors, &settings.tower_factors);
  Override(FLAGS_batch_size, &settings.batch_size);
  Override(FLAGS_learning_rate, &settings.learning_rate);
  Override(FLAGS_weight_decay, &settings.weight_decay);
  if (const auto hidden = absl::GetFlag(FLAGS_hidden)) {
    NEUMF_ASSIGN_OR_RETURN(settings.hidden, ParseHidden(*hidden));
  }
  return recipe;
}

absl::Status RunTrain() {
  TrainOptions options;
  options.data = DataFromFlags();
  NEUMF_ASSIGN_OR_RETURN(options.recipe, RecipeFromFlags());
  options.split = SplitOr("d2l");
  options.held_out = absl::GetFlag(FLAGS_held_out);
  options.seed = absl::GetFlag(FLAGS_seed);
  options.threads = absl::GetFlag(FLAGS_threads);
  options.out = absl::GetFlag(FLAGS_out);
  options.metrics_out = absl::GetFlag(FLAGS_metrics_out);

  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock = MakeRealClock();
  CommandEnvironment environment;
  environment.files = files.get();
  environment.clock = clock.get();
  environment.stop = InstallStopSignals();
  NEUMF_ASSIGN_OR_RETURN(const std::string path, Train(options, environment));
  return Annotate(Print(absl::StrCat(path, "\n")),
                  absl::StrCat("published ", path, ", but cannot say so"));
}

absl::Status RunEvaluate() {
  EvaluateOptions options;
  options.checkpoint = absl::GetFlag(FLAGS_checkpoint);
  options.data = DataFromFlags();
  options.protocol = absl::GetFlag(FLAGS_protocol);
  options.split = SplitOr("test");
  options.split_kind = absl::GetFlag(FLAGS_split_kind);
  options.split_seed = absl::GetFlag(FLAGS_split_seed);
  options.split_ratio = absl::GetFlag(FLAGS_split_ratio);
  options.min_rating = absl::GetFlag(FLAGS_min_rating);
  options.drop_rated = absl::GetFlag(FLAGS_drop_rated);
  options.whole_lists = absl::GetFlag(FLAGS_whole_lists);
  options.per_user_out = absl::GetFlag(FLAGS_per_user_out);
  options.threads = absl::GetFlag(FLAGS_threads);
  options.metrics_out = absl::GetFlag(FLAGS_metrics_out);

  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  NEUMF_ASSIGN_OR_RETURN(const nlohmann::json metrics,
                         Evaluate(options, *files));
  return Print(MetricsText(metrics));
}

absl::Status RunCompare() {
  CompareOptions options;
  options.a = absl::GetFlag(FLAGS_a);
  options.b = absl::GetFlag(FLAGS_b);
  options.seed = absl::GetFlag(FLAGS_seed);
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  NEUMF_ASSIGN_OR_RETURN(const nlohmann::json comparison,
                         Compare(options, *files));
  return Print(MetricsText(comparison));
}

absl::Status RunCommand(const std::vector<char*>& arguments) {
  if (arguments.size() > 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument '", arguments[2], "'; see --help"));
  }
  if (arguments.size() < 2) {
    return absl::InvalidArgumentError(
        "one command is needed: train, evaluate, compare or recipes; see "
        "--help");
  }
  const absl::string_view command = arguments[1];
  if (command == "train") return RunTrain();
  if (command == "evaluate") return RunEvaluate();
  if (command == "compare") return RunCompare();
  if (command == "recipes") return Print(DescribeRecipes());
  return absl::InvalidArgumentError(absl::StrCat(
      "no command '", command,
      "'; there are train, evaluate, compare and recipes; see --help"));
}

// --help and --version come before everything else, and end well: Abseil's own
// --help leaves with status 1.
std::optional<std::string> AnswerAboutItself(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      return absl::StrCat(kUsage, "\nFlags, with their defaults:\n",
                          FlagsHelp());
    }
    if (argument == "--version") {
      return absl::StrCat("neumf-train ", NEUMF_VERSION, "\n");
    }
  }
  return std::nullopt;
}

int Main(int argc, char** argv) {
  const std::optional<std::string> answer = AnswerAboutItself(argc, argv);
  const absl::Status status =
      answer.has_value() ? Print(*answer)
                         : RunCommand(absl::ParseCommandLine(argc, argv));
  if (status.ok()) return 0;
  absl::FPrintF(stderr, "neumf-train: %s\n", status.message());
  return 1;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  try {
    return neumf::Main(argc, argv);
  } catch (const std::exception& error) {
    // LibTorch and the allocator throw. LibTorch appends a stack trace to its
    // first line, which says it all.
    const std::string text = error.what();
    absl::FPrintF(stderr, "neumf-train: %s\n", text.substr(0, text.find('\n')));
    return 1;
  }
}
