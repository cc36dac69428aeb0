#include "tests/trainer/distributed/thread_collective.h"

#include <algorithm>
#include <memory>
#include <thread>

namespace neumf {
namespace {

// Where the threads meet: each lays its bytes down, the last one to come makes
// the answer, all take it away.
class Table {
 public:
  explicit Table(uint32_t size) : size_(size) {}

  using Bytes = std::vector<uint8_t>;
  using Combine = absl::FunctionRef<Bytes(const std::vector<Bytes>& all)>;

  void Meet(uint32_t rank, absl::Span<uint8_t> bytes, Combine combine) {
    const MutexLock lock(&mutex_);
    laid_.resize(size_);
    laid_[rank].assign(bytes.begin(), bytes.end());
    const uint64_t meeting = num_meetings_;
    if (++num_here_ == size_) {
      answer_ = combine(laid_);
      num_here_ = 0;
      ++num_meetings_;
      changed_.SignalAll();
    }
    while (num_meetings_ == meeting) changed_.Wait(&mutex_);
    std::copy(answer_.begin(), answer_.end(), bytes.begin());
  }

 private:
  const uint32_t size_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<Bytes> laid_ ABSL_GUARDED_BY(mutex_);
  Bytes answer_ ABSL_GUARDED_BY(mutex_);
  uint32_t num_here_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t num_meetings_ ABSL_GUARDED_BY(mutex_) = 0;
};

class ThreadCollective : public Collective {
 public:
  ThreadCollective(uint32_t rank, uint32_t size, Table* table)
      : rank_(rank), size_(size), table_(table) {}

  uint32_t rank() const override { return rank_; }
  uint32_t size() const override { return size_; }

  absl::Status Sum(absl::Span<float> values) override {
    const absl::Span<uint8_t> bytes(reinterpret_cast<uint8_t*>(values.data()),
                                    values.size() * sizeof(float));
    table_->Meet(rank_, bytes, [&](const std::vector<Table::Bytes>& all) {
      Table::Bytes sum = all[0];
      for (size_t rank = 1; rank < all.size(); ++rank) {
        for (size_t i = 0; i < values.size(); ++i) {
          reinterpret_cast<float*>(sum.data())[i] +=
              reinterpret_cast<const float*>(all[rank].data())[i];
        }
      }
      return sum;
    });
    return absl::OkStatus();
  }

  absl::Status Or(absl::Span<uint8_t> bits) override {
    table_->Meet(rank_, bits, [&](const std::vector<Table::Bytes>& all) {
      Table::Bytes any = all[0];
      for (size_t rank = 1; rank < all.size(); ++rank) {
        for (size_t i = 0; i < any.size(); ++i) any[i] |= all[rank][i];
      }
      return any;
    });
    return absl::OkStatus();
  }

  absl::Status Broadcast(absl::Span<uint8_t> bytes) override {
    table_->Meet(rank_, bytes,
                 [](const std::vector<Table::Bytes>& all) { return all[0]; });
    return absl::OkStatus();
  }

 private:
  const uint32_t rank_;
  const uint32_t size_;
  Table* const table_;
};

}  // namespace

void RunTogether(uint32_t size,
                 absl::FunctionRef<void(Collective& collective)> body) {
  Table table(size);
  std::vector<std::thread> threads;
  for (uint32_t rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadCollective collective(rank, size, &table);
      body(collective);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace neumf
