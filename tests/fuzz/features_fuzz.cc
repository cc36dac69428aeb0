// The first byte of the input names a format of feature files, the rest is the
// file. Whatever it holds, it is refused as the caller's fault or gives a table
// that keeps every promise of features.h.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/logging.h"
#include "base/utf8.h"
#include "data/features.h"
#include "tests/fuzz/memory_folder.h"

namespace neumf {
namespace {

struct Format {
  char letter;
  Entity entity;
  const char* file;
};

constexpr std::array<Format, 5> kFormats = {{
    {'u', Entity::kUser, "u.user"},
    {'i', Entity::kItem, "u.item"},
    {'U', Entity::kUser, "users.dat"},
    {'I', Entity::kItem, "movies.dat"},
    {'c', Entity::kItem, "items.csv"},
}};

void CheckTable(const FeatureTable& table, size_t num_rows) {
  NEUMF_CHECK(table.num_rows() == num_rows);
  std::vector<bool> is_used(table.num_values());
  for (size_t row = 0; row < num_rows; ++row) {
    const auto values = table.row(row);
    for (size_t k = 0; k < values.size(); ++k) {
      NEUMF_CHECK(k == 0 || values[k - 1] < values[k]);
      is_used[values[k]] = true;
    }
  }
  NEUMF_CHECK(std::count(is_used.begin(), is_used.end(), false) == 0);
  const auto names = table.names();
  for (size_t k = 0; k < names.size(); ++k) {
    NEUMF_CHECK(k == 0 || names[k - 1] < names[k]);
    NEUMF_CHECK(IsValidUtf8(names[k]));
    NEUMF_CHECK(names[k].find('=') != std::string::npos);
  }
}

void Run(const Format& format, absl::string_view content) {
  const std::vector<std::string> ids = {"2", "1"};
  MemoryFolder files;
  files.Put(format.file, std::string(content));
  const absl::StatusOr<FeatureTable> table =
      ReadFeatures(files, format.file, ids, format.entity);
  if (table.ok()) {
    CheckTable(*table, ids.size());
  } else {
    NEUMF_CHECK(absl::IsInvalidArgument(table.status()));
  }
}

}  // namespace
}  // namespace neumf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  for (const neumf::Format& format : neumf::kFormats) {
    if (!input.empty() && input[0] == format.letter) {
      neumf::Run(format, input.substr(1));
    }
  }
  return 0;
}
