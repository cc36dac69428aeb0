#pragma once

// What all connections hold of requests that no handler has seen (sender.h):
// says which of them have to go, and gives memory back when all is over.
//
// Belongs to one thread.

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace neumf {

class HeldRequests {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Holder {
    int connection = 0;
    int64_t bytes = 0;
  };

  // How long it has to be quiet after more than kMuch was held before malloc is
  // told to give back what it keeps, which takes it milliseconds.
  static constexpr int64_t kMuch = 32 << 20;
  static constexpr std::chrono::seconds kQuiet{1};

  explicit HeldRequests(int64_t most_bytes) : most_bytes_(most_bytes) {}

  // What a connection that ends may have held without malloc being told so: an
  // end is no look, and headers take several times their bytes.
  static constexpr int64_t kLittle = 1 << 20;

  // The connections that hold most, as many as have to go so that the others
  // hold `most_bytes` at most.
  std::vector<int> TakeStock(std::vector<Holder> holders, Time now);

  // A connection was cut: what it had the server keep is to be given back, too.
  void Cut(Time now) { held_much_ = now; }

  // A connection ended by itself that held `held_bytes` when it was seen last.
  void Ended(int64_t held_bytes, Time now) {
    if (held_bytes > kLittle) held_much_ = now;
  }

  // There is memory to be given back: stock is to be taken even though there is
  // no connection.
  bool is_settling() const { return held_much_.has_value(); }

 private:
  void GiveBack(int64_t held_bytes, Time now);

  const int64_t most_bytes_;
  std::optional<Time> held_much_;  // when last, unless all was given back
};

}  // namespace neumf
