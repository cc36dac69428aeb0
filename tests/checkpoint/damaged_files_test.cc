// Ten thousand damaged files: none is loaded, none ends the program, and each is
// refused for what is wrong with it. NEUMF_FAULTS_LONG=1 takes ten times as many.

#include "tests/checkpoint/damaged_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_reader.h"
#include "eval/probe_check.h"
#include "scoring/scorer.h"
#include "tests/checkpoint/memory_file.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

// As a server does: read, then compute what the exporter wrote down.
absl::Status LoadAndProbe(std::string bytes) {
  MemoryFile file(std::move(bytes));
  NEUMF_ASSIGN_OR_RETURN(const LoadedCheckpoint loaded,
                         LoadCheckpoint(file, "7.safetensors"));
  const ServingModel& model = loaded.model;
  NEUMF_ASSIGN_OR_RETURN(
      const auto builder,
      MakeScorerBuilder(Backend::kReference, model.shape, model.network, {}));
  NEUMF_RETURN_IF_ERROR(StreamItemTables(
      loaded.items, [&](const ItemRows& rows) { return builder->Add(rows); }));
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<Scorer> scorer,
                         builder->Build());
  return CheckProbes(
      loaded.info.manifest.probes,
      {*scorer, model.users, model.user_ids, model.item_ids, model.seen});
}

bool IsRight(const DamagedFile& file, const absl::Status& status) {
  const absl::string_view kind = file.kind;
  // The others are damaged.
  const absl::StatusCode code = kind == "newer" || kind == "probes"
                                    ? absl::StatusCode::kFailedPrecondition
                                    : absl::StatusCode::kDataLoss;
  return status.code() == code &&
         std::any_of(file.reasons.begin(), file.reasons.end(),
                     [&](const std::string& reason) {
                       return absl::StrContains(status.message(), reason);
                     });
}

TEST(DamagedFilesTest, AreMadeOfAFileThatIsTaken) {
  NEUMF_EXPECT_OK(LoadAndProbe(UndamagedFile()));
}

TEST(DamagedFilesTest, AreRefusedForWhatIsWrongWithThem) {
  const char* const is_long = std::getenv("NEUMF_FAULTS_LONG");
  const bool all = is_long != nullptr && absl::string_view(is_long) == "1";
  const uint64_t num_files = all ? 100'000 : 10'000;
  int num_wrong = 0;
  for (uint64_t seed = 0; seed < num_files && num_wrong < 20; ++seed) {
    const size_t kind = seed % NumDamageKinds();
    const DamagedFile file = MakeDamagedFile(kind, seed);
    const absl::Status status = LoadAndProbe(file.bytes);
    if (IsRight(file, status)) continue;
    ++num_wrong;
    ADD_FAILURE() << "seed " << seed << ", " << file.kind << ": "
                  << status.ToString();
  }
}

}  // namespace
}  // namespace neumf
