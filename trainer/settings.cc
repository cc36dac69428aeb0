#include "trainer/settings.h"

#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "trainer/settings_parts.h"
#include "trainer/step/schedule.h"

namespace neumf {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Setting {
  std::string name;
  std::function<absl::Status(absl::string_view, TrainSettings*)> read;
  std::function<std::string(const TrainSettings&)> print;
};

absl::Status Misfit(absl::string_view name, absl::string_view wanted,
                    absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, " takes ", wanted, ", not '", text, "'"));
}

Setting Count(const char* name, uint32_t TrainSettings::*field, uint32_t least,
              uint32_t most) {
  const auto read = [=](absl::string_view text, TrainSettings* settings) {
    uint32_t value = 0;
    if (!absl::SimpleAtoi(text, &value) || value < least || value > most) {
      return Misfit(name,
                    absl::StrCat("a whole number from ", least, " to ", most),
                    text);
    }
    settings->*field = value;
    return absl::OkStatus();
  };
  return {name, read,
          [=](const TrainSettings& s) { return absl::StrCat(s.*field); }};
}

// The shortest of these texts that reads as the same number.
std::string NumberText(double value) {
  std::string text;
  for (int digits : {6, 15, 16, 17}) {
    double read = 0;
    text = absl::StrFormat("%.*g", digits, value);
    if (absl::SimpleAtod(text, &read) && read == value) break;
  }
  return text;
}

Setting Number(const char* name, double TrainSettings::*field, double least,
               double most) {
  const auto read = [=](absl::string_view text, TrainSettings* settings) {
    double value = 0;
    if (!absl::SimpleAtod(text, &value) || !std::isfinite(value) ||
        value < least || value > most) {
      const std::string range =
          most == kInfinity ? absl::StrCat("from ", least, " up")
                            : absl::StrCat("from ", least, " to ", most);
      return Misfit(name, absl::StrCat("a number ", range), text);
    }
    settings->*field = value;
    return absl::OkStatus();
  };
  return {name, read,
          [=](const TrainSettings& s) { return NumberText(s.*field); }};
}

Setting Switch(const char* name, bool TrainSettings::*field) {
  const auto read = [=](absl::string_view text, TrainSettings* settings) {
    return absl::SimpleAtob(text, &(settings->*field))
               ? absl::OkStatus()
               : Misfit(name, "true or false", text);
  };
  return {name, read, [=](const TrainSettings& s) {
            return std::string(s.*field ? "true" : "false");
          }};
}

Setting Text(const char* name, std::string TrainSettings::*field) {
  const auto read = [=](absl::string_view text, TrainSettings* settings) {
    settings->*field = std::string(text);
    return absl::OkStatus();
  };
  return {name, read, [=](const TrainSettings& s) { return s.*field; }};
}

template <typename Value>
using Names = std::vector<std::pair<const char*, Value>>;

template <typename Value>
std::string Choices(const Names<Value>& names) {
  return absl::StrJoin(names, ", ", [](std::string* out, const auto& name) {
    absl::StrAppend(out, name.first);
  });
}

template <typename Value>
Setting OneOf(const char* name, Value TrainSettings::*field,
              const Names<Value>& names) {
  const auto read = [=](absl::string_view text, TrainSettings* settings) {
    for (const auto& [choice, value] : names) {
      if (text != choice) continue;
      settings->*field = value;
      return absl::OkStatus();
    }
    return Misfit(name, absl::StrCat("one of ", Choices(names)), text);
  };
  const auto print = [=](const TrainSettings& settings) {
    for (const auto& [choice, value] : names) {
      if (settings.*field == value) return std::string(choice);
    }
    return std::string();
  };
  return {name, read, print};
}

// A text among a few, of which the empty one stands for the model's own.
Setting Choice(const char* name, std::string TrainSettings::*field,
               std::vector<std::string> choices) {
  const auto read = [=](absl::string_view text, TrainSettings* settings) {
    for (const std::string& choice : choices) {
      if (text != choice) continue;
      settings->*field = choice;
      return absl::OkStatus();
    }
    return Misfit(name, absl::StrCat("one of ", absl::StrJoin(choices, ", ")),
                  text);
  };
  return {name, read, [=](const TrainSettings& s) { return s.*field; }};
}

absl::Status ReadHidden(absl::string_view text, TrainSettings* settings) {
  std::vector<uint32_t> hidden;
  if (text != "none") {
    for (absl::string_view width_text : absl::StrSplit(text, '-')) {
      uint32_t width = 0;
      if (!absl::SimpleAtoi(width_text, &width) || width == 0) {
        return Misfit("hidden", "widths like 32-16-8, or none", text);
      }
      hidden.push_back(width);
    }
  }
  settings->hidden = std::move(hidden);
  return absl::OkStatus();
}

Setting Hidden() {
  return {"hidden", ReadHidden, [](const TrainSettings& settings) {
            return settings.hidden.empty()
                       ? std::string("none")
                       : absl::StrJoin(settings.hidden, "-");
          }};
}

Setting TowerFactors() {
  const auto read = [](absl::string_view text, TrainSettings* settings) {
    if (!text.empty()) {
      NEUMF_RETURN_IF_ERROR(ParseTowerFactors(text).status());
    }
    settings->tower_factors = std::string(text);
    return absl::OkStatus();
  };
  return {"tower_factors", read,
          [](const TrainSettings& s) { return s.tower_factors; }};
}

Setting LossName() {
  const auto read = [](absl::string_view text, TrainSettings* settings) {
    if (text != kIals) {
      const absl::StatusOr<LossKind> kind = ParseLossKind(text);
      if (!kind.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--loss: ", kind.status().message(), "; or ", kIals));
      }
    }
    settings->loss = std::string(text);
    return absl::OkStatus();
  };
  return {"loss", read, [](const TrainSettings& s) { return s.loss; }};
}

Setting ScheduleText() {
  const auto read = [](absl::string_view text, TrainSettings* settings) {
    NEUMF_RETURN_IF_ERROR(Annotate(ParseSchedule(text).status(), "--schedule"));
    settings->schedule = std::string(text);
    return absl::OkStatus();
  };
  return {"schedule", read, [](const TrainSettings& s) { return s.schedule; }};
}

const Names<ModelKind>& ModelNames() {
  static const auto* const names =
      new Names<ModelKind>{{"mf", ModelKind::kMf},
                           {"gmf", ModelKind::kGmf},
                           {"mlp", ModelKind::kMlp},
                           {"neumf", ModelKind::kNeuMf},
                           {"bilinear-triplet", ModelKind::kBilinearTriplet},
                           {"deep-triplet", ModelKind::kDeepTriplet},
                           {"fm", ModelKind::kFm}};
  return *names;
}

std::vector<Setting> ModelSettings() {
  using S = TrainSettings;
  return {
      OneOf<ModelKind>("model", &S::model, ModelNames()),
      Count("factors", &S::factors, 1, ModelLimits::kMaxWidth - 1),
      TowerFactors(),
      Hidden(),
      OneOf<Activation>("activation", &S::activation,
                        {{"relu", Activation::kRelu},
                         {"tanh", Activation::kTanh},
                         {"sigmoid", Activation::kSigmoid}}),
      Count("linear_width", &S::linear_width, 0, ModelLimits::kMaxWidth),
      Choice("similarity", &S::similarity, {"dot", "cosine"}),
      Choice("gmf_head", &S::gmf_head, {"learned", "ones"}),
      Choice("biases", &S::biases, {"none", "output", "item", "all"}),
      Text("user_features", &S::user_features),
      Text("item_features", &S::item_features),
      Count("history", &S::history, 0, 10'000),
      Number("history_decay", &S::history_decay, 1e-3, 1e9),
  };
}

std::vector<Setting> ExampleSettings() {
  using S = TrainSettings;
  return {
      OneOf<LowRatings>("low_ratings", &S::low_ratings,
                        {{"ignored", LowRatings::kIgnored},
                         {"positives", LowRatings::kPositives}}),
      LossName(),
      Number("margin", &S::margin, -1e6, 1e6),
      Number("temperature", &S::temperature, 1e-4, 1e4),
      Number("negative_weight", &S::negative_weight, 0, 1e9),
      Number("calibration", &S::calibration, 0, 1),
      Count("hard_negatives", &S::hard_negatives, 0, 1'000'000),
      Switch("log_q", &S::log_q),
      OneOf<Reduction>("reduction", &S::reduction,
                       {{"mean", Reduction::kMean}, {"sum", Reduction::kSum}}),
      OneOf<BatchForm>("batches", &S::batches,
                       {{"pairs", BatchForm::kPairs},
                        {"events", BatchForm::kEvents},
                        {"users", BatchForm::kUsers}}),
      Count("batch_size", &S::batch_size, 1, 10'000'000),
      OneOf<SamplerKind>("sampler", &S::sampler,
                         {{"pool", SamplerKind::kPool},
                          {"reject", SamplerKind::kReject},
                          {"uniform", SamplerKind::kUniform},
                          {"popularity", SamplerKind::kPopularity}}),
      Count("negatives", &S::negatives, 1, 1'000'000),
      Count("candidates", &S::candidates, 0, 100'000'000),
      Number("popularity_power", &S::popularity_power, 0, 10),
      Count("targets", &S::targets, 1, 10'000),
      Number("target_decay", &S::target_decay, 1e-3, 1e9),
      Number("recency", &S::recency, 0, 1e9),
  };
}

std::vector<Setting> OptimizerSettings() {
  using S = TrainSettings;
  return {
      Count("epochs", &S::epochs, 1, 100'000),
      OneOf<OptimizerKind>("optimizer", &S::optimizer,
                           {{"sgd", OptimizerKind::kSgd},
                            {"adagrad", OptimizerKind::kAdagrad},
                            {"rmsprop", OptimizerKind::kRmsprop},
                            {"adam", OptimizerKind::kAdam},
                            {"adamw", OptimizerKind::kAdamW}}),
      OneOf<Updates>("updates", &S::updates,
                     {{"dense", Updates::kDense}, {"rows", Updates::kRows}}),
      Number("learning_rate", &S::learning_rate, 1e-12, 1e3),
      ScheduleText(),
      Number("momentum", &S::momentum, 0, 1),
      Number("beta1", &S::beta1, 0, 1),
      Number("beta2", &S::beta2, 0, 1),
      Number("epsilon", &S::epsilon, 1e-30, 1),
      Number("weight_decay", &S::weight_decay, 0, 1e3),
      Number("l2", &S::l2, 0, 1e6),
      Number("l2_negative", &S::l2_negative, 0, 1e6),
      Number("dropout", &S::dropout, 0, 0.99),
      OneOf<Initialization>("initialization", &S::initialization,
                            {{"d2l", Initialization::kD2l},
                             {"ncf", Initialization::kNcf},
                             {"torch", Initialization::kTorch},
                             {"keras", Initialization::kKeras},
                             {"normal", Initialization::kNormal}}),
      Number("embedding_scale", &S::embedding_scale, 0, 1e3),
      OneOf<BiasStart>(
          "bias_start", &S::bias_start,
          {{"zero", BiasStart::kZero}, {"popularity", BiasStart::kPopularity}}),
      Text("pretrained_gmf", &S::pretrained_gmf),
      Text("pretrained_mlp", &S::pretrained_mlp),
      Number("alpha", &S::alpha, 0, 1),
  };
}

const std::vector<Setting>& AllSettings() {
  static const auto* const all = [] {
    auto* const settings = new std::vector<Setting>(ModelSettings());
    for (auto& group : {ExampleSettings(), OptimizerSettings()}) {
      settings->insert(settings->end(), group.begin(), group.end());
    }
    return settings;
  }();
  return *all;
}

// Null when there is none.
const Setting* Find(absl::string_view name) {
  for (const Setting& setting : AllSettings()) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> SettingNames() {
  std::vector<std::string> names;
  for (const Setting& setting : AllSettings()) names.push_back(setting.name);
  return names;
}

absl::Status SetSetting(absl::string_view name, absl::string_view text,
                        TrainSettings* settings) {
  const Setting* const setting = Find(name);
  if (setting == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("no setting '", name, "'; there are ",
                     absl::StrJoin(SettingNames(), ", ")));
  }
  return setting->read(text, settings);
}

std::string SettingText(absl::string_view name, const TrainSettings& settings) {
  const Setting* const setting = Find(name);
  return setting == nullptr ? std::string() : setting->print(settings);
}

}  // namespace neumf
