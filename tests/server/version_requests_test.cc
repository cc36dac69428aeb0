#include "server/version_requests.h"

#include <utility>
#include <vector>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class VersionRequestsTest : public testing::Test {
 protected:
  // One whose answer lands in `answers_`.
  VersionRequest Request(uint64_t version, bool wanted = true) {
    VersionRequest request;
    request.kind = VersionRequest::Kind::kLoad;
    request.version = version;
    request.is_wanted = [wanted] { return wanted; };
    request.answer = [this](const absl::StatusOr<VersionAnswer>& answer) {
      answers_.push_back(answer.status().code());
    };
    return request;
  }
  std::vector<uint64_t> TakeAll() {
    std::vector<uint64_t> versions;
    while (const auto request = requests_.Take()) {
      versions.push_back(request->version);
    }
    return versions;
  }

  int rings_ = 0;
  VersionRequests requests_{[this] { ++rings_; }};
  std::vector<absl::StatusCode> answers_;
};

TEST_F(VersionRequestsTest, AreTakenInOrder) {
  requests_.Add(Request(1));
  requests_.Add(Request(2));
  EXPECT_EQ(rings_, 2);
  EXPECT_THAT(TakeAll(), ElementsAre(1U, 2U));
  EXPECT_THAT(answers_, IsEmpty());
}

TEST_F(VersionRequestsTest, ThoseThatNobodyWaitsForAreNotServed) {
  requests_.Add(Request(1, /*wanted=*/false));
  requests_.Add(Request(2));
  EXPECT_THAT(TakeAll(), ElementsAre(2U));
  EXPECT_THAT(answers_, ElementsAre(absl::StatusCode::kCancelled));
}

TEST_F(VersionRequestsTest, ThoseThatWerePutOffComeFirst) {
  for (uint64_t version = 1; version <= 3; ++version) {
    requests_.Add(Request(version));
  }
  requests_.PutOff(*requests_.Take());
  requests_.PutOff(*requests_.Take());
  requests_.Resume();
  EXPECT_THAT(TakeAll(), ElementsAre(1U, 2U, 3U));
}

TEST_F(VersionRequestsTest, TooManyAreAnsweredAtOnce) {
  for (size_t i = 0; i < VersionRequests::kMaxWaiting; ++i) {
    requests_.Add(Request(i));
  }
  EXPECT_THAT(answers_, IsEmpty());
  requests_.Add(Request(99));
  EXPECT_THAT(answers_, ElementsAre(absl::StatusCode::kUnavailable));
}

TEST_F(VersionRequestsTest, AllAreAnsweredWhenTheDaemonStops) {
  requests_.Add(Request(1));
  requests_.Add(Request(2));
  VersionRequest taken = *requests_.Take();
  requests_.Add(Request(3));
  requests_.PutOff(*requests_.Take());
  requests_.Close();
  EXPECT_THAT(answers_, SizeIs(2));
  requests_.PutOff(std::move(taken));
  requests_.Add(Request(4));
  EXPECT_THAT(
      answers_,
      testing::AllOf(SizeIs(4), testing::Each(absl::StatusCode::kUnavailable)));
}

}  // namespace
}  // namespace neumf
