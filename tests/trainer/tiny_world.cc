#include "tests/trainer/tiny_world.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "trainer/random.h"

namespace neumf {
namespace {

uint32_t DrawItem(uint32_t user, uint64_t num_items, Random& random) {
  for (;;) {
    const uint32_t item = random.Below(static_cast<uint32_t>(num_items));
    if (item % 4 == user % 4 || random.Below(3) == 0) return item;
  }
}

}  // namespace

EventLog MakeTinyLog(uint64_t num_users, uint64_t num_items, uint64_t seed) {
  EventLog log;
  log.has_times = true;
  for (uint64_t u = 0; u < num_users; ++u) {
    log.user_ids.push_back(absl::StrCat(100 + u));
  }
  std::sort(log.user_ids.begin(), log.user_ids.end(),
            [](const std::string& a, const std::string& b) {
              return IdHash(a) < IdHash(b);
            });
  for (uint64_t i = 0; i < num_items; ++i) {
    log.item_ids.push_back(absl::StrCat(1 + i));
  }
  Random random(seed);
  int64_t time = 0;
  for (uint32_t user = 0; user < num_users; ++user) {
    std::set<uint32_t> items;
    const size_t count = 5 + random.Below(10);
    while (items.size() < count) {
      items.insert(DrawItem(user, num_items, random));
    }
    for (uint32_t item : items) {
      log.events.push_back({user, item, 5, ++time});
    }
  }
  return log;
}

std::string TinyDataText(const EventLog& log) {
  std::string text;
  for (const Event& event : log.events) {
    absl::StrAppend(&text, log.user_ids[event.user], "\t",
                    log.item_ids[event.item], "\t", event.rating, "\t",
                    event.time, "\n");
  }
  return text;
}

Interactions TrainPart(const EventLog& log, const Split& split) {
  return Interactions(log.num_users(), log.num_items(), split.train);
}

TrainSettings TinySettings() {
  TrainSettings settings = FindRecipe("d2l-neumf")->settings();
  settings.factors = 4;
  settings.hidden = {6, 4};
  settings.batch_size = 64;
  settings.epochs = 3;
  settings.learning_rate = 0.02;
  return settings;
}

}  // namespace neumf
