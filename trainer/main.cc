// neumf-train: trains models and publishes them as checkpoints, evaluates and
// compares published checkpoints. This file only turns flags into options; the
// flags of settings are in setting_flags.cc.

#include <cerrno>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_signature.h"
#include "trainer/command_line.h"
#include "trainer/compare_command.h"
#include "trainer/distributed/process_place.h"
#include "trainer/evaluate_command.h"
#include "trainer/flag_uses.h"
#include "trainer/flags_help.h"
#include "trainer/import_command.h"
#include "trainer/model/torch_model.h"
#include "trainer/outputs.h"
#include "trainer/recipes.h"
#include "trainer/setting_flags.h"
#include "trainer/settings_rules.h"
#include "trainer/stop_signal.h"
#include "trainer/train_command.h"

// Of all commands with data. --help groups flags by the words that their help
// begins with: see flags_help.h.
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
    "in train and import what is held out: d2l, latest, ratio, given, or none; "
    "without it, what goes with the protocol. In evaluate test or validation; "
    "without it, test");
ABSL_FLAG(int, threads, 1,
          "threads to work with; small batches gain nothing from a second");
ABSL_FLAG(std::string, metrics_out, "", "JSON file to write the metrics to");

// Of train.
ABSL_FLAG(std::string, out, "",
          "train, import: directory to publish the checkpoint in; made when "
          "missing");
ABSL_FLAG(
    uint32_t, keep, 0,
    "train, import: versions to keep in --out, the newest; older ones are "
    "removed after publishing, but for those that serving.json names; 0 "
    "keeps all");
ABSL_FLAG(
    std::string, user_precision, "f32",
    "train, import: of the users' vectors in the checkpoint: f32; or f16, "
    "which takes half of the file and of a server's memory for them, and "
    "which servers before it refuse");
ABSL_FLAG(std::string, signing_key, "",
          "train, import: PEM file of an ed25519 private key to sign the "
          "checkpoint with, for servers that ask for it");
ABSL_FLAG(std::string, recipe, "d2l-neumf",
          "train: a named set of all settings; see neumf-train recipes. The "
          "settings below replace those of its last stage");
ABSL_FLAG(std::string, held_out, "test",
          "train, import: what is measured on: test; or validation, which "
          "leaves the test events out of everything");
ABSL_FLAG(uint64_t, seed, 1,
          "of everything random in train and compare but the split");
ABSL_FLAG(std::string, device, "auto",
          "train: cpu; cuda, a GPU, for what it trains; or auto, which takes a "
          "GPU where there is one that trains all of it");
ABSL_FLAG(uint32_t, evaluate_every, 0,
          "train: epochs between evaluations of what is held out, epoch 0 "
          "included; 0: after the last epoch alone");
ABSL_FLAG(uint32_t, patience, 0,
          "train: evaluations without a better one before training stops and "
          "the best epoch is published; wants --held_out validation");
ABSL_FLAG(std::string, select_by, "",
          "train: the metric that --patience goes by; the protocol's first");
ABSL_FLAG(std::string, state, "",
          "train: directory that keeps the state of the run after every epoch; "
          "the same command goes on from it after a kill");
ABSL_FLAG(absl::Duration, join_timeout, absl::Minutes(1),
          "train: in a distributed run, for all processes to come");
ABSL_FLAG(absl::Duration, exchange_timeout, absl::Minutes(10),
          "train: in a distributed run, for one process to wait for another, "
          "also while that evaluates");
ABSL_FLAG(std::string, weights_out, "",
          "train: safetensors file to write the trained weights to, for "
          "--pretrained_gmf and --pretrained_mlp");

// Of import.
ABSL_FLAG(std::string, weights, "",
          "import: safetensors file of a state dict that PyTorch trained");
ABSL_FLAG(std::string, layout, "", "import: of that file: d2l, ncf or blog");
ABSL_FLAG(std::optional<uint64_t>, id_base, std::nullopt,
          "import: the id that the first row of a table belongs to; 1 for d2l, "
          "0 for ncf and blog");

// Of evaluate.
ABSL_FLAG(std::string, checkpoint, "", "evaluate: the file");
ABSL_FLAG(std::string, protocol, "",
          "how to measure: d2l, ncf, triplet or full; without it, what goes "
          "with the format");
ABSL_FLAG(std::string, split_kind, "",
          "evaluate: the --split that training had, where it is not the "
          "protocol's own: d2l, latest, ratio or given");
ABSL_FLAG(uint64_t, split_seed, 0, "of what the split draws");
ABSL_FLAG(double, split_ratio, 0.1,
          "the share of each user's events that the split ratio holds out");
ABSL_FLAG(std::optional<float>, min_rating, std::nullopt,
          "events rated lower are no positives; 4 for the protocol triplet");
ABSL_FLAG(bool, drop_rated, false,
          "the protocol triplet puts what a user rated low below all other "
          "items");
ABSL_FLAG(bool, whole_lists, false,
          "the protocol full looks deeper than 1000 places: map and mrr "
          "instead of map@1000 and mrr@1000");
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
    "  neumf-train import --weights FILE --layout d2l|ncf|blog --data PATH\n"
    "      --format FORMAT --out DIR [flags]\n"
    "  neumf-train evaluate --checkpoint FILE --data PATH --format FORMAT\n"
    "      [--protocol d2l|ncf|triplet|full] [flags]\n"
    "  neumf-train compare --a FILE.csv --b FILE.csv\n"
    "  neumf-train recipes\n"
    "  neumf-train --help | --version\n";

// To stdout, at once: a disk may be full and a reader gone.
absl::Status Print(absl::string_view text) {
  const size_t count = std::fwrite(text.data(), 1, text.size(), stdout);
  if (count == text.size() && std::fflush(stdout) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "write to stdout");
}

DataSource DataFromFlags() {
  DataSource source;
  source.path = absl::GetFlag(FLAGS_data);
  source.format = absl::GetFlag(FLAGS_format);
  source.columns = absl::GetFlag(FLAGS_columns);
  source.max_bad_lines = absl::GetFlag(FLAGS_max_bad_lines);
  return source;
}

TaskOptions TaskFromFlags() {
  TaskOptions task;
  task.data = DataFromFlags();
  task.protocol = absl::GetFlag(FLAGS_protocol);
  task.split = absl::GetFlag(FLAGS_split);
  task.held_out = absl::GetFlag(FLAGS_held_out);
  task.split_seed = absl::GetFlag(FLAGS_split_seed);
  task.split_ratio = absl::GetFlag(FLAGS_split_ratio);
  task.min_rating = absl::GetFlag(FLAGS_min_rating);
  return task;
}

absl::StatusOr<Recipe> RecipeFromFlags() {
  NEUMF_ASSIGN_OR_RETURN(Recipe recipe,
                         FindRecipe(absl::GetFlag(FLAGS_recipe)));
  NEUMF_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                         SetGivenSettings(&recipe.settings()));
  NEUMF_RETURN_IF_ERROR(ValidateRecipe(recipe));
  NEUMF_RETURN_IF_ERROR(CheckGivenSettings(names, recipe.settings()));
  return recipe;
}

// Names of flags.
using Given = absl::Span<const std::string>;

// None where the flag is not given.
absl::StatusOr<std::optional<Ed25519PrivateKey>> SigningKeyFromFlags() {
  const std::string path = absl::GetFlag(FLAGS_signing_key);
  if (path.empty()) return std::nullopt;
  absl::StatusOr<Ed25519PrivateKey> key =
      ReadSigningKey(*MakePosixFileSystem(), path);
  if (!key.ok()) return Annotate(key.status(), "--signing_key");
  return *std::move(key);
}

absl::Status RunTrain(Given given) {
  TrainOptions options;
  options.task = TaskFromFlags();
  NEUMF_RETURN_IF_ERROR(CheckFlagsOfTask(options.task, given));
  NEUMF_ASSIGN_OR_RETURN(options.recipe, RecipeFromFlags());
  NEUMF_ASSIGN_OR_RETURN(options.device,
                         ParseDeviceChoice(absl::GetFlag(FLAGS_device)));
  options.drop_rated = absl::GetFlag(FLAGS_drop_rated);
  options.whole_lists = absl::GetFlag(FLAGS_whole_lists);
  options.evaluate_every = absl::GetFlag(FLAGS_evaluate_every);
  options.patience = absl::GetFlag(FLAGS_patience);
  options.select_by = absl::GetFlag(FLAGS_select_by);
  options.state = absl::GetFlag(FLAGS_state);
  NEUMF_ASSIGN_OR_RETURN(options.place, PlaceFromEnvironment());
  if (options.place) {
    options.place->join_timeout = absl::GetFlag(FLAGS_join_timeout);
    options.place->exchange_timeout = absl::GetFlag(FLAGS_exchange_timeout);
  }
  options.weights_out = absl::GetFlag(FLAGS_weights_out);
  options.seed = absl::GetFlag(FLAGS_seed);
  options.threads = absl::GetFlag(FLAGS_threads);
  options.out = absl::GetFlag(FLAGS_out);
  options.keep = absl::GetFlag(FLAGS_keep);
  NEUMF_ASSIGN_OR_RETURN(
      options.user_precision,
      ParseUserPrecision(absl::GetFlag(FLAGS_user_precision)));
  NEUMF_ASSIGN_OR_RETURN(options.signing_key, SigningKeyFromFlags());
  options.metrics_out = absl::GetFlag(FLAGS_metrics_out);

  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock = MakeRealClock();
  CommandEnvironment environment;
  environment.files = files.get();
  environment.clock = clock.get();
  environment.stop = InstallStopSignals();
  environment.devices.torch = TorchModel::GpuName();
  NEUMF_ASSIGN_OR_RETURN(const std::string path, Train(options, environment));
  if (path.empty()) return absl::OkStatus();  // another process has published
  return Annotate(Print(absl::StrCat(path, "\n")),
                  absl::StrCat("published ", path, ", but cannot say so"));
}

absl::Status RunImport(Given given) {
  ImportOptions options;
  options.weights = absl::GetFlag(FLAGS_weights);
  options.layout = absl::GetFlag(FLAGS_layout);
  options.id_base = absl::GetFlag(FLAGS_id_base);
  options.task = TaskFromFlags();
  NEUMF_RETURN_IF_ERROR(CheckFlagsOfTask(options.task, given));
  options.drop_rated = absl::GetFlag(FLAGS_drop_rated);
  options.whole_lists = absl::GetFlag(FLAGS_whole_lists);
  options.threads = absl::GetFlag(FLAGS_threads);
  options.out = absl::GetFlag(FLAGS_out);
  options.keep = absl::GetFlag(FLAGS_keep);
  NEUMF_ASSIGN_OR_RETURN(
      options.user_precision,
      ParseUserPrecision(absl::GetFlag(FLAGS_user_precision)));
  NEUMF_ASSIGN_OR_RETURN(options.signing_key, SigningKeyFromFlags());
  options.metrics_out = absl::GetFlag(FLAGS_metrics_out);

  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock = MakeRealClock();
  CommandEnvironment environment;
  environment.files = files.get();
  environment.clock = clock.get();
  NEUMF_ASSIGN_OR_RETURN(const std::string path, Import(options, environment));
  return Annotate(Print(absl::StrCat(path, "\n")),
                  absl::StrCat("published ", path, ", but cannot say so"));
}

absl::Status RunEvaluate(Given given) {
  EvaluateOptions options;
  options.checkpoint = absl::GetFlag(FLAGS_checkpoint);
  options.data = DataFromFlags();
  options.protocol = absl::GetFlag(FLAGS_protocol);
  const std::string split = absl::GetFlag(FLAGS_split);
  options.split = split.empty() ? "test" : split;
  options.split_kind = absl::GetFlag(FLAGS_split_kind);
  TaskOptions task = TaskFromFlags();
  task.split = options.split_kind;
  task.held_out = options.split;
  NEUMF_RETURN_IF_ERROR(CheckFlagsOfTask(task, given));
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

absl::Status RunCompare(Given /*given*/) {
  CompareOptions options;
  options.a = absl::GetFlag(FLAGS_a);
  options.b = absl::GetFlag(FLAGS_b);
  options.seed = absl::GetFlag(FLAGS_seed);
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  NEUMF_ASSIGN_OR_RETURN(const nlohmann::json comparison,
                         Compare(options, *files));
  return Print(MetricsText(comparison));
}

absl::Status RunRecipes(Given /*given*/) { return Print(DescribeRecipes()); }

struct Command {
  absl::string_view name;
  absl::Status (*run)(Given given);
};
constexpr Command kCommands[] = {{"train", RunTrain},
                                 {"import", RunImport},
                                 {"evaluate", RunEvaluate},
                                 {"compare", RunCompare},
                                 {"recipes", RunRecipes}};

// `arguments` begin with the program.
absl::Status RunCommand(absl::Span<char* const> arguments) {
  NEUMF_ASSIGN_OR_RETURN(const CommandLine line,
                         ParseCommandLine(arguments.subspan(1)));
  if (line.words.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument '", line.words[1], "'; see --help"));
  }
  if (line.words.empty()) {
    return absl::InvalidArgumentError(
        "one command is needed: train, import, evaluate, compare or recipes; "
        "see --help");
  }
  for (const Command& command : kCommands) {
    if (command.name != line.words[0]) continue;
    NEUMF_RETURN_IF_ERROR(CheckFlagsOfCommand(command.name, line.given));
    return command.run(line.given);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "no command '", line.words[0],
      "'; there are train, import, evaluate, compare and recipes; see --help"));
}

// --help and --version come before everything else, and end well: Abseil's own
// --help leaves with status 1.
std::optional<std::string> AnswerAboutItself(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      return absl::StrCat(kUsage, "\nFlags, with their [defaults]:\n",
                          FlagsHelp("trainer"));
    }
    if (argument == "--version") {
      return absl::StrCat("neumf-train ", NEUMF_VERSION, "\n");
    }
  }
  return std::nullopt;
}

int Main(int argc, char** argv) {
  const std::optional<std::string> answer = AnswerAboutItself(argc, argv);
  const absl::Status status = answer.has_value()
                                  ? Print(*answer)
                                  : RunCommand(absl::MakeConstSpan(argv, argc));
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
