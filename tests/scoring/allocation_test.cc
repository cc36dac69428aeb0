// Counts what this whole binary allocates, to show that a scorer in steady
// state does not.

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <ostream>

#include "tests/scoring/scorer_backends.h"

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

// Tables come from here.
extern "C" void* mmap(void* address, std::size_t length, int protection,
                      int flags, int file, off_t offset) noexcept {
  ++num_allocations;
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, address, length, protection, flags, file, offset));
}

namespace neumf {
namespace {

struct World {
  const char* name;
  uint32_t gmf_width;
  std::vector<uint32_t> tower_widths;
  size_t num_threads;
};

std::ostream& operator<<(std::ostream& out, const World& world) {
  return out << world.name;
}

class ScorerAllocationTest : public testing::TestWithParam<World> {
 protected:
  ScorerAllocationTest()
      : tiny_(MakeTinyModel(Options())),
        scorer_(MakeScorer(CpuBackend(GetParam().num_threads), tiny_)),
        mask_(tiny_.model.shape.num_items) {
    for (uint64_t row = 0; row < mask_.num_items(); row += 3) mask_.Set(row);
    rankings_.resize(tiny_.model.shape.num_users);
  }

  static TinyModelOptions Options() {
    TinyModelOptions options;
    options.num_items = 5000;
    options.num_users = 40;
    options.seen_per_user = 50;
    options.gmf_width = GetParam().gmf_width;
    options.tower_widths = GetParam().tower_widths;
    return options;
  }

  // `count` queries; every third one is of another kind when they are mixed.
  void Rank(size_t count, bool mixed) {
    RankQuery queries[40];
    for (uint32_t user = 0; user < count; ++user) {
      RankQuery& query = queries[user];
      query = QueryOf(tiny_, user, 50);
      if (mixed && user % 3 == 1) query.allow_mask = &mask_;
      if (mixed && user % 3 == 2) query.allow_rows = tiny_.model.seen.row(0);
    }
    // No matcher: it would allocate.
    if (!scorer_
             ->Rank(absl::MakeSpan(queries).first(count),
                    absl::MakeSpan(rankings_).first(count))
             .ok()) {
      ADD_FAILURE() << "Rank() failed";
    }
  }

  // Large and small batches of every kind.
  void RankAll() {
    for (size_t count : {40, 33, 7, 1, 2}) {
      Rank(count, false);
      Rank(count, true);
    }
  }

  const TinyModel tiny_;
  const std::unique_ptr<Scorer> scorer_;
  ItemMask mask_;
  std::vector<Ranking> rankings_;
};

std::string WorldName(const testing::TestParamInfo<World>& world) {
  return world.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Models, ScorerAllocationTest,
    testing::Values(World{"Towers", 8, {32, 16, 8}, 1},
                    World{"TowersOnTwoThreads", 8, {32, 16, 8}, 2},
                    World{"DotProducts", 8, {}, 1},
                    World{"DotProductsOnTwoThreads", 8, {}, 2}),
    WorldName);

TEST_P(ScorerAllocationTest, AllocatesNothingOnceItsMemoryIsThere) {
  // Which thread takes which piece is chance, and a busy machine draws it out:
  // sooner or later each has met every kind, and then no round allocates.
  constexpr int kQuietRounds = 10;
  int quiet = 0;
  for (int round = 0; round < 500 && quiet < kQuietRounds; ++round) {
    const uint64_t before = num_allocations;
    RankAll();
    quiet = num_allocations == before ? quiet + 1 : 0;
  }
  EXPECT_EQ(quiet, kQuietRounds);
}

TEST_P(ScorerAllocationTest, CountsWhatIsAllocated) {
  const uint64_t before = num_allocations;
  const AlignedBuffer table(1000);
  const auto number = std::make_unique<int>(1);
  EXPECT_EQ(num_allocations, before + 2);
}

}  // namespace
}  // namespace neumf
