#pragma once

// Whether a new version recommends nearly as well as the served one, by what no
// version has learned from.
//
// Operators keep some choices of their users out of every training, and name
// them in a file, a user and an item a line with a tab between them. Both
// versions rank the catalog for these users, with the scorers that serve and
// without what they have seen. Pairs that one of them cannot recommend, since it
// does not know them or has them as seen, count for neither. The file is looked
// at again before each use.
//
//   QualityGate gate(options, files, metrics);
//   NEUMF_RETURN_IF_ERROR(gate.Load());
//   absl::Status good_enough = gate.Check(next, served, cancelled);
//
// One thread at a time.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_system.h"
#include "server/reloaded_files.h"
#include "server/server_metrics.h"
#include "server/snapshot.h"

namespace neumf {

// Means over users, of the first K items.
struct GateMetric {
  enum class Kind {
    kHit,   // whether there is one of the user's items
    kNdcg,  // eval/ranking_metrics.h
  };
  Kind kind = Kind::kNdcg;
  uint32_t k = 10;

  // "hit@10", "ndcg@5": INVALID_ARGUMENT for others, and K above 1,000.
  static absl::StatusOr<GateMetric> Parse(absl::string_view text);
  std::string ToString() const;
};
// For absl/flags/marshalling.h.
bool AbslParseFlag(absl::string_view text, GateMetric* metric,
                   std::string* error);
std::string AbslUnparseFlag(const GateMetric& metric);

class QualityGate {
 public:
  struct Options {
    std::string file;  // empty: every version passes
    GateMetric metric;
    // Of the served version's value, what a new one has to reach. Lower lets
    // worse versions pass; above 1 it has to be better. Default: a loss of a
    // twentieth, which some hundred users can tell from noise.
    double min_share = 0.95;
    // Of fewer users a mean says little: where fewer can be compared, the
    // version passes. Default: 100.
    size_t min_users = 100;
  };

  // The pointers must outlive this.
  QualityGate(Options options, FileSystem* files, ServerMetrics* metrics);

  // The first time. INVALID_ARGUMENT gives the line, and none of its text.
  absl::Status Load();

  // OK, or FAILED_PRECONDITION with the figures; else as ScoreInBackground().
  // Logs what it found.
  absl::Status Check(const Snapshot& next, const Snapshot& served,
                     const std::function<bool()>& cancelled);

 private:
  // Held-out items by user.
  using Choices = std::map<std::string, std::vector<std::string>>;

  static absl::StatusOr<Choices> Parse(absl::string_view text);

  const Options options_;
  Choices choices_;
  ReloadedFiles file_;
};

}  // namespace neumf
