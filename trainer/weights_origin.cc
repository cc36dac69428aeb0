#include "trainer/weights_origin.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/sha256.h"
#include "checkpoint/strict_json.h"

namespace neumf {
namespace {

void AddIds(const std::vector<std::string>& ids, Sha256* hash) {
  const auto add = [&](const std::string& text) {
    hash->Update(text.data(), text.size());
  };
  add(absl::StrCat(ids.size(), ";"));
  // The end of one id is not the beginning of the next.
  for (const std::string& id : ids) add(absl::StrCat(id.size(), ":", id));
}

// Empty when it is not said.
std::string TextOf(const nlohmann::json& about, const char* name) {
  if (!about.is_object()) return "";
  const nlohmann::json* const data = FindMember(about, "data");
  if (data == nullptr || !data->is_object()) return "";
  const nlohmann::json* const value = FindMember(*data, name);
  const std::string* const text = value == nullptr ? nullptr : AsText(*value);
  return text == nullptr ? "" : *text;
}

}  // namespace

std::string RowIdsDigest(const EventLog& log) {
  Sha256 hash;
  AddIds(log.user_ids, &hash);
  AddIds(log.item_ids, &hash);
  return ToHex(hash.Finish());
}

std::string SplitHashText(const Split& split) {
  return absl::StrFormat("%016x", split.hash);
}

absl::Status CheckOrigin(const nlohmann::json& about, const TrainTask& task) {
  const std::string ids = TextOf(about, "row_ids");
  const std::string split = TextOf(about, "split_hash");
  if (ids.empty() || split.empty()) {
    return absl::InvalidArgumentError(
        "does not say which users, items and split it was trained on: write "
        "it anew with --weights_out");
  }
  if (ids != RowIdsDigest(task.log)) {
    return absl::InvalidArgumentError(
        "its rows are of other users or items than those of this data: train "
        "it on the same --data");
  }
  const std::string wanted = SplitHashText(task.split);
  if (task.is_measured() && split != wanted) {
    return absl::InvalidArgumentError(absl::StrCat(
        "its weights were trained on events that this run holds out or "
        "measures: its split is ",
        split, " and this run's ", wanted,
        "; train it with this run's --split, --held_out and --split_seed"));
  }
  return absl::OkStatus();
}

}  // namespace neumf
