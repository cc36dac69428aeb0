// A device that is full, fails or is lost: an error that says so, nothing left
// behind, and a way on.

#include "absl/strings/str_cat.h"
#include "tests/scoring/cuda/cuda_scorer_fixture.h"

namespace neumf::cuda {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr auto kUnavailable = absl::StatusCode::kUnavailable;
constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;

class CudaFaultsTest : public CudaScorerTest {
 protected:
  CudaFaultsTest() : small_(MakeTinyModel(Sized(300, 3, {9, 5}))) {}

  uint64_t LiveBytes() const {
    return gpu_.live_bytes(Memory::Place::kDevice) +
           gpu_.live_bytes(Memory::Place::kPinned);
  }

  const TinyModel small_;
};

TEST_F(CudaFaultsTest, RefusesAModelForWhichThereIsNoMemory) {
  const uint64_t needed =
      CudaBytesNeeded(small_.model.shape, small_.model.network, options_);
  const uint64_t total = Properties().total_bytes;
  const uint64_t free = needed + kCudaReserveBytes;
  gpu_.SetBytesOfOthers(total - free + 1);
  EXPECT_THAT(TryBuild(small_),
              StatusIs(kExhausted, AllOf(HasSubstr("emulated GPU"),
                                         HasSubstr(absl::StrCat(needed)),
                                         HasSubstr(absl::StrCat(free - 1)))));
  EXPECT_EQ(gpu_.num_allocations(), 0);
  gpu_.SetBytesOfOthers(total - free);
  NEUMF_EXPECT_OK(TryBuild(small_));
}

TEST_F(CudaFaultsTest, GivesBackEverythingWhenMemoryRunsOut) {
  uint64_t nth = 1;
  for (;; ++nth) {
    ASSERT_LT(nth, 200);
    gpu_.FailAllocation(nth);
    const auto scorer = TryBuild(small_);
    if (scorer.ok()) break;
    EXPECT_THAT(scorer, StatusIs(kExhausted)) << "allocation " << nth;
    EXPECT_EQ(LiveBytes(), 0) << "allocation " << nth;
  }
  EXPECT_GT(nth, 20);
}

TEST_F(CudaFaultsTest, RefusesModelsWhenTheDeviceFails) {
  uint64_t nth = 1;
  for (;; ++nth) {
    ASSERT_LT(nth, 200);
    gpu_.FailCommand(nth);
    const auto scorer = TryBuild(small_);
    if (scorer.ok()) break;
    EXPECT_THAT(scorer, StatusIs(kUnavailable, HasSubstr("emulated GPU")))
        << "command " << nth;
    EXPECT_EQ(LiveBytes(), 0) << "command " << nth;
  }
  EXPECT_GT(nth, 20);
}

TEST_F(CudaFaultsTest, TakesWhatServingNeedsWhenItIsBuilt) {
  TinyModel tiny = MakeTinyModel(Sized(300, 3, {9, 5}));
  tiny.model.users.gmf.row(2)[0] = 3e35F;  // is ranked again
  Use(std::move(tiny));
  const uint64_t before = gpu_.num_commands();
  Rank(Queries(2, 10));
  // Input, graph, results, entries, the end: nothing is recorded.
  EXPECT_EQ(gpu_.num_commands() - before, 5);
  gpu_.RefuseLoads();
  const std::vector<uint32_t> rows = {1, 2, 3};
  std::vector<RankQuery> queries = Queries(10, 10);
  ExpectSameAsReference(queries);
  for (RankQuery& query : queries) query.allow_rows = rows;
  ExpectSameAsReference(queries);
}

// In a batch with passes of scans, of lists, and users who are ranked again.
TEST_F(CudaFaultsTest, IsDeadOnceTheDeviceFails) {
  options_.max_users = 8;
  const std::vector<uint32_t> rows = {1, 2, 3};
  uint64_t nth = 1;
  for (;; ++nth) {
    ASSERT_LT(nth, 200);
    TinyModel tiny = MakeTinyModel(Sized(300, 3, {9, 5}));
    tiny.model.users.gmf.row(2)[0] = 3e35F;
    Use(std::move(tiny));
    std::vector<RankQuery> queries = Queries(16, 10);
    for (size_t b = 8; b < 16; ++b) queries[b].allow_rows = rows;
    gpu_.FailCommand(nth);
    const absl::Status status = TryRank(queries);
    if (status.ok()) break;
    EXPECT_THAT(status, StatusIs(kUnavailable, HasSubstr("emulated GPU")));
    const uint64_t commands = gpu_.num_commands();
    EXPECT_THAT(TryRank(queries), StatusIs(kUnavailable)) << "command " << nth;
    EXPECT_EQ(gpu_.num_commands(), commands);
    EXPECT_THAT(TryBuild(small_), StatusIs(kUnavailable));
    NEUMF_EXPECT_OK(ResetCudaDevice(0));
  }
  EXPECT_GT(nth, 20);
}

// The same batch, of which any command may find no memory; then others are
// answered as if nothing had been.
TEST_F(CudaFaultsTest, AnswersRightAfterACommandFoundNoMemory) {
  options_.max_users = 8;
  options_.num_streams = 1;
  const std::vector<uint32_t> rows = {1, 2, 3};
  const auto use = [&] {
    TinyModel tiny = MakeTinyModel(Sized(300, 3, {9, 5}));
    for (const uint32_t user : {1, 2}) {
      tiny.model.users.gmf.row(user)[0] = 3e35F;
    }
    Use(std::move(tiny));
  };
  use();
  uint64_t num_exhausted = 0;
  for (uint64_t nth = 1;; ++nth) {
    ASSERT_LT(nth, 200);
    std::vector<RankQuery> queries = Queries(16, 10);
    for (size_t b = 8; b < 16; ++b) queries[b].allow_rows = rows;
    gpu_.ExhaustCommand(nth);
    const absl::Status status = TryRank(queries);
    if (status.ok()) break;
    if (absl::IsUnavailable(status)) {  // a Synchronize()
      NEUMF_ASSERT_OK(ResetCudaDevice(0));
      use();
      continue;
    }
    EXPECT_THAT(status, StatusIs(kExhausted)) << "command " << nth;
    ++num_exhausted;
    // Others are ranked again in the place of the first.
    ExpectSameAsReference({QueryOf(2, 10), QueryOf(1, 7), QueryOf(0, 10)});
  }
  EXPECT_GT(num_exhausted, 20);
}

TEST_F(CudaFaultsTest, ServesAgainAfterAReset) {
  Use(MakeTinyModel(Sized(300, 3, {9, 5})));
  const std::unique_ptr<Scorer> other = *TryBuild(small_);
  gpu_.LoseFromCommand(2);
  EXPECT_THAT(TryRank(Queries(3, 10)), StatusIs(kUnavailable));
  EXPECT_THAT(FindCudaDevice(0), StatusIs(kUnavailable));
  NEUMF_ASSERT_OK(ResetCudaDevice(0));
  const std::unique_ptr<Scorer> dead = std::move(scorer_);
  Use(MakeTinyModel(Sized(300, 3, {9, 5})));
  ExpectSameAsReference(Queries(3, 10));
  // Those from before stay dead, and go without harm.
  std::vector<Ranking> rankings(1);
  for (const Scorer* const before : {dead.get(), other.get()}) {
    EXPECT_THAT(before->Rank({QueryOf(0, 1)}, absl::MakeSpan(rankings)),
                StatusIs(kUnavailable));
  }
}

TEST_F(CudaFaultsTest, KillsScorersOfADeviceThatIsReset) {
  Use(MakeTinyModel(Sized(300, 3, {9, 5})));
  NEUMF_ASSERT_OK(ResetCudaDevice(0));
  EXPECT_THAT(TryRank(Queries(3, 10)),
              StatusIs(kUnavailable, HasSubstr("reset")));
}

TEST_F(CudaFaultsTest, StaysDeadWhenTheDeviceStaysLost) {
  Use(MakeTinyModel(Sized(300, 3, {9, 5})));
  gpu_.LoseFromCommand(1);
  gpu_.RefuseResets();
  EXPECT_THAT(TryRank(Queries(3, 10)), StatusIs(kUnavailable));
  EXPECT_THAT(ResetCudaDevice(0), StatusIs(kUnavailable));
  EXPECT_THAT(TryRank(Queries(3, 10)), StatusIs(kUnavailable));
  EXPECT_THAT(TryBuild(small_), StatusIs(kUnavailable));
}

TEST_F(CudaFaultsTest, AnswersAgainWhenMemoryForALargeQueryRunsOut) {
  options_.max_users = 1;
  options_.num_streams = 1;
  Use(MakeTinyModel(Sized(20001, 3, {9, 5})));
  uint64_t nth = 1;
  for (;; ++nth) {
    ASSERT_LT(nth, 20);
    gpu_.FailAllocation(nth);
    const absl::Status status = TryRank(Queries(1, 20001));
    if (status.ok()) break;
    EXPECT_THAT(status, StatusIs(kExhausted));
    gpu_.FailAllocation(1000);
    ExpectSameAsReference(Queries(1, 10));
  }
  EXPECT_GE(nth, 3);
  ExpectSameAsReference(Queries(1, 20001));
}

}  // namespace

TEST(NoCudaDeviceTest, IsUnavailableWithoutADevice) {
  EXPECT_THAT(FindCudaDevice(0), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(ResetCudaDevice(0), StatusIs(absl::StatusCode::kUnavailable));
  const TinyModel tiny = MakeTinyModel({});
  EXPECT_THAT(MakeCudaScorerBuilder(tiny.model.shape, tiny.model.network, {}),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace neumf::cuda
