#pragma once

// From a request to a query: checks what was asked, and finds its rows in a
// snapshot. Pure functions over messages and a snapshot: no gRPC, no threads.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "model/user_vectors.h"
#include "neumf/v1/recommendation_service.pb.h"
#include "scoring/scorer.h"
#include "server/batch_outline.h"
#include "server/snapshot.h"

namespace neumf {

struct RequestLimits {
  int32_t default_k = 10;                // for k = 0
  int32_t max_k = 1000;                  // above it: INVALID_ARGUMENT
  int max_batch_requests = 1000;         // requests in one BatchRecommend
  int max_excluded_items = 10'000;       // ids in one request
  int64_t max_batch_excluded = 100'000;  // ids in all of a BatchRecommend
  // What calls that come without a deadline have: nobody waits for ever.
  absl::Duration default_deadline = absl::Seconds(5);         // Recommend
  absl::Duration default_batch_deadline = absl::Seconds(30);  // BatchRecommend
};

// The largest request that is taken.
constexpr size_t kMaxRequestBytes = 1 << 20;

// Parses the bytes of a request. What is longer than kMaxRequestBytes is
// RESOURCE_EXHAUSTED; what else fails is INVALID_ARGUMENT: a string that
// is not UTF-8 is named by its field's path, other bytes are said to be no such
// message. (Protobuf's own parser refuses bad UTF-8 without saying where, and
// gRPC would make UNIMPLEMENTED of it.)
absl::Status ParseRequest(absl::string_view bytes,
                          google::protobuf::Message* message);

// OK, or InvalidRequest() with every field that is wrong; their paths start
// with `path_prefix`.
absl::Status CheckRequest(const v1::RecommendRequest& request,
                          const RequestLimits& limits,
                          absl::string_view path_prefix = "");
// Of the batch as a whole; its requests are checked one by one, with the prefix
// "requests[i].": a wrong one fails alone.
absl::Status CheckBatch(const BatchOutline& batch, const RequestLimits& limits);

// A checked request in the rows of one snapshot. It owns what a RankQuery
// points to, beside the snapshot itself.
struct ResolvedQuery {
  // How to answer: from the model's scores, or from popularity without scoring.
  v1::ServedFrom served_from = v1::SERVED_FROM_MODEL;
  uint32_t k = 0;
  uint32_t user_row = 0;  // meaningless with SERVED_FROM_POPULAR
  v1::SeenPolicy seen_policy = v1::SEEN_POLICY_DROP;  // never UNSPECIFIED
  std::vector<uint32_t> excluded;   // item rows, strictly ascending
  bool popular_if_unknown = false;  // asked for, and there is popularity
};

// UnknownUser() where the user is unknown or blocked, and no fallback was asked
// for, or there is none. REQUIRES: CheckRequest(request) is OK.
absl::StatusOr<ResolvedQuery> Resolve(const v1::RecommendRequest& request,
                                      const RequestLimits& limits,
                                      const Snapshot& snapshot,
                                      const BlockedRows& blocked);
// What Resolve() would have made of `query` without its user.
absl::StatusOr<ResolvedQuery> WithoutUser(ResolvedQuery query);

// What the scorer is asked for `query`, blocked items included, about the user
// of query.user_row; it points into `query`, `snapshot` and where `user` points.
// REQUIRES: query.served_from is SERVED_FROM_MODEL.
RankQuery MakeRankQuery(const ResolvedQuery& query, const Snapshot& snapshot,
                        const UserVectors& user);

// The most popular eligible items, in the form of a scorer's answer.
// REQUIRES: query.served_from is SERVED_FROM_POPULAR.
Ranking RankByPopularity(const ResolvedQuery& query, const Snapshot& snapshot,
                         const BlockedRows& blocked);

// The response for `ranking`, with names from `snapshot`.
void FillResponse(const ResolvedQuery& query, const Ranking& ranking,
                  const Snapshot& snapshot, v1::RecommendResponse* response);

}  // namespace neumf
