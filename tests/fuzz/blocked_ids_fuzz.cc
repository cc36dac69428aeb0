// Whatever the text is, a file of blocked ids is refused without a word of it,
// or holds ids that a model can have, one more of which is found when its line
// is added.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/utf8.h"
#include "model/id_table.h"
#include "server/blocked_ids.h"

namespace {

constexpr char kId[] = "an id that no corpus has";

// Of a refusal, which holds no text of the file.
constexpr size_t kLongestReason = 120;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto ids = neumf::ParseBlockedIds(text);
  if (!ids.ok()) {
    NEUMF_CHECK(absl::IsInvalidArgument(ids.status()));
    NEUMF_CHECK(ids.status().message().size() <= kLongestReason);
    return 0;
  }
  NEUMF_CHECK(std::adjacent_find(ids->begin(), ids->end(),
                                 std::greater_equal<>()) == ids->end());
  for (const std::string& id : *ids) {
    NEUMF_CHECK(!id.empty() && id.size() <= neumf::IdTable::kMaxIdBytes);
    NEUMF_CHECK(neumf::IsValidUtf8(id));
  }
  const auto more = neumf::ParseBlockedIds(absl::StrCat(text, kId, "\n"));
  NEUMF_CHECK(more.ok());
  NEUMF_CHECK(std::binary_search(more->begin(), more->end(), kId));
  return 0;
}
