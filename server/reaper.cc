#include "server/reaper.h"

#include <malloc.h>

#include <utility>

#include "base/thread_pool.h"

namespace neumf {

Reaper::Reaper() : thread_([this] { Run(); }) {}

Reaper::~Reaper() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.Signal();
  thread_.join();
}

std::shared_ptr<const Snapshot> Reaper::Adopt(
    std::unique_ptr<Snapshot> snapshot) {
  return std::shared_ptr<const Snapshot>(
      snapshot.release(), [this](const Snapshot* dead) {
        Bury(std::unique_ptr<const Snapshot>(dead));
      });
}

void Reaper::WaitUntilIdle() {
  MutexLock lock(&mutex_);
  while (busy_ || !dead_.empty()) idle_.Wait(&mutex_);
}

void Reaper::Bury(std::unique_ptr<const Snapshot> snapshot) {
  // Signals under the lock: after it the reaper may be gone.
  MutexLock lock(&mutex_);
  dead_.push_back(std::move(snapshot));
  wake_.Signal();
}

void Reaper::Run() {
  SetThreadName("reaper");
  for (;;) {
    std::vector<std::unique_ptr<const Snapshot>> dead;
    {
      MutexLock lock(&mutex_);
      busy_ = false;
      if (dead_.empty()) idle_.SignalAll();
      while (dead_.empty() && !stopping_) wake_.Wait(&mutex_);
      if (dead_.empty()) return;
      dead.swap(dead_);
      busy_ = true;
    }
    dead.clear();
    // The tables are mapped and gone; ids and seen sets came from malloc, which
    // keeps what it is not told to give back.
    malloc_trim(0);
  }
}

}  // namespace neumf
