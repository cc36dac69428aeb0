#pragma once

// Small data and small models for the trainer's tests, the same for the same
// seed.

#include <cstdint>
#include <string>
#include <vector>

#include "data/event_log.h"
#include "data/interactions.h"
#include "data/split.h"
#include "trainer/neumf_parameters.h"
#include "trainer/recipes.h"

namespace neumf {

// Users like items of their own kind (row modulo 4) three times as much as
// others, so there is something to learn. Every user has 5 to 14 events.
EventLog MakeTinyLog(uint64_t num_users, uint64_t num_items, uint64_t seed);

// The same as the text of a u.data file.
std::string TinyDataText(const EventLog& log);

Interactions TrainPart(const EventLog& log, const Split& split);

// Smaller than any recipe: a run takes milliseconds.
TrainSettings TinySettings();

// 5 users, 7 items, 3 factors, 5 in the tower, hidden layers 4-3-2, weights of
// order 1.
NeuMfParameters MakeRandomParameters(uint64_t seed);

// The trained function by its definition, in float64. [I]
std::vector<double> ScoreByDefinition(const NeuMfParameters& parameters,
                                      uint64_t user);

}  // namespace neumf
