#pragma once

// Which version is to be served next: plain functions of what is known.

#include <cstdint>
#include <set>
#include <vector>

#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/serving_policy.h"

namespace neumf {

// The file to try next, one of `found` (ascending), or null: what is served
// stays. `served` is its version, 0 when there is none; `unfit` are those that
// cannot be served now. To be called again with each version that was tried in
// `unfit`, and after each swap.
//
// - A pinned version goes before all others, in either direction. While it
//   cannot be had, what is served stays.
// - Otherwise it goes up only, to the largest that is not refused.
// - Where nothing is served, or what the policy refuses, any other version is
//   better: the largest; when that is unfit `last_good` (0: none), which is
//   known to have served well; then the older ones.
const CheckpointFile* NextVersion(const std::vector<CheckpointFile>& found,
                                  const ServingPolicy& policy, uint64_t served,
                                  const std::set<uint64_t>& unfit,
                                  uint64_t last_good = 0);

// The same while nobody knows what the policy refuses: `last_good` alone, and
// only where nothing is served.
const CheckpointFile* SafeVersion(const std::vector<CheckpointFile>& found,
                                  uint64_t served,
                                  const std::set<uint64_t>& unfit,
                                  uint64_t last_good);

// The policy under which a load of `version` by name holds.
ServingPolicy PolicyAfterLoad(ServingPolicy policy, uint64_t version);

// The policy under which a rollback from `left` to `target` holds. Versions of
// `found` between the two are refused as well, or a rollback that passed them
// by would end on one of them. What `policy` refuses stays refused, the target
// as well: then another rollback has left it meanwhile.
ServingPolicy PolicyAfterRollback(ServingPolicy policy, uint64_t left,
                                  uint64_t target,
                                  const std::vector<CheckpointFile>& found);

// The policy under which `version`, which was on trial, is rejected for good.
ServingPolicy PolicyAfterRejection(ServingPolicy policy, uint64_t version);

// The same for what no operator has judged: one who has pinned the version is
// right.
ServingPolicy PolicyAfterVerdict(ServingPolicy policy, uint64_t version);

// The policy under which NextVersion() finds what a rollback from `left` goes
// to when no version is kept warm: those below it.
ServingPolicy PolicyOfEarlier(ServingPolicy policy, uint64_t left,
                              const std::vector<CheckpointFile>& found);

}  // namespace neumf
