// Counts what this whole binary allocates, to show that a scorer in steady
// state does not.

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/scoring/scorer_fixture.h"

namespace {
std::atomic<uint64_t> num_allocations{0};
}  // namespace

void* operator new(std::size_t size) {
  ++num_allocations;
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
// Inlined, g++ would take its free() for the wrong partner of `new`.
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace neumf {
namespace {

TEST(ScorerAllocationTest, AllocatesNothingOnceItsMemoryIsThere) {
  TinyModelOptions options;
  options.num_items = 5000;
  options.num_users = 8;
  options.seen_per_user = 50;
  const TinyModel tiny = MakeTinyModel(options);
  const auto scorer = MakeScorer({Backend::kCpu, 1, 0}, tiny);
  std::vector<RankQuery> queries(options.num_users);
  for (size_t user = 0; user < queries.size(); ++user) {
    queries[user].user_gmf = tiny.model.users.gmf.row(user).data();
    queries[user].user_tower = tiny.model.users.tower.row(user).data();
    queries[user].seen = tiny.model.seen.row(user);
    queries[user].k = 100;
  }
  std::vector<Ranking> rankings(queries.size());
  NEUMF_ASSERT_OK(scorer->Rank(queries, absl::MakeSpan(rankings)));

  const uint64_t before = num_allocations;
  const absl::Status status = scorer->Rank(queries, absl::MakeSpan(rankings));
  const uint64_t after = num_allocations;
  NEUMF_ASSERT_OK(status);
  EXPECT_EQ(after, before);
}

}  // namespace
}  // namespace neumf
