// The trainer as one side of a comparison between processes. bench/train_bench
// starts it beside its peers and lets them take turns, window by window. It
// lies here and not in bench/ because programs do not include each other.
//
// A window is an epoch of TrainModel(), negatives drawn and batches made
// included: over all train events or, with --window_batches, over as many of
// them as fill so many batches, drawn at random. Users, items and what is never
// drawn as a negative are those of the whole data all the same.
//
// It prints a line of JSON about itself, having written initial weights and
// batches to --export. Then each line of stdin asks for a window, answered by a
// line of JSON:
//   {"examples": ..., "seconds": ..., "cpu_over_wall": ...,
//    "loss": mean a group,
//    "losses": of the first batches since the start, kKeptLosses at most}

#include <algorithm>
#include <ctime>
#include <iostream>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "trainer/model_training.h"
#include "trainer/random.h"
#include "trainer/recipes.h"
#include "trainer/settings_parts.h"
#include "trainer/settings_rules.h"
#include "trainer/step/batch_maker.h"
#include "trainer/torch_threads.h"
#include "trainer/train_task.h"

ABSL_FLAG(
    std::string, data, "",
    "What to train on. Empty: random ids, as many as the next three say.");
ABSL_FLAG(uint32_t, users, 6040, "of random data");
ABSL_FLAG(uint32_t, items, 3706, "of random data");
ABSL_FLAG(uint64_t, events, 994'169, "of random data");
ABSL_FLAG(std::string, format, "ncf", "of --data, as neumf-train has it");
ABSL_FLAG(std::string, recipe, "", "Whose settings to begin with.");
ABSL_FLAG(
    std::string, settings, "",
    "name=value ..., as recipes have them; they come after the recipe's.");
ABSL_FLAG(bool, list_recipes, false, "Prints what recipes there are instead.");
ABSL_FLAG(size_t, threads, 2, "as neumf-train has it");
ABSL_FLAG(uint64_t, window_batches, 0,
          "Batches of a window. 0: those of a whole epoch.");
ABSL_FLAG(std::string, export, "",
          "Directory that gets initial weights and batches.");
ABSL_FLAG(uint64_t, export_batches, 20,
          "How many batches: the first ones that are trained on.");

namespace neumf {
namespace {

constexpr uint64_t kSeed = 1;
constexpr size_t kKeptLosses = 20;

struct World {
  std::string name;
  uint64_t num_users = 0;
  uint64_t num_items = 0;
  std::vector<Event> train;  // by user row, in time order
  std::vector<Event> held_out;
};

absl::StatusOr<World> ReadWorld() {
  TaskOptions options;
  options.data.path = absl::GetFlag(FLAGS_data);
  options.data.format = absl::GetFlag(FLAGS_format);
  NEUMF_ASSIGN_OR_RETURN(TrainTask task,
                         PrepareTask(options, *MakePosixFileSystem()));
  return World{options.data.format, task.log.num_users(), task.log.num_items(),
               std::move(task.split.train), std::move(task.split.held_out)};
}

// As many distinct items for every user, up to one.
World MakeRandomWorld() {
  World world;
  world.name = "random ids";
  world.num_users = absl::GetFlag(FLAGS_users);
  world.num_items = absl::GetFlag(FLAGS_items);
  const uint64_t num_events = absl::GetFlag(FLAGS_events);
  NEUMF_CHECK(num_events < world.num_users * world.num_items);
  Random random(kSeed);
  std::vector<uint32_t> items(world.num_items);
  std::iota(items.begin(), items.end(), 0);
  for (uint32_t user = 0; user < world.num_users; ++user) {
    const uint64_t count = (user + 1) * num_events / world.num_users -
                           user * num_events / world.num_users;
    for (uint32_t i = 0; i < count; ++i) {
      const auto left = static_cast<uint32_t>(world.num_items) - i;
      std::swap(items[i], items[i + random.Below(left)]);
      Event event;
      event.user = user;
      event.item = items[i];
      event.time = i;
      world.train.push_back(event);
    }
  }
  return world;
}

// `count` of the events, in their order.
std::vector<Event> Sample(const std::vector<Event>& events, uint64_t count) {
  Random random(kSeed);
  std::vector<Event> sample;
  uint64_t left = events.size();
  for (const Event& event : events) {
    if (random.Below(static_cast<uint32_t>(left--)) < count - sample.size()) {
      sample.push_back(event);
    }
  }
  return sample;
}

absl::StatusOr<TrainSettings> ReadSettings() {
  TrainSettings settings;
  if (!absl::GetFlag(FLAGS_recipe).empty()) {
    NEUMF_ASSIGN_OR_RETURN(const Recipe recipe,
                           FindRecipe(absl::GetFlag(FLAGS_recipe)));
    settings = recipe.settings();
  }
  for (const absl::string_view setting :
       absl::StrSplit(absl::GetFlag(FLAGS_settings), ' ', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(setting, absl::MaxSplits('=', 1));
    NEUMF_RETURN_IF_ERROR(SetSetting(parts.first, parts.second, &settings));
  }
  // Windows are asked for until stdin ends.
  settings.epochs = std::numeric_limits<int32_t>::max();
  NEUMF_RETURN_IF_ERROR(ValidateSettings(settings));
  return settings;
}

nlohmann::ordered_json SettingsJson(const TrainSettings& settings) {
  nlohmann::ordered_json json;
  for (const std::string& name : SettingNames()) {
    json[name] = SettingText(name, settings);
  }
  return json;
}

absl::Status ListRecipes() {
  NEUMF_ASSIGN_OR_RETURN(const std::vector<Recipe> recipes,
                         ParseRecipes(RecipeTexts()));
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Recipe& recipe : recipes) {
    list.push_back({{"name", recipe.name},
                    {"reaches", recipe.reaches},
                    {"settings", SettingsJson(recipe.settings())}});
  }
  std::cout << list.dump() << std::endl;
  return absl::OkStatus();
}

double CpuSeconds() {
  timespec now = {};
  NEUMF_CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Value>
void AppendBytes(absl::Span<const Value> values, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(values.data()),
                values.size() * sizeof(Value));
}

class Contestant {
 public:
  Contestant(World world, TrainSettings settings)
      : world_(std::move(world)),
        settings_(std::move(settings)),
        train_(world_.num_users, world_.num_items, world_.train),
        sequences_(world_.num_users, WindowEvents()) {
    data_.train = &train_;
    data_.sequences = &sequences_;
    data_.held_out = world_.held_out;
  }

  absl::Status Run() {
    NEUMF_ASSIGN_OR_RETURN(const ModelSpec spec, SpecOf(settings_, data_));
    Parameters initial = InitialParameters(spec, settings_, kSeed, data_);
    if (!absl::GetFlag(FLAGS_export).empty()) {
      NEUMF_RETURN_IF_ERROR(Export(initial));
    }
    std::cout << Describe(initial).dump() << std::endl;

    const std::unique_ptr<Clock> clock = MakeRealClock();
    TrainingEnvironment environment;
    environment.clock = clock.get();
    environment.num_threads = absl::GetFlag(FLAGS_threads);
    const auto progress = [&](const TrainingProgress& p) { Note(p); };
    const auto epoch_done = [&](const EpochEnd& end) -> absl::StatusOr<bool> {
      if (end.epoch > 0) Answer();
      std::string line;
      const bool goes_on = static_cast<bool>(std::getline(std::cin, line));
      cpu_start_ = CpuSeconds();
      return goes_on;
    };
    const absl::Status status =
        TrainModel(settings_, kSeed, data_, {std::move(initial), nullptr},
                   environment, progress, epoch_done)
            .status();
    // Nothing was asked for.
    return absl::IsCancelled(status) ? absl::OkStatus() : status;
  }

 private:
  std::vector<Event> WindowEvents() const {
    const uint64_t wanted =
        absl::GetFlag(FLAGS_window_batches) * settings_.batch_size;
    return wanted == 0 || wanted >= world_.train.size()
               ? world_.train
               : Sample(world_.train, wanted);
  }

  uint64_t ExamplesABatch() const {
    return uint64_t{settings_.batch_size} * (1 + settings_.negatives);
  }

  nlohmann::ordered_json Describe(const Parameters& parameters) const {
    return {{"data", world_.name},
            {"users", world_.num_users},
            {"items", world_.num_items},
            {"train_events", world_.train.size()},
            {"window_events", sequences_.num_events()},
            {"batch_examples", ExamplesABatch()},
            {"parameters", parameters.values().size()},
            {"settings", SettingsJson(settings_)}};
  }

  // weights.f32, users.i32 [batches, B], items.i32 [batches, B, 1 + n], and
  // model.json, which says where in the weights which block is.
  absl::Status Export(const Parameters& initial) const {
    const UserBags user_bags(initial.spec(), nullptr, &sequences_);
    NEUMF_ASSIGN_OR_RETURN(
        const NegativeSampler sampler,
        NegativeSampler::Create(SamplerOptionsOf(settings_, kSeed), train_,
                                world_.held_out));
    BatchMaker maker(BatchOptionsOf(settings_, kSeed), &sequences_,
                     world_.num_items, &user_bags, &sampler);
    std::string users;
    std::string items;
    BatchMaker::Scratch scratch;
    Batch batch;
    uint64_t num_batches = 0;
    for (uint32_t epoch = 1; num_batches < absl::GetFlag(FLAGS_export_batches);
         ++epoch) {
      maker.StartEpoch(epoch);
      for (uint64_t number = 0; number < maker.num_batches(); ++number) {
        maker.Make(number, &scratch, &batch);
        if (batch.num_groups < settings_.batch_size) continue;
        AppendBytes(absl::MakeConstSpan(batch.users), &users);
        AppendBytes(absl::MakeConstSpan(batch.items), &items);
        ++num_batches;
      }
    }
    std::string weights;
    AppendBytes(initial.values(), &weights);
    NEUMF_RETURN_IF_ERROR(Write("weights.f32", weights));
    NEUMF_RETURN_IF_ERROR(Write("users.i32", users));
    NEUMF_RETURN_IF_ERROR(Write("items.i32", items));
    nlohmann::ordered_json model = Describe(initial);
    model["batches"] = num_batches;
    for (const ParameterBlock* const block : initial.layout().Blocks()) {
      model["blocks"][block->name] = {{"offset", block->offset},
                                      {"shape", {block->rows, block->cols}}};
    }
    return Write("model.json", model.dump(1));
  }

  static absl::Status Write(const char* name, absl::string_view bytes) {
    return WriteFileAtomically(*MakePosixFileSystem(),
                               JoinPath(absl::GetFlag(FLAGS_export), name),
                               bytes);
  }

  void Note(const TrainingProgress& progress) {
    const uint64_t groups = std::min<uint64_t>(groups_ + settings_.batch_size,
                                               sequences_.num_events());
    if (losses_.size() < kKeptLosses) {
      // Told are means over the epoch so far.
      const double loss_sum = static_cast<double>(groups) * progress.mean_loss -
                              static_cast<double>(groups_) * mean_loss_;
      losses_.push_back(loss_sum / static_cast<double>(groups - groups_));
    }
    mean_loss_ = progress.mean_loss;
    groups_ = groups;
    if (!progress.epoch_done()) return;
    groups_ = 0;
    examples_ = progress.epoch_examples;
    elapsed_ = progress.elapsed;
  }

  void Answer() {
    const double seconds = absl::ToDoubleSeconds(elapsed_ - answered_);
    answered_ = elapsed_;
    const nlohmann::ordered_json answer = {
        {"examples", examples_},
        {"seconds", seconds},
        {"cpu_over_wall", (CpuSeconds() - cpu_start_) / seconds},
        {"loss", mean_loss_},
        {"losses", losses_}};
    std::cout << answer.dump() << std::endl;
  }

  const World world_;
  const TrainSettings settings_;
  const Interactions train_;
  const ItemSequences sequences_;
  TrainingData data_;

  std::vector<double> losses_;  // of the first batches
  uint64_t groups_ = 0;         // done in this epoch
  double mean_loss_ = 0;
  uint64_t examples_ = 0;    // of an epoch
  absl::Duration elapsed_;   // of training, so far
  absl::Duration answered_;  // what of it earlier answers were about
  double cpu_start_ = 0;
};

absl::Status Main() {
  if (absl::GetFlag(FLAGS_list_recipes)) return ListRecipes();
  SetTorchThreads(static_cast<int>(absl::GetFlag(FLAGS_threads)));
  NEUMF_ASSIGN_OR_RETURN(TrainSettings settings, ReadSettings());
  World world;
  if (absl::GetFlag(FLAGS_data).empty()) {
    world = MakeRandomWorld();
  } else {
    NEUMF_ASSIGN_OR_RETURN(world, ReadWorld());
  }
  return Contestant(std::move(world), std::move(settings)).Run();
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "trains window by window; see bench/train_bench");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = neumf::Main();
  if (status.ok()) return 0;
  std::cerr << "train_contestant: " << status.message() << std::endl;
  return 1;
}
