#include "trainer/step/batch_stream.h"

#include "base/thread_pool.h"

namespace neumf {

BatchStream::BatchStream(BatchMaker* maker) : maker_(maker), slots_(kDepth) {
  producer_ = std::thread([this] { Produce(); });
}

BatchStream::~BatchStream() {
  {
    const MutexLock lock(&mutex_);
    is_ending_ = true;
  }
  changed_.SignalAll();
  producer_.join();
}

void BatchStream::StartEpoch(uint32_t epoch) {
  {
    const MutexLock lock(&mutex_);
    num_batches_ = 0;  // the producer rests
    num_made_ = 0;
    num_taken_ = 0;
    holds_one_ = false;
  }
  maker_->StartEpoch(epoch);
  {
    const MutexLock lock(&mutex_);
    num_batches_ = maker_->num_batches();
  }
  changed_.SignalAll();
}

const Batch* BatchStream::Next() {
  const MutexLock lock(&mutex_);
  if (holds_one_) {
    holds_one_ = false;
    ++num_taken_;
    changed_.SignalAll();
  }
  if (num_taken_ == num_batches_) return nullptr;
  while (num_made_ == num_taken_) changed_.Wait(&mutex_);
  holds_one_ = true;
  return &slots_[num_taken_ % kDepth];
}

void BatchStream::Produce() {
  SetThreadName("batches");
  BatchMaker::Scratch scratch;
  uint64_t number = 0;
  while (true) {
    {
      const MutexLock lock(&mutex_);
      while (!is_ending_ &&
             (num_made_ == num_batches_ || num_made_ == num_taken_ + kDepth)) {
        changed_.Wait(&mutex_);
      }
      if (is_ending_) return;
      number = num_made_;
    }
    maker_->Make(number, &scratch, &slots_[number % kDepth]);
    {
      const MutexLock lock(&mutex_);
      ++num_made_;
    }
    changed_.SignalAll();
  }
}

}  // namespace neumf
