#include "trainer/distributed/agreement.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

std::string NameOf(const Collective& collective) {
  return absl::StrCat("process ", collective.rank(), " of ", collective.size());
}

absl::Status ShareCount(uint64_t* count, Collective& collective) {
  uint8_t bytes[sizeof(*count)];
  std::memcpy(bytes, count, sizeof(bytes));
  NEUMF_RETURN_IF_ERROR(collective.Broadcast(absl::MakeSpan(bytes)));
  std::memcpy(count, bytes, sizeof(bytes));
  return absl::OkStatus();
}

// Process 0's elements, of any plain type, replace those of the others.
template <class Elements>
absl::Status ShareElements(Elements* elements, Collective& collective) {
  uint64_t count = elements->size();
  NEUMF_RETURN_IF_ERROR(ShareCount(&count, collective));
  elements->resize(count);
  if (count == 0) return absl::OkStatus();
  return collective.Broadcast(
      absl::MakeSpan(reinterpret_cast<uint8_t*>(elements->data()),
                     count * sizeof(typename Elements::value_type)));
}

// A line each name, so that texts compare as identities do.
std::string TextOf(const RunIdentity& run) {
  return absl::StrJoin(run, "\n", absl::PairFormatter(" = "));
}

Sha256Digest DigestOf(absl::Span<const float> values) {
  Sha256 hash;
  hash.Update(values.data(), values.size() * sizeof(float));
  return hash.Finish();
}

absl::Status Disagreement(const Collective& collective, bool is_mine,
                          const std::string& what) {
  return absl::FailedPreconditionError(
      is_mine ? absl::StrCat(NameOf(collective), " ", what)
              : absl::StrCat(NameOf(collective),
                             " ends, as another one does not agree with "
                             "process 0: see what it says"));
}

// The first line that differs, as each side has it.
std::string FirstDifference(const std::string& theirs, const RunIdentity& run) {
  const std::string mine = TextOf(run);
  size_t at = 0;
  while (at < mine.size() && at < theirs.size() && mine[at] == theirs[at]) {
    ++at;
  }
  const auto line = [at](const std::string& text) {
    const size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
    return text.substr(begin, text.find('\n', begin) - begin);
  };
  return absl::StrCat("differs from process 0: '", line(mine),
                      "' here, and there '", line(theirs), "'");
}

}  // namespace

absl::StatusOr<bool> AnySays(bool is_so, Collective& collective) {
  uint8_t bits[] = {static_cast<uint8_t>(is_so ? 1 : 0)};
  NEUMF_RETURN_IF_ERROR(collective.Or(absl::MakeSpan(bits)));
  return bits[0] != 0;
}

absl::Status CheckSameRun(const RunIdentity& run, Collective& collective) {
  std::string text = TextOf(run);
  NEUMF_RETURN_IF_ERROR(ShareElements(&text, collective));
  const bool differs = text != TextOf(run);
  NEUMF_ASSIGN_OR_RETURN(const bool any_differs, AnySays(differs, collective));
  if (!any_differs) return absl::OkStatus();
  return Disagreement(collective, differs,
                      differs ? FirstDifference(text, run) : "");
}

absl::StatusOr<Sha256Digest> CheckSameParameters(
    absl::Span<const float> parameters, Collective& collective) {
  const Sha256Digest mine = DigestOf(parameters);
  Sha256Digest theirs = mine;
  NEUMF_RETURN_IF_ERROR(collective.Broadcast(absl::MakeSpan(theirs)));
  const bool differs = mine != theirs;
  NEUMF_ASSIGN_OR_RETURN(const bool any_differs, AnySays(differs, collective));
  if (!any_differs) return mine;
  return Disagreement(collective, differs,
                      "has other parameters than process 0: run the same "
                      "program on machines of the same kind");
}

absl::StatusOr<std::optional<TrainingState>> ShareState(
    const std::optional<TrainingState>& state, Collective& collective) {
  NEUMF_ASSIGN_OR_RETURN(
      const bool has_state,
      AnySays(collective.leads() && state.has_value(), collective));
  if (!has_state) return std::optional<TrainingState>();
  TrainingState shared = state.value_or(TrainingState());
  auto nanos = static_cast<uint64_t>(absl::ToInt64Nanoseconds(shared.duration));
  for (uint64_t* const count :
       {&shared.num_examples, &shared.num_steps, &nanos}) {
    NEUMF_RETURN_IF_ERROR(ShareCount(count, collective));
  }
  shared.duration = absl::Nanoseconds(static_cast<int64_t>(nanos));
  NEUMF_RETURN_IF_ERROR(ShareElements(&shared.epoch_losses, collective));
  for (std::vector<float>* const values :
       {&shared.parameters, &shared.first_moment, &shared.second_moment}) {
    NEUMF_RETURN_IF_ERROR(ShareElements(values, collective));
  }
  return std::optional<TrainingState>(std::move(shared));
}

absl::Status ShareStatus(const absl::Status& status, Collective& collective) {
  const absl::StatusOr<bool> failed =
      AnySays(collective.leads() && !status.ok(), collective);
  if (!status.ok()) return status;
  if (!failed.ok()) return failed.status();
  if (!*failed) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat(
      NameOf(collective), " ends, as process 0 failed: see what it says"));
}

}  // namespace neumf
