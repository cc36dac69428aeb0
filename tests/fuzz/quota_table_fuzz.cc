// Whatever the text is, a file of quotas is refused or is a table in which one
// more caller is found with the quota of its line, and whoever else is limited
// has a quota that can be kept.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "server/quota_table.h"

namespace {

constexpr char kCaller[] = "a-caller-that-no-corpus-has";

// Of a refusal, which holds no text of the file.
constexpr size_t kLongestReason = 120;

void CheckQuota(const neumf::Quota* quota) {
  if (quota == nullptr) return;
  NEUMF_CHECK(quota->users_per_second >= neumf::QuotaTable::kLeastRate);
  NEUMF_CHECK(quota->users_per_second <= neumf::QuotaTable::kMost);
  NEUMF_CHECK(quota->burst_users >= neumf::QuotaTable::kLeastBurst);
  NEUMF_CHECK(quota->burst_users <= neumf::QuotaTable::kMost);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<neumf::QuotaTable> table =
      neumf::QuotaTable::Parse(text);
  if (!table.ok()) {
    NEUMF_CHECK(absl::IsInvalidArgument(table.status()));
    NEUMF_CHECK(table.status().message().size() <= kLongestReason);
    return 0;
  }
  NEUMF_CHECK(table->size() > 0);
  CheckQuota(table->Find("shop"));
  CheckQuota(table->Find(kCaller));
  const absl::StatusOr<neumf::QuotaTable> longer =
      neumf::QuotaTable::Parse(absl::StrCat(text, "\n", kCaller, " 2.5 7"));
  NEUMF_CHECK(longer.ok());
  NEUMF_CHECK(longer->size() == table->size() + 1);
  const neumf::Quota* const quota = longer->Find(kCaller);
  NEUMF_CHECK(quota != nullptr);
  NEUMF_CHECK(quota->users_per_second == 2.5 && quota->burst_users == 7);
  return 0;
}
