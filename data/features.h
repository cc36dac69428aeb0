#pragma once

// Side features: what is known of users or items besides their events. Each
// distinct value, such as "genre=Action", is one feature value; a row has any
// number of them.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file_system.h"

namespace neumf {

// The feature values of each row as compressed sparse rows. Immutable after
// creation: any number of threads may read.
class FeatureTable {
 public:
  // A table without rows.
  FeatureTable() = default;
  // [row] -> the names of its values, in any order; repeats count once.
  explicit FeatureTable(absl::Span<const std::vector<std::string>> rows);

  uint64_t num_rows() const { return offsets_.size() - 1; }
  uint64_t num_values() const { return names_.size(); }  // F

  // Feature values in [0, F), ascending. REQUIRES: row < num_rows().
  absl::Span<const uint32_t> row(uint64_t row) const {
    return absl::MakeConstSpan(entries_.data() + offsets_[row],
                               offsets_[row + 1] - offsets_[row]);
  }

  // "genre=Action" by feature value; ascending bytewise. Every one is some
  // row's. [F]
  absl::Span<const std::string> names() const { return names_; }

  absl::Span<const uint64_t> offsets() const { return offsets_; }  // [rows + 1]
  // The rows one behind the other.
  absl::Span<const uint32_t> entries() const { return entries_; }

 private:
  std::vector<std::string> names_;
  std::vector<uint64_t> offsets_ = {0};
  std::vector<uint32_t> entries_;
};

// Whom a file of features is about.
enum class Entity { kUser, kItem };

// Reads the features of `ids`, which are the external ids by row. The name of
// the file says its format:
//  - u.user, MovieLens 100k: age, gender and occupation of users.
//  - u.item, MovieLens 100k: year and genres of items.
//  - users.dat, movies.dat: the same of MovieLens 1M.
//  - *.csv, *.tsv: a header `item_id,genre,studio` (`user_id,...` for users),
//    each column but the first and one called title a categorical feature; a
//    field has any number of values between '|'. So is MovieLens latest's
//    movies.csv: movieId and userId are ids too, "(no genres listed)" is no
//    value. Text as in readers.h.
// Ages and years come in buckets: "age=25-34", "year=1990-1994"; an item
// without a year has "year=missing".
//
// Ids that the file has beyond `ids` are ignored. INVALID_ARGUMENT for a file
// of another name, one about the other entity, a line that cannot be used,
// which is named, and for a file that lacks some of `ids`: how many, and the
// first of them.
absl::StatusOr<FeatureTable> ReadFeatures(FileSystem& files,
                                          absl::string_view path,
                                          absl::Span<const std::string> ids,
                                          Entity entity);

}  // namespace neumf
