// Whatever the text is, a file of callers is refused or is a table in which one
// more entry is found, with the rights of its line and no others.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "server/token_table.h"

namespace {

constexpr char kToken[] = "a token that no corpus holds the hash of";

// Of a refusal, which holds no text of the file.
constexpr size_t kLongestReason = 120;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<neumf::TokenTable> table =
      neumf::TokenTable::Parse(text);
  if (!table.ok()) {
    NEUMF_CHECK(absl::IsInvalidArgument(table.status()));
    NEUMF_CHECK(table.status().message().size() <= kLongestReason);
    return 0;
  }
  NEUMF_CHECK(table->size() > 0);
  NEUMF_CHECK(table->FindToken(kToken) == nullptr);
  if (table->size() == neumf::TokenTable::kMaxEntries) return 0;
  const absl::StatusOr<neumf::TokenTable> longer = neumf::TokenTable::Parse(
      absl::StrCat(text, "\nsha256:", neumf::ToHex(neumf::Sha256Of(kToken)),
                   " fuzz models.read"));
  NEUMF_CHECK(longer.ok());
  NEUMF_CHECK(longer->size() == table->size() + 1);
  const neumf::Caller* const caller = longer->FindToken(kToken);
  NEUMF_CHECK(caller != nullptr && caller->name == "fuzz");
  NEUMF_CHECK(caller->rights.Has(neumf::Right::kModelsRead));
  NEUMF_CHECK(!caller->rights.Has(neumf::Right::kRecommend));
  return 0;
}
