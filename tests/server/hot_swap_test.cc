// New versions while calls run: no call fails, and every answer is wholly that
// of the version it names.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/server/running_server.h"
#include "tests/support/eventually.h"

namespace neumf {
namespace {

constexpr int kNumVersions = 8;
constexpr int kNumCallers = 4;

TinyModel ModelOf(uint64_t version) {
  TinyModelOptions options;
  options.seed = version;
  options.num_items = 20 + version;  // rows of one version fit no other
  return MakeTinyModel(options);
}

// What `version` answers when it is served alone.
std::string AnswerOf(uint64_t version) {
  const TinyModel tiny = ModelOf(version);
  auto builder = MakeScorerBuilder(Backend::kReference, tiny.model.shape,
                                   tiny.model.network, {});
  EXPECT_TRUE(StreamItemTables(tiny.items, [&](const ItemRows& rows) {
                return (*builder)->Add(rows);
              }).ok());
  const auto scorer = (*builder)->Build();
  RankQuery query;
  query.user_gmf = tiny.model.users.gmf.row(0).data();
  query.user_tower = tiny.model.users.tower.row(0).data();
  query.seen = tiny.model.seen.row(0);
  query.k = 10;
  Ranking ranking;
  EXPECT_TRUE((*scorer)->Rank({&query, 1}, absl::MakeSpan(&ranking, 1)).ok());
  std::string answer;
  for (const ScoredRow& item : ranking.items) {
    absl::StrAppend(&answer, tiny.model.item_ids.id(item.row), " ", item.score,
                    "\n");
  }
  return answer;
}

std::string AnswerIn(const v1::RecommendResponse& response) {
  std::string answer;
  for (const auto& item : response.items()) {
    absl::StrAppend(&answer, item.item_id(), " ", item.score(), "\n");
  }
  return answer;
}

class HotSwapTest : public testing::Test {
 protected:
  HotSwapTest() {
    for (uint64_t version = 1; version <= kNumVersions; ++version) {
      expected_[absl::StrCat(version)] = AnswerOf(version);
    }
    server_.Publish(ModelOf(1));
    server_.Start();
  }

  // Calls until the last version answers; checks every answer.
  void CallUntilTheEnd() {
    uint64_t last = 0;
    while (last < kNumVersions && !HasFailure()) {
      v1::RecommendRequest request;
      request.set_user_id("u0");
      v1::RecommendResponse response;
      const grpc::Status status = server_.recommendations()->Recommend(
          PatientContext().get(), request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      ASSERT_EQ(AnswerIn(response), expected_.at(response.model_version()));
      uint64_t version = 0;
      ASSERT_TRUE(absl::SimpleAtoi(response.model_version(), &version));
      ASSERT_GE(version, last) << "the version went back";
      last = version;
      latest_ = std::max<uint64_t>(latest_, version);
    }
  }

  void WaitUntilServed(uint64_t version) {
    EXPECT_TRUE(Eventually([&] { return latest_ >= version || HasFailure(); }));
  }

  std::map<std::string, std::string> expected_;  // by version
  RunningServer server_;
  std::atomic<uint64_t> latest_{0};
};

TEST_F(HotSwapTest, EveryAnswerIsThatOfTheVersionItNames) {
  std::vector<std::thread> callers;
  callers.reserve(kNumCallers);
  for (int i = 0; i < kNumCallers; ++i) {
    callers.emplace_back([this] { CallUntilTheEnd(); });
  }
  for (uint64_t version = 2; version <= kNumVersions; ++version) {
    EXPECT_EQ(server_.Publish(ModelOf(version)), version);
    WaitUntilServed(version);
  }
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace neumf
