#include "data/features.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/event_log_builder.h"
#include "data/feature_lines.h"

namespace neumf {
namespace {

// Takes what the lines of a file say about the ids of the data.
class FeatureCollector {
 public:
  explicit FeatureCollector(absl::Span<const std::string> ids)
      : ids_(ids), rows_(ids.size()), is_found_(ids.size()) {
    for (const std::string& id : ids) row_of_.emplace(id, row_of_.size());
  }

  absl::Status Add(absl::string_view id, std::vector<std::string> names) {
    const auto found = row_of_.find(id);
    if (found == row_of_.end()) return absl::OkStatus();
    const size_t row = found->second;
    if (is_found_[row]) {
      return absl::InvalidArgumentError(
          absl::StrCat("id ", QuotedForMessage(id), " for the second time"));
    }
    is_found_[row] = true;
    rows_[row] = std::move(names);
    return absl::OkStatus();
  }

  absl::StatusOr<FeatureTable> Finish(Entity entity) const {
    const size_t num_lacking = absl::c_count(is_found_, false);
    if (num_lacking > 0) {
      const size_t first = absl::c_find(is_found_, false) - is_found_.begin();
      return absl::InvalidArgumentError(absl::StrCat(
          "lacks ", num_lacking, " of the ", ids_.size(), " ",
          entity == Entity::kUser ? "users" : "items",
          " of the data; the first is ", QuotedForMessage(ids_[first])));
    }
    return FeatureTable(rows_);
  }

 private:
  absl::Span<const std::string> ids_;
  absl::flat_hash_map<absl::string_view, size_t> row_of_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<bool> is_found_;
};

absl::StatusOr<FeatureTable> ReadText(absl::string_view path,
                                      absl::string_view content,
                                      absl::Span<const std::string> ids,
                                      Entity entity) {
  FeatureCollector collector(ids);
  NEUMF_RETURN_IF_ERROR(ForEachFeatureLine(
      path, content, entity,
      [&](absl::string_view id, std::vector<std::string> names) {
        return collector.Add(id, std::move(names));
      }));
  return collector.Finish(entity);
}

}  // namespace

FeatureTable::FeatureTable(absl::Span<const std::vector<std::string>> rows) {
  for (const std::vector<std::string>& row : rows) {
    names_.insert(names_.end(), row.begin(), row.end());
  }
  absl::c_sort(names_);
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
  for (const std::vector<std::string>& row : rows) {
    std::vector<uint32_t> values;
    for (const std::string& name : row) {
      const auto found = absl::c_lower_bound(names_, name);
      values.push_back(static_cast<uint32_t>(found - names_.begin()));
    }
    absl::c_sort(values);
    entries_.insert(entries_.end(), values.begin(),
                    std::unique(values.begin(), values.end()));
    offsets_.push_back(entries_.size());
  }
}

absl::StatusOr<FeatureTable> ReadFeatures(FileSystem& files,
                                          absl::string_view path,
                                          absl::Span<const std::string> ids,
                                          Entity entity) {
  NEUMF_ASSIGN_OR_RETURN(const std::string content,
                         ReadWholeFile(files, path, kMaxDataFileBytes));
  absl::StatusOr<FeatureTable> table = ReadText(path, content, ids, entity);
  if (!table.ok()) return Annotate(table.status(), path);
  return table;
}

}  // namespace neumf
