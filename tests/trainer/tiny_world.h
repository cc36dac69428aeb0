#pragma once

// Small data and settings for the trainer's tests, the same for the same
// seed.

#include <cstdint>
#include <string>
#include <vector>

#include "data/event_log.h"
#include "data/interactions.h"
#include "data/split.h"
#include "trainer/recipes.h"

namespace neumf {

// Users like items of their own kind (row modulo 4) three times as much as
// others, so there is something to learn. Every user has 5 to 14 events.
EventLog MakeTinyLog(uint64_t num_users, uint64_t num_items, uint64_t seed);

// The same as the text of a u.data file.
std::string TinyDataText(const EventLog& log);

Interactions TrainPart(const EventLog& log, const Split& split);

// d2l-neumf, but smaller: a run takes milliseconds.
TrainSettings TinySettings();

}  // namespace neumf
