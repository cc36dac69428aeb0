#pragma once

// What the coarse scans have in common, whatever multiplies the tower's
// matrices: how a level's tiles are divided among warps, what a score starts
// with, the gmf part, and which scores are offered to the users' lists.
//
// Scores are those of kTiles tiles of 16 items and a group of eight users, in
// the registers of a warp (device/fragments.h, C): each lane has four of a tile,
// two items of two users.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/fragments.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/offer.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/levels.h"

namespace neumf::cuda {

template <uint32_t kTiles>
using TileScores = float[kTiles][4];

// The users of a pass in shared memory, and room for what a lane offers.
struct SharedUsers {
  uint32_t* tower;   // [U', Hp / 2]
  uint32_t* gmf;     // [U' / 8, gmf_steps, lanes]
  float* threshold;  // [U']
  float* offered;    // [kTiles * 4, threads]
};

struct CoarseScan {
  CoarseModel model;
  Pass pass;
  Level level;

  // Of shared memory.
  static uint32_t UserWords(uint32_t max_users, uint32_t tower_width,
                            uint32_t gmf_steps, uint32_t tiles,
                            uint32_t threads) {
    return max_users * (tower_width / 2 + 1) +
           max_users / kGroupUsers * gmf_steps * kLanes + tiles * 4 * threads;
  }

  // Copies `count` words, by all threads of a block.
  template <uint32_t kThreads, typename Thread>
  NEUMF_DEVICE static void Copy(Thread& thread, const uint32_t* from,
                                uint32_t count, uint32_t* to) {
    for (uint32_t i = thread.thread(); i < count; i += kThreads) {
      to[i] = from[i];
    }
  }

  // Lays the users out from `words` on; to be followed by a SyncBlock().
  template <uint32_t kThreads, typename Thread>
  NEUMF_DEVICE SharedUsers ShareUsers(Thread& thread, uint32_t* words) const {
    const uint32_t tower_words = pass.max_users * (model.tower_width / 2);
    const uint32_t gmf_words =
        pass.max_users / kGroupUsers * model.gmf_steps * kLanes;
    SharedUsers users;
    users.tower = words;
    users.gmf = words + tower_words;
    users.threshold = reinterpret_cast<float*>(users.gmf + gmf_words);
    users.offered = users.threshold + pass.max_users;
    Copy<kThreads>(thread, pass.user_tower, tower_words, users.tower);
    Copy<kThreads>(thread, pass.user_gmf, gmf_words, users.gmf);
    Copy<kThreads>(thread, reinterpret_cast<const uint32_t*>(pass.threshold),
                   pass.max_users,
                   reinterpret_cast<uint32_t*>(users.threshold));
    return users;
  }

  // Calls scan(first tile, first group, end of groups) for each share of worker
  // `worker` of `num_workers`, who take `tiles` tiles at a time. Where there are
  // fewer such steps than workers, several share the users of one.
  template <typename Thread, typename Scan>
  NEUMF_DEVICE void ForEachStep(Thread& thread, uint32_t worker,
                                uint32_t num_workers, uint32_t tiles,
                                const Scan& scan) const {
    const uint32_t num_chunks =
        (model.num_tiles + kTilesPerChunk - 1) / kTilesPerChunk;
    const uint32_t num_steps =
        level.NumChunks(num_chunks) * (kTilesPerChunk / tiles);
    const uint32_t num_groups =
        (pass.header().num_users + kGroupUsers - 1) / kGroupUsers;
    const uint32_t wanted = num_steps == 0 ? 1 : num_workers / num_steps;
    const uint32_t num_slices = wanted < 1            ? 1
                                : wanted > num_groups ? num_groups
                                                      : wanted;
    const uint32_t num_shares = num_steps * num_slices;
    for (uint32_t share = worker; share < num_shares; share += num_workers) {
      const uint32_t next = share + num_workers;
      if (next < num_shares) {
        Prefetch(thread, TileOf(next / num_slices, tiles), tiles);
      }
      const uint32_t tile = TileOf(share / num_slices, tiles);
      if (tile >= model.num_tiles) continue;
      const uint32_t slice = share % num_slices;
      scan(tile, num_groups * slice / num_slices,
           num_groups * (slice + 1) / num_slices);
    }
  }

  // The first tile of a level's step.
  NEUMF_DEVICE uint32_t TileOf(uint32_t step, uint32_t tiles) const {
    const uint32_t steps_a_chunk = kTilesPerChunk / tiles;
    return level.Chunk(step / steps_a_chunk) * kTilesPerChunk +
           step % steps_a_chunk * tiles;
  }

  // Has `tiles` tiles brought close: a few users are scanned so quickly that
  // nothing else would hide the way to memory.
  template <typename Thread>
  NEUMF_DEVICE void Prefetch(Thread& thread, uint32_t tile,
                             uint32_t tiles) const {
    if (tile + tiles > model.num_tiles) return;
    const uint64_t steps = model.tower_width / 16;
    PrefetchLines(thread, model.item_tower + tile * steps * kLanes,
                  tiles * steps * kLanes * sizeof(Words4));
    const uint64_t gmf_steps = model.gmf_steps;
    PrefetchLines(thread, model.item_gmf + tile * gmf_steps * kLanes,
                  tiles * gmf_steps * kLanes * sizeof(Words2));
  }

  template <typename Thread>
  NEUMF_DEVICE static void PrefetchLines(Thread& thread, const void* first,
                                         uint64_t bytes) {
    constexpr uint64_t kLine = 128;
    const auto* const data = static_cast<const std::byte*>(first);
    for (uint64_t at = thread.lane() * kLine; at < bytes;
         at += kLanes * kLine) {
      thread.Prefetch(data + at);
    }
  }

  // A step may reach past the last tile; it then scores that one again, and no
  // row of it counts.
  NEUMF_DEVICE uint32_t Existing(uint32_t tile) const {
    return tile < model.num_tiles ? tile : model.num_tiles - 1;
  }

  // What the scores of two of a tile's items start with: those of this lane.
  template <typename Thread>
  NEUMF_DEVICE void LoadStart(Thread& thread, uint32_t tile,
                              float (&start)[2]) const {
    const float* const starts = model.item_start +
                                uint64_t{Existing(tile)} * kTileItems +
                                thread.lane() / 4;
    start[0] = starts[0];
    start[1] = starts[8];
  }

  // The tile's gmf comes from the cache each time: registers are scarce, and
  // this is done once for eight users.
  template <uint32_t kTiles, typename Thread>
  NEUMF_DEVICE void StartScores(Thread& thread, const SharedUsers& users,
                                const float (&start)[kTiles][2], uint32_t tile,
                                uint32_t group,
                                TileScores<kTiles>& scores) const {
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kTiles; ++i) {
      scores[i][0] = scores[i][1] = start[i][0];
      scores[i][2] = scores[i][3] = start[i][1];
    }
    for (uint32_t s = 0; s < model.gmf_steps; ++s) {
      const uint32_t user =
          users.gmf[(group * model.gmf_steps + s) * kLanes + thread.lane()];
      NEUMF_UNROLL
      for (uint32_t i = 0; i < kTiles; ++i) {
        const uint64_t at = uint64_t{Existing(tile + i)} * model.gmf_steps + s;
        const Words2 item =
            thread.Load2(&model.item_gmf[at * kLanes + thread.lane()]);
        thread.Mma8(scores[i], item.w, user);
      }
    }
  }

  // Offers the scores that reach their users' thresholds. Most tiles have none:
  // one vote.
  template <uint32_t kThreads, uint32_t kTiles, typename Thread>
  NEUMF_DEVICE void Filter(Thread& thread, const SharedUsers& users,
                           uint32_t tile, uint32_t group,
                           const TileScores<kTiles>& scores) const {
    const uint32_t user = group * kGroupUsers + thread.lane() % 4 * 2;
    const float threshold[2] = {users.threshold[user],
                                users.threshold[user + 1]};
    bool any = false;
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kTiles; ++i) {
      NEUMF_UNROLL
      for (uint32_t c = 0; c < 4; ++c) {
        any = any || scores[i][c] >= threshold[c % 2];
      }
    }
    if (!thread.AnyInWarp(any)) return;

    // Few come here, so the code is short rather than quick: the scores go
    // through shared memory, where a loop can count them.
    float* const own = users.offered + thread.thread();
    NEUMF_UNROLL
    for (uint32_t i = 0; i < kTiles * 4; ++i) {
      own[i * kThreads] = scores[i / 4][i % 4];
    }
    // The lanes with the same t have the same two users.
    const uint32_t peers = 0x11111111U << (thread.lane() % 4);
    NEUMF_NO_UNROLL
    for (uint32_t i = 0; i < kTiles * 4; ++i) {
      const uint32_t row =
          (tile + i / 4) * kTileItems + PlaceInC(thread.lane(), i % 4).row;
      const float score = own[i * kThreads];
      const bool passes = score >= (i % 2 == 0 ? threshold[0] : threshold[1]);
      Offer(thread, pass, peers, user + i % 2, row, score,
            passes && row < model.num_items);
    }
  }
};

}  // namespace neumf::cuda
