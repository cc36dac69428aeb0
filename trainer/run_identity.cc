#include "trainer/run_identity.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "trainer/settings.h"

namespace neumf {
namespace {

// As much of a digest as people compare.
constexpr size_t kShownDigits = 16;
constexpr size_t kReadBytes = size_t{1} << 20;

std::string ShortHex(const Sha256Digest& digest) {
  return ToHex(digest).substr(0, kShownDigits);
}

absl::StatusOr<std::string> ContentOf(FileSystem& files,
                                      const std::string& path) {
  NEUMF_ASSIGN_OR_RETURN(const auto file, files.OpenForRead(path));
  Sha256 hash;
  std::string buffer(kReadBytes, '\0');
  for (uint64_t offset = 0;;) {
    NEUMF_ASSIGN_OR_RETURN(
        const size_t count,
        file->ReadAt(offset, absl::MakeSpan(buffer.data(), buffer.size())));
    hash.Update(buffer.data(), count);
    offset += count;
    if (count < buffer.size()) break;
  }
  return ShortHex(hash.Finish());
}

void AddIds(const std::vector<std::string>& ids, Sha256* hash) {
  for (const std::string& id : ids) {
    // The end of one id is not the beginning of the next.
    const std::string text = absl::StrCat(id.size(), ":", id);
    hash->Update(text.data(), text.size());
  }
}

std::string DataText(const TrainTask& task) {
  Sha256 hash;
  AddIds(task.log.user_ids, &hash);
  AddIds(task.log.item_ids, &hash);
  const std::string split = absl::StrFormat("%016x", task.split.hash);
  hash.Update(split.data(), split.size());
  return absl::StrCat(task.log.num_users(), " users, ", task.log.num_items(),
                      " items and ", task.split.train.size(), " train events (",
                      ShortHex(hash.Finish()), ")");
}

absl::Status AddStage(const RecipeStage& stage, const std::string& prefix,
                      FileSystem& files, RunIdentity* run) {
  for (const std::string& name : SettingNames()) {
    (*run)[absl::StrCat(prefix, "--", name)] =
        SettingText(name, stage.settings);
  }
  const TrainSettings& settings = stage.settings;
  for (const std::string& path :
       {settings.user_features, settings.item_features, settings.pretrained_gmf,
        settings.pretrained_mlp}) {
    if (path.empty() || absl::StartsWith(path, "@")) continue;
    NEUMF_ASSIGN_OR_RETURN((*run)[absl::StrCat("the content of ", path)],
                           ContentOf(files, path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunIdentity> RunIdentityOf(const TrainOptions& options,
                                          const TrainTask& task,
                                          FileSystem& files) {
  RunIdentity run;
  const std::vector<RecipeStage>& stages = options.recipe.stages;
  for (const RecipeStage& stage : stages) {
    const bool is_last = &stage == &stages.back();
    NEUMF_RETURN_IF_ERROR(AddStage(
        stage, is_last ? "" : absl::StrCat(stage.name, ": "), files, &run));
  }
  run["the data"] = DataText(task);
  run["--seed"] = absl::StrCat(options.seed);
  run["--threads"] = absl::StrCat(options.threads);
  run["WORLD_SIZE"] = absl::StrCat(options.place ? options.place->size : 1);
  run["--protocol"] = std::string(ProtocolName(task.protocol));
  run["--drop_rated"] = options.drop_rated ? "true" : "false";
  run["--whole_lists"] = options.whole_lists ? "true" : "false";
  run["--evaluate_every"] = absl::StrCat(options.evaluate_every);
  run["--patience"] = absl::StrCat(options.patience);
  run["--select_by"] = options.select_by;
  return run;
}

}  // namespace neumf
