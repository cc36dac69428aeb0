#include "server/admission.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/stubs/logging.h"
#include "google/rpc/error_details.pb.h"
#include "server/errors.h"
#include "tests/server/test_snapshot.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kNotUtf8[] = "\xC3\x28";

std::vector<std::string> BadFields(const absl::Status& status) {
  google::rpc::BadRequest details;
  std::vector<std::string> fields;
  const google::rpc::Status rpc = ToRpcStatus(status);
  for (const auto& detail : rpc.details()) {
    if (!detail.UnpackTo(&details)) continue;
    for (const auto& violation : details.field_violations()) {
      fields.push_back(violation.field());
    }
  }
  return fields;
}

v1::RecommendRequest RequestFor(const std::string& user_id, int k = 5) {
  v1::RecommendRequest request;
  request.set_user_id(user_id);
  request.set_k(k);
  return request;
}

class AdmissionTest : public testing::Test {
 protected:
  AdmissionTest() : snapshot_(MakeTestSnapshot(1).snapshot) {}

  std::vector<std::string> WrongFields(const v1::RecommendRequest& request) {
    return BadFields(CheckRequest(request, limits_));
  }
  ResolvedQuery ResolveOk(const v1::RecommendRequest& request) {
    return Resolve(request, limits_, *snapshot_, blocked_).value();
  }
  UserVectors UserOf(const ResolvedQuery& query) {
    return UserVectors(*snapshot_->users, query.user_row);
  }
  std::vector<std::string> Names(const Ranking& ranking) {
    std::vector<std::string> names;
    for (const ScoredRow& item : ranking.items) {
      names.emplace_back(snapshot_->item_ids->id(item.row));
    }
    return names;
  }

  const RequestLimits limits_;
  // Leaves out one item.
  void BlockItem(uint64_t row) {
    blocked_.allowed_items = ItemMask::All(snapshot_->shape().num_items);
    blocked_.allowed_items->Clear(row);
    blocked_.num_items = 1;
  }

  const std::unique_ptr<Snapshot> snapshot_;
  BlockedRows blocked_;
};

TEST_F(AdmissionTest, AcceptsWhatIsWithinTheLimits) {
  for (const int k : {0, 1, 1000}) {
    NEUMF_EXPECT_OK(CheckRequest(RequestFor("u", k), limits_));
  }
  NEUMF_EXPECT_OK(CheckRequest(RequestFor(std::string(256, 'x')), limits_));
  NEUMF_EXPECT_OK(CheckRequest(RequestFor(std::string(1, '\0')), limits_));
}

TEST_F(AdmissionTest, RefusesUserIdsOfTheWrongLength) {
  EXPECT_THAT(WrongFields(RequestFor("")), ElementsAre("user_id"));
  EXPECT_THAT(WrongFields(RequestFor(std::string(257, 'x'))),
              ElementsAre("user_id"));
}

TEST_F(AdmissionTest, RefusesKOutOfRange) {
  EXPECT_THAT(WrongFields(RequestFor("u", -1)), ElementsAre("k"));
  EXPECT_THAT(WrongFields(RequestFor("u", 1001)), ElementsAre("k"));
}

TEST_F(AdmissionTest, RefusesTooManyExcludedItems) {
  v1::RecommendRequest request = RequestFor("u");
  for (int i = 0; i < 10'000; ++i) request.add_exclude_item_ids("i1");
  NEUMF_EXPECT_OK(CheckRequest(request, limits_));
  request.add_exclude_item_ids("i1");
  EXPECT_THAT(WrongFields(request), ElementsAre("exclude_item_ids"));
}

TEST_F(AdmissionTest, RefusesExcludedIdsOfTheWrongLength) {
  v1::RecommendRequest request = RequestFor("u");
  request.add_exclude_item_ids("i1");
  request.add_exclude_item_ids("");
  request.add_exclude_item_ids(std::string(257, 'x'));
  EXPECT_THAT(WrongFields(request),
              ElementsAre("exclude_item_ids[1]", "exclude_item_ids[2]"));
}

TEST_F(AdmissionTest, RefusesEnumValuesThatItDoesNotKnow) {
  v1::RecommendRequest request = RequestFor("u");
  request.set_seen_policy(static_cast<v1::SeenPolicy>(77));
  request.set_unknown_user_policy(static_cast<v1::UnknownUserPolicy>(-1));
  EXPECT_THAT(WrongFields(request),
              ElementsAre("seen_policy", "unknown_user_policy"));
}

TEST_F(AdmissionTest, RefusesANamedModel) {
  v1::RecommendRequest request = RequestFor("u");
  request.set_model("other");
  EXPECT_THAT(WrongFields(request), ElementsAre("model"));
}

TEST_F(AdmissionTest, NamesAllWrongFieldsWithThePrefixOfTheBatch) {
  const absl::Status status =
      CheckRequest(RequestFor("", -1), limits_, "requests[3].");
  EXPECT_THAT(BadFields(status),
              ElementsAre("requests[3].user_id", "requests[3].k"));
}

TEST_F(AdmissionTest, NeverEchoesTheCaller) {
  const std::string secret(257, 's');
  EXPECT_THAT(CheckRequest(RequestFor(secret), limits_).ToString(),
              testing::Not(HasSubstr("sss")));
}

TEST_F(AdmissionTest, ABatchHoldsOneToTheMostRequests) {
  EXPECT_THAT(BadFields(CheckBatch({0, 0}, limits_)), ElementsAre("requests"));
  NEUMF_EXPECT_OK(CheckBatch({1000, 0}, limits_));
  EXPECT_THAT(BadFields(CheckBatch({1001, 0}, limits_)),
              ElementsAre("requests"));
}

TEST_F(AdmissionTest, ABatchExcludesSoManyItemsInAll) {
  NEUMF_EXPECT_OK(CheckBatch({11, 100'000}, limits_));
  EXPECT_THAT(BadFields(CheckBatch({11, 100'001}, limits_)),
              ElementsAre("requests"));
}

TEST_F(AdmissionTest, FindsRowsAndDefaults) {
  v1::RecommendRequest request = RequestFor("u3", 0);
  for (const char* id : {"i9", "nobody", "i2", "i9"}) {
    request.add_exclude_item_ids(id);
  }
  const ResolvedQuery query = ResolveOk(request);
  EXPECT_EQ(query.served_from, v1::SERVED_FROM_MODEL);
  EXPECT_EQ(query.k, 10U);
  EXPECT_EQ(query.user_row, snapshot_->user_ids->Find("u3"));
  EXPECT_EQ(query.seen_policy, v1::SEEN_POLICY_DROP);
  EXPECT_EQ(query.excluded.size(), 2U);
  EXPECT_TRUE(std::is_sorted(query.excluded.begin(), query.excluded.end()));
}

TEST_F(AdmissionTest, UnknownUsersAreAnErrorUnlessPopularItemsWereAskedFor) {
  v1::RecommendRequest request = RequestFor("nobody");
  EXPECT_THAT(Resolve(request, limits_, *snapshot_, blocked_),
              StatusIs(absl::StatusCode::kNotFound));
  request.set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_ERROR);
  EXPECT_THAT(Resolve(request, limits_, *snapshot_, blocked_),
              StatusIs(absl::StatusCode::kNotFound));
  request.set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_POPULAR);
  EXPECT_EQ(ResolveOk(request).served_from, v1::SERVED_FROM_POPULAR);
  snapshot_->popularity = nullptr;
  EXPECT_THAT(Resolve(request, limits_, *snapshot_, blocked_),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(AdmissionTest, ABlockedUserIsOneThatNobodyKnows) {
  v1::RecommendRequest request = RequestFor("u3");
  v1::RecommendRequest of_nobody = RequestFor("nobody");
  blocked_.users.insert(*snapshot_->user_ids->Find("u3"));
  EXPECT_EQ(Resolve(request, limits_, *snapshot_, blocked_).status(),
            Resolve(of_nobody, limits_, *snapshot_, blocked_).status());
  for (v1::RecommendRequest* asked : {&request, &of_nobody}) {
    asked->set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_POPULAR);
    const ResolvedQuery query = ResolveOk(*asked);
    EXPECT_EQ(query.served_from, v1::SERVED_FROM_POPULAR);
    EXPECT_EQ(query.user_row, 0U);
  }
  EXPECT_EQ(ResolveOk(RequestFor("u2")).served_from, v1::SERVED_FROM_MODEL);
}

TEST_F(AdmissionTest, AQueryThatLosesItsUserIsWhatItWouldHaveBeenWithoutOne) {
  v1::RecommendRequest request = RequestFor("u3");
  request.add_exclude_item_ids("i7");
  EXPECT_THAT(WithoutUser(ResolveOk(request)),
              StatusIs(absl::StatusCode::kNotFound));
  request.set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_POPULAR);
  const ResolvedQuery query = WithoutUser(ResolveOk(request)).value();
  EXPECT_EQ(query.served_from, v1::SERVED_FROM_POPULAR);
  EXPECT_EQ(query.k, 5U);
  EXPECT_EQ(query.excluded.size(), 1U);
}

TEST_F(AdmissionTest, KnownUsersAreServedByTheModelWhateverTheFallback) {
  v1::RecommendRequest request = RequestFor("u0");
  request.set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_POPULAR);
  EXPECT_EQ(ResolveOk(request).served_from, v1::SERVED_FROM_MODEL);
}

TEST_F(AdmissionTest, SeenPoliciesBecomeFilters) {
  v1::RecommendRequest request = RequestFor("u2");
  const uint32_t user_row = *snapshot_->user_ids->Find("u2");
  const absl::Span<const uint32_t> seen = snapshot_->seen->row(user_row);
  ASSERT_FALSE(seen.empty());

  ResolvedQuery query = ResolveOk(request);
  RankQuery rank = MakeRankQuery(query, *snapshot_, UserOf(query));
  EXPECT_EQ(rank.seen, seen);
  EXPECT_FALSE(rank.allow_rows.has_value());
  EXPECT_EQ(rank.user_gmf, snapshot_->users->gmf.row(user_row).data());
  EXPECT_EQ(rank.user_tower, snapshot_->users->tower.row(user_row).data());

  request.set_seen_policy(v1::SEEN_POLICY_KEEP);
  query = ResolveOk(request);
  rank = MakeRankQuery(query, *snapshot_, UserOf(query));
  EXPECT_THAT(rank.seen, IsEmpty());
  EXPECT_FALSE(rank.allow_rows.has_value());

  request.set_seen_policy(v1::SEEN_POLICY_ONLY);
  query = ResolveOk(request);
  rank = MakeRankQuery(query, *snapshot_, UserOf(query));
  EXPECT_THAT(rank.seen, IsEmpty());
  EXPECT_EQ(*rank.allow_rows, seen);
}

TEST_F(AdmissionTest, AsksTheScorerForNoMoreThanTheCatalog) {
  const ResolvedQuery query = ResolveOk(RequestFor("u0", 1000));
  EXPECT_EQ(MakeRankQuery(query, *snapshot_, UserOf(query)).k, 33U);
}

TEST_F(AdmissionTest, PopularItemsComeBestFirstWithoutTheExcluded) {
  v1::RecommendRequest request = RequestFor("nobody", 4);
  request.set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_POPULAR);
  const std::vector<std::string> all =
      Names(RankByPopularity(ResolveOk(request), *snapshot_, blocked_));
  ASSERT_EQ(all.size(), 4U);
  request.add_exclude_item_ids(all[1]);
  const Ranking ranking =
      RankByPopularity(ResolveOk(request), *snapshot_, blocked_);
  EXPECT_EQ(ranking.eligible_count, 32U);
  EXPECT_TRUE(std::is_sorted(ranking.items.begin(), ranking.items.end()));
  const std::vector<std::string> rest = Names(ranking);
  ASSERT_EQ(rest.size(), 4U);
  EXPECT_EQ(rest[0], all[0]);
  EXPECT_EQ(rest[1], all[2]);
  EXPECT_EQ(rest[2], all[3]);
}

TEST_F(AdmissionTest, PopularItemsComeWithoutTheBlocked) {
  v1::RecommendRequest request = RequestFor("nobody", 33);
  request.set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_POPULAR);
  const std::vector<std::string> all =
      Names(RankByPopularity(ResolveOk(request), *snapshot_, blocked_));
  BlockItem(*snapshot_->item_ids->Find(all[0]));
  const Ranking ranking =
      RankByPopularity(ResolveOk(request), *snapshot_, blocked_);
  EXPECT_EQ(ranking.eligible_count, 32U);
  EXPECT_THAT(Names(ranking),
              ElementsAreArray(std::next(all.begin()), all.end()));
  // What is left out twice counts once.
  request.add_exclude_item_ids(all[0]);
  request.add_exclude_item_ids(all[1]);
  EXPECT_EQ(
      RankByPopularity(ResolveOk(request), *snapshot_, blocked_).eligible_count,
      31U);
}

TEST_F(AdmissionTest, AnUnknownUserHasSeenNothing) {
  v1::RecommendRequest request = RequestFor("nobody");
  request.set_unknown_user_policy(v1::UNKNOWN_USER_POLICY_POPULAR);
  request.set_seen_policy(v1::SEEN_POLICY_ONLY);
  const ResolvedQuery query = ResolveOk(request);
  const Ranking ranking = RankByPopularity(query, *snapshot_, blocked_);
  v1::RecommendResponse response;
  FillResponse(query, ranking, *snapshot_, &response);
  EXPECT_EQ(response.items_size(), 0);
  EXPECT_EQ(response.candidate_count(), 0);
  EXPECT_EQ(response.shortfall_reason(), v1::SHORTFALL_REASON_ELIGIBLE_ITEMS);
}

TEST_F(AdmissionTest, ResponsesNameItemsAndVersion) {
  const ResolvedQuery query = ResolveOk(RequestFor("u0", 2));
  Ranking ranking;
  ranking.items = {{2.5F, 7}, {1.5F, 3}};
  ranking.eligible_count = 30;
  v1::RecommendResponse response;
  FillResponse(query, ranking, *snapshot_, &response);
  ASSERT_EQ(response.items_size(), 2);
  EXPECT_EQ(response.items(0).item_id(), snapshot_->item_ids->id(7));
  EXPECT_EQ(response.items(0).score(), 2.5F);
  EXPECT_EQ(response.model_version(), "1");
  EXPECT_EQ(response.served_from(), v1::SERVED_FROM_MODEL);
  EXPECT_EQ(response.candidate_count(), 30);
  EXPECT_EQ(response.shortfall_reason(), v1::SHORTFALL_REASON_UNSPECIFIED);
}

TEST_F(AdmissionTest, AShortAnswerIsShortOfWhatWasAskedNotOfTheCatalog) {
  const ResolvedQuery query = ResolveOk(RequestFor("u0", 1000));
  Ranking ranking;
  ranking.items.resize(33);
  ranking.eligible_count = 33;
  v1::RecommendResponse response;
  FillResponse(query, ranking, *snapshot_, &response);
  EXPECT_EQ(response.shortfall_reason(), v1::SHORTFALL_REASON_ELIGIBLE_ITEMS);
}

// Protobuf logs each bad string beside refusing it.
class ParseRequestTest : public testing::Test {
 protected:
  static absl::Status Parse(const std::string& bytes,
                            google::protobuf::Message* message) {
    return ParseRequest(bytes, message);
  }
  static absl::Status ParseSingle(const v1::RecommendRequest& request) {
    v1::RecommendRequest parsed;
    return Parse(request.SerializePartialAsString(), &parsed);
  }

 private:
  const google::protobuf::LogSilencer silencer_;
};

TEST_F(ParseRequestTest, ReadsARequest) {
  v1::RecommendRequest parsed;
  NEUMF_ASSERT_OK(Parse(RequestFor("u1", 7).SerializeAsString(), &parsed));
  EXPECT_EQ(parsed.user_id(), "u1");
  EXPECT_EQ(parsed.k(), 7);
}

TEST_F(ParseRequestTest, NamesTheStringThatIsNotUtf8) {
  v1::RecommendRequest request = RequestFor(kNotUtf8);
  EXPECT_THAT(BadFields(ParseSingle(request)), ElementsAre("user_id"));

  request = RequestFor("u");
  request.set_model(kNotUtf8);
  EXPECT_THAT(BadFields(ParseSingle(request)), ElementsAre("model"));

  request = RequestFor("u");
  request.add_exclude_item_ids("fine");
  request.add_exclude_item_ids(kNotUtf8);
  EXPECT_THAT(BadFields(ParseSingle(request)),
              ElementsAre("exclude_item_ids[1]"));
}

TEST_F(ParseRequestTest, NamesItInABatchToo) {
  v1::BatchRecommendRequest batch;
  for (int i = 0; i < 4; ++i) batch.add_requests()->set_user_id("u");
  batch.mutable_requests(3)->add_exclude_item_ids("fine");
  batch.mutable_requests(3)->add_exclude_item_ids(kNotUtf8);
  v1::BatchRecommendRequest parsed;
  EXPECT_THAT(BadFields(Parse(batch.SerializePartialAsString(), &parsed)),
              ElementsAre("requests[3].exclude_item_ids[1]"));
}

TEST_F(ParseRequestTest, TakesARequestUpToItsLimit) {
  // Repeated fields of the same kind, the last of which counts.
  std::string bytes = RequestFor("u1").SerializeAsString();
  v1::RecommendRequest first;
  first.set_user_id(std::string(kMaxRequestBytes - bytes.size() - 4, 'x'));
  bytes = first.SerializeAsString() + bytes;
  ASSERT_EQ(bytes.size(), kMaxRequestBytes);
  v1::RecommendRequest parsed;
  NEUMF_ASSERT_OK(Parse(bytes, &parsed));
  EXPECT_EQ(parsed.user_id(), "u1");

  bytes += '\0';
  EXPECT_THAT(Parse(bytes, &parsed),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "the request has 1048577 bytes, more than 1048576"));
}

TEST_F(ParseRequestTest, JunkIsNoSuchMessage) {
  v1::RecommendRequest parsed;
  for (const std::string& junk :
       {std::string("\xff\xff\xff\xff"), std::string("\x0a\x05"),
        std::string("\x00", 1), std::string(100, '\x0c')}) {
    const absl::Status status = Parse(junk, &parsed);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 "the bytes are no neumf.v1.RecommendRequest"));
  }
}

TEST_F(ParseRequestTest, JunkWithinABatchIsNoSuchMessage) {
  v1::BatchRecommendRequest parsed;
  // Field 1, two bytes long: a string of five bytes that are not there.
  EXPECT_THAT(Parse(std::string("\x0a\x02\x0a\x05", 4), &parsed),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "the bytes are no neumf.v1.BatchRecommendRequest"));
}

TEST_F(ParseRequestTest, FieldsFromTheFutureAreSkipped) {
  v1::RecommendRequest parsed;
  // Field 100, a varint, then user_id.
  NEUMF_EXPECT_OK(Parse(std::string("\xa0\x06\x01\x0a\x01u", 6), &parsed));
  EXPECT_EQ(parsed.user_id(), "u");
}

}  // namespace
}  // namespace neumf
