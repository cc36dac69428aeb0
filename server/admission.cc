#include "server/admission.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/unknown_field_set.h"
#include "model/id_table.h"
#include "server/errors.h"

namespace neumf {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

// What a walk over the wire format of a message found.
struct WireFinding {
  bool is_message = true;
  std::string bad_string;  // path of the first string that is not UTF-8
};

// The recursion ends because no message of ours contains itself.
// NOLINTBEGIN(misc-no-recursion)
WireFinding InspectWire(absl::string_view bytes, const Descriptor& type,
                        const std::string& prefix);

// The finding in one field; `path` is the field's own.
WireFinding InspectField(const UnknownField& value,
                         const FieldDescriptor& field,
                         const std::string& path) {
  WireFinding finding;
  if (field.type() == FieldDescriptor::TYPE_MESSAGE) {
    return InspectWire(value.length_delimited(), *field.message_type(),
                       absl::StrCat(path, "."));
  }
  if (field.type() == FieldDescriptor::TYPE_STRING &&
      !IsValidUtf8(value.length_delimited())) {
    finding.bad_string = path;
  }
  return finding;
}

WireFinding InspectWire(absl::string_view bytes, const Descriptor& type,
                        const std::string& prefix) {
  WireFinding finding;
  UnknownFieldSet fields;
  if (!fields.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    finding.is_message = false;
    return finding;
  }
  std::map<int, int> next_index;  // by field number, of repeated fields
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& value = fields.field(i);
    const FieldDescriptor* field = type.FindFieldByNumber(value.number());
    if (field == nullptr ||
        value.type() != UnknownField::TYPE_LENGTH_DELIMITED) {
      continue;
    }
    std::string path = absl::StrCat(prefix, field->name());
    if (field->is_repeated()) {
      absl::StrAppend(&path, "[", next_index[value.number()]++, "]");
    }
    finding = InspectField(value, *field, path);
    if (!finding.is_message || !finding.bad_string.empty()) return finding;
  }
  return finding;
}
// NOLINTEND(misc-no-recursion)

// Collects what is wrong with a request, up to the number that is reported.
class Violations {
 public:
  explicit Violations(absl::string_view path_prefix) : prefix_(path_prefix) {}

  void Add(absl::string_view field, absl::string_view description) {
    if (full()) return;
    found_.push_back({absl::StrCat(prefix_, field), std::string(description)});
  }
  bool full() const { return found_.size() == kMaxFieldViolations; }

  absl::Status ToStatus() const {
    return found_.empty() ? absl::OkStatus() : InvalidRequest(found_);
  }

 private:
  const absl::string_view prefix_;
  std::vector<FieldViolation> found_;
};

bool IsIdLength(const std::string& id) {
  return !id.empty() && id.size() <= IdTable::kMaxIdBytes;
}

std::string IdLengthText() {
  return absl::StrCat("must have 1 to ", IdTable::kMaxIdBytes, " bytes");
}

void CheckExcludedIds(const v1::RecommendRequest& request,
                      const RequestLimits& limits, Violations* violations) {
  if (request.exclude_item_ids_size() > limits.max_excluded_items) {
    violations->Add(
        "exclude_item_ids",
        absl::StrCat("must hold at most ", limits.max_excluded_items, " ids"));
    return;
  }
  for (int i = 0; i < request.exclude_item_ids_size(); ++i) {
    if (IsIdLength(request.exclude_item_ids(i))) continue;
    violations->Add(absl::StrCat("exclude_item_ids[", i, "]"), IdLengthText());
    if (violations->full()) return;
  }
}

// Rows of the excluded ids that exist, strictly ascending.
std::vector<uint32_t> ExcludedRows(const v1::RecommendRequest& request,
                                   const IdTable& item_ids) {
  std::vector<uint32_t> rows;
  rows.reserve(request.exclude_item_ids_size());
  for (const std::string& id : request.exclude_item_ids()) {
    const std::optional<uint32_t> row = item_ids.Find(id);
    if (row.has_value()) rows.push_back(*row);
  }
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

v1::SeenPolicy EffectivePolicy(v1::SeenPolicy policy) {
  return policy == v1::SEEN_POLICY_UNSPECIFIED ? v1::SEEN_POLICY_DROP : policy;
}

}  // namespace

absl::Status ParseRequest(absl::string_view bytes,
                          google::protobuf::Message* message) {
  if (bytes.size() > kMaxRequestBytes) {
    return WithErrorInfo("REQUEST_TOO_LARGE",
                         absl::ResourceExhaustedError(absl::StrCat(
                             "the request has ", bytes.size(),
                             " bytes, more than ", kMaxRequestBytes)));
  }
  if (message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::OkStatus();
  }
  const Descriptor& type = *message->GetDescriptor();
  const WireFinding finding = InspectWire(bytes, type, "");
  if (finding.is_message && !finding.bad_string.empty()) {
    return InvalidRequest({{finding.bad_string, "must be UTF-8"}});
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the bytes are no ", type.full_name()));
}

absl::Status CheckRequest(const v1::RecommendRequest& request,
                          const RequestLimits& limits,
                          absl::string_view path_prefix) {
  Violations violations(path_prefix);
  if (!IsIdLength(request.user_id())) {
    violations.Add("user_id", IdLengthText());
  }
  if (request.k() < 0 || request.k() > limits.max_k) {
    violations.Add("k", absl::StrCat("must be from 0 to ", limits.max_k));
  }
  if (!v1::SeenPolicy_IsValid(request.seen_policy())) {
    violations.Add("seen_policy", "must be a value of SeenPolicy");
  }
  if (!v1::UnknownUserPolicy_IsValid(request.unknown_user_policy())) {
    violations.Add("unknown_user_policy",
                   "must be a value of UnknownUserPolicy");
  }
  if (!request.model().empty()) {
    violations.Add("model", "must be empty: one model is served");
  }
  CheckExcludedIds(request, limits, &violations);
  return violations.ToStatus();
}

absl::Status CheckBatch(const BatchOutline& batch,
                        const RequestLimits& limits) {
  Violations violations("");
  if (batch.num_requests == 0 ||
      batch.num_requests > limits.max_batch_requests) {
    violations.Add("requests",
                   absl::StrCat("must hold 1 to ", limits.max_batch_requests,
                                " requests"));
  }
  if (batch.num_excluded > limits.max_batch_excluded) {
    violations.Add("requests",
                   absl::StrCat("must hold at most ", limits.max_batch_excluded,
                                " exclude_item_ids in all"));
  }
  return violations.ToStatus();
}

absl::StatusOr<ResolvedQuery> Resolve(const v1::RecommendRequest& request,
                                      const RequestLimits& limits,
                                      const Snapshot& snapshot,
                                      const BlockedRows& blocked) {
  ResolvedQuery query;
  query.popular_if_unknown =
      request.unknown_user_policy() == v1::UNKNOWN_USER_POLICY_POPULAR &&
      snapshot.popularity != nullptr;
  const std::optional<uint32_t> user_row =
      snapshot.user_ids->Find(request.user_id());
  if (user_row.has_value() && !blocked.BlocksUser(*user_row)) {
    query.user_row = *user_row;
  } else {
    NEUMF_ASSIGN_OR_RETURN(query, WithoutUser(std::move(query)));
  }
  const int32_t k = request.k() == 0 ? limits.default_k : request.k();
  query.k = static_cast<uint32_t>(k);
  query.seen_policy = EffectivePolicy(request.seen_policy());
  query.excluded = ExcludedRows(request, *snapshot.item_ids);
  return query;
}

absl::StatusOr<ResolvedQuery> WithoutUser(ResolvedQuery query) {
  if (!query.popular_if_unknown) return UnknownUser();
  query.served_from = v1::SERVED_FROM_POPULAR;
  query.user_row = 0;
  return query;
}

RankQuery MakeRankQuery(const ResolvedQuery& query, const Snapshot& snapshot,
                        const UserVectors& user) {
  RankQuery result;
  result.user_gmf = user.gmf();
  result.user_tower = user.tower();
  const absl::Span<const uint32_t> seen = snapshot.seen->row(query.user_row);
  if (query.seen_policy == v1::SEEN_POLICY_DROP) result.seen = seen;
  if (query.seen_policy == v1::SEEN_POLICY_ONLY) result.allow_rows = seen;
  result.excluded = query.excluded;
  result.k = static_cast<uint32_t>(
      std::min<uint64_t>(query.k, snapshot.shape().num_items));
  return result;
}

Ranking RankByPopularity(const ResolvedQuery& query, const Snapshot& snapshot,
                         const BlockedRows& blocked) {
  Ranking ranking;
  // A user that the model does not know has seen nothing that we know of.
  if (query.seen_policy == v1::SEEN_POLICY_ONLY) return ranking;
  const std::vector<ScoredRow>& items = snapshot.popularity->items;
  ranking.eligible_count =
      items.size() - blocked.num_items -
      std::count_if(query.excluded.begin(), query.excluded.end(),
                    [&](uint32_t row) { return !blocked.BlocksItem(row); });
  const size_t wanted = std::min<size_t>(query.k, ranking.eligible_count);
  ranking.items.reserve(wanted);
  for (const ScoredRow& item : items) {
    if (ranking.items.size() == wanted) break;
    if (!blocked.BlocksItem(item.row) &&
        !std::binary_search(query.excluded.begin(), query.excluded.end(),
                            item.row)) {
      ranking.items.push_back(item);
    }
  }
  return ranking;
}

void FillResponse(const ResolvedQuery& query, const Ranking& ranking,
                  const Snapshot& snapshot, v1::RecommendResponse* response) {
  response->mutable_items()->Reserve(static_cast<int>(ranking.items.size()));
  for (const ScoredRow& ranked : ranking.items) {
    v1::ScoredItem* item = response->add_items();
    const absl::string_view id = snapshot.item_ids->id(ranked.row);
    item->set_item_id(id.data(), id.size());
    item->set_score(ranked.score);
  }
  response->set_model_version(snapshot.version_text);
  response->set_served_from(query.served_from);
  response->set_candidate_count(static_cast<int32_t>(std::min<uint64_t>(
      ranking.eligible_count, std::numeric_limits<int32_t>::max())));
  if (ranking.items.size() < query.k) {
    response->set_shortfall_reason(v1::SHORTFALL_REASON_ELIGIBLE_ITEMS);
  }
}

}  // namespace neumf
