#include "server/held_requests.h"

#include <malloc.h>

#include <algorithm>

namespace neumf {

std::vector<int> HeldRequests::TakeStock(std::vector<Holder> holders,
                                         Time now) {
  int64_t held = 0;
  for (const Holder& holder : holders) held += holder.bytes;
  GiveBack(held, now);
  std::vector<int> leaving;
  if (held <= most_bytes_) return leaving;
  std::sort(holders.begin(), holders.end(),
            [](const Holder& a, const Holder& b) { return a.bytes > b.bytes; });
  for (const Holder& holder : holders) {
    if (held <= most_bytes_) break;
    held -= holder.bytes;
    leaving.push_back(holder.connection);
  }
  return leaving;
}

void HeldRequests::GiveBack(int64_t held_bytes, Time now) {
  if (held_bytes > kMuch) {
    held_much_ = now;
  } else if (is_settling() && now >= *held_much_ + kQuiet) {
    held_much_.reset();
    malloc_trim(0);
  }
}

}  // namespace neumf
