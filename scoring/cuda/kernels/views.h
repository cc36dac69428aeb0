#pragma once

// What kernels read and write, as pointers into device memory. All plain values,
// passed to kernels as they are.
//
// Two forms of a model lie on the device. EXACT: the float32 tables, row-major,
// from which scorer.h's score is computed bit for bit. COARSE: the same in
// halves, in the order in which the tensor cores read them (device/fragments.h),
// padded to a tuned tower's widths (towers.h), each table times a power of two
// that keeps it in range; with it comes a bound of its error for each user. The
// coarse form finds candidates, the exact one decides.
//
// Letters: I items, G gmf width, H tower width; Gp = G rounded up to 8; Hp the
// tuned tower's H.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"

namespace neumf::cuda {

constexpr uint32_t kTileItems = 16;      // rows of one mma
constexpr uint32_t kTilesPerChunk = 16;  // levels.h
constexpr uint32_t kChunkItems = kTileItems * kTilesPerChunk;
constexpr uint32_t kGroupUsers = 8;  // columns of one mma
constexpr uint32_t kMaxLayers = 15;  // layers 2 .. 16

// ---- The exact form ---------------------------------------------------------

// Outputs of a layer that are computed together.
constexpr uint32_t kExactOuts = 8;

// Rows are padded to PaddedOuts(out) with any finite numbers, and aligned to 16
// bytes, so that the weights of kExactOuts outputs are two loads.
struct ExactLayer {
  uint32_t in = 0;
  uint32_t out = 0;
  const float* weight = nullptr;  // [in, PaddedOuts(out)]: transposed
  const float* bias = nullptr;    // [PaddedOuts(out)]
};

NEUMF_HOST_DEVICE constexpr uint32_t PaddedOuts(uint32_t out) {
  return (out + kExactOuts - 1) / kExactOuts * kExactOuts;
}

struct ExactModel {
  uint32_t num_items = 0;
  uint32_t gmf_width = 0;    // G
  uint32_t tower_width = 0;  // H
  uint32_t head_width = 0;   // HL; 0 without a tower
  uint32_t widest = 0;       // of H and all layers
  uint32_t num_layers = 0;   // layers 2 .. L
  ExactLayer layers[kMaxLayers];
  const float* head_weight = nullptr;  // [HL]
  float head_bias = 0;
  // Aligned to 16 bytes where they begin.
  const float* item_tower = nullptr;  // [I, H]
  const float* item_gmf = nullptr;    // [I, G]
  const float* item_bias = nullptr;   // [I]; null: none
};

// ---- The coarse form --------------------------------------------------------

// Of layer l (2, 3, ...), padded to the tuned tower.
struct CoarseLayer {
  uint32_t in = 0;   // a multiple of 16
  uint32_t out = 0;  // a multiple of 8
  // The B fragments of Mma16: [out / 8, in / 16, 32 lanes]
  const Words2* weight = nullptr;
  const float* bias = nullptr;  // [out], scaled as the layer's sums are
  // For the bound of a user's error, all scaled as the halves are, [in, out]:
  // the halves as numbers, and what each is too large by.
  const float* value = nullptr;
  const float* weight_error = nullptr;
};

// The range of one column of an item table over all items, scaled; and the
// largest distance between a half and its exact value.
struct ColumnRange {
  float low = 0;
  float high = 0;
  float error = 0;
};

struct CoarseModel {
  uint32_t num_items = 0;
  uint32_t num_tiles = 0;    // ceil(I / 16)
  uint32_t gmf_steps = 0;    // Gp / 8
  uint32_t tower_width = 0;  // Hp; 0 without a tower
  uint32_t head_width = 0;   // the tuned tower's last width
  uint32_t num_layers = 0;
  CoarseLayer layers[2];
  // The head as B fragments whose eight columns are all alike, so that a lane
  // takes the words of its lane % 4: [head_width / 16, 4] for Mma16, or, where
  // head_width is 8, one word for Mma8 in w[0].
  const Words2* head = nullptr;
  const float* head_value = nullptr;  // [head_width], as CoarseLayer::value
  const float* head_error = nullptr;  // [head_width]

  // A fragments of Mma16: [tiles, Hp / 16, 32 lanes].
  const Words4* item_tower = nullptr;
  // A fragments of Mma8: [tiles, gmf_steps, 32 lanes].
  const Words2* item_gmf = nullptr;
  // What a score starts with: (head_bias + item_bias) * score_scale, rounded.
  const float* item_start = nullptr;  // [tiles * 16]
  float start_error = 0;              // its rounding, and that of item_bias + c
  float start_magnitude = 0;          // the largest |item_start|

  const ColumnRange* tower_range = nullptr;  // [Hp]
  const ColumnRange* gmf_range = nullptr;    // [Gp]

  // Powers of two: a user's vectors are multiplied by these before they are
  // rounded to halves; a coarse score is the exact one times score_scale.
  float tower_scale = 1;
  float user_gmf_scale = 1;
  float score_scale = 1;
};

// ---- A pass: up to max_users queries that are answered together -------------

constexpr uint32_t kNone = 0xFFFFFFFF;

enum class QueryKind : uint32_t {
  kScan,  // the whole catalog
  kList,  // the rows of a list only
  kIdle,  // nothing: k is 0, or nobody waits
};

// One user's question as kernels read it. Rows ascend; places count from
// Pass::rows and Pass::masks.
struct PassQuery {
  uint32_t k = 0;  // min(k, I)
  QueryKind kind = QueryKind::kIdle;
  uint32_t seen_begin = 0, seen_count = 0;
  uint32_t excluded_begin = 0, excluded_count = 0;
  uint32_t list_begin = 0, list_count = 0;  // at most `capacity`
  uint32_t mask_begin = kNone;  // in words of 32 items; kNone: no mask
  uint32_t reserved = 0;
};

// At the start of what the host sends.
struct PassHeader {
  uint32_t num_users = 0;
  uint32_t result_stride = 0;  // entries between two users' results: max k
  // Places of the parts that follow, in bytes from the header; multiples of 16.
  uint32_t queries = 0, user_gmf = 0, user_tower = 0, rows = 0;
  uint64_t masks = 0;
};

// How an answer came about, or why there is none.
enum class Outcome : uint32_t {
  kReady = 0,
  // More candidates than the list holds: the host ranks this user again.
  kOverflow = 1,
  // The user's numbers are outside what halves hold, so there is no bound: the
  // same.
  kUnbounded = 2,
};

struct PassResult {
  uint32_t count = 0;  // results written
  Outcome outcome = Outcome::kReady;
  uint32_t num_rescored = 0;  // candidates scored in float32
  uint32_t reserved = 0;
};

// An answer's entry; ScoredRow's layout.
struct PassEntry {
  float score = 0;
  uint32_t row = 0;
};

// All in device memory, at places that stay while a graph is in use; U' stands
// for max_users, a multiple of kGroupUsers.
struct Pass {
  uint32_t max_users = 0;            // U'
  uint32_t capacity = 0;             // candidates a user
  const std::byte* input = nullptr;  // PassHeader and what follows

  // The users in halves. Tower: of each user Hp / 2 words, the user's side
  // of layer 1 by lane % 4 (fragments.h, UserTowerWord). Gmf: B fragments of Mma8,
  // [U' / 8, gmf_steps, 32 lanes].
  uint32_t* user_tower = nullptr;
  uint32_t* user_gmf = nullptr;

  // A candidate has at least this coarse score; +infinity for users who do not
  // scan. [U'], scaled.
  float* threshold = nullptr;
  // What the errors of two items' scores differ by at most, scaled; 0 where the
  // scan is exact. [U']
  float* margin = nullptr;
  uint32_t* count = nullptr;   // [U'] pushed so far; above capacity: lost some
  Outcome* outcome = nullptr;  // [U']
  uint64_t* candidates = nullptr;  // [U', capacity] rank keys; 0: none

  PassResult* results = nullptr;  // [U']
  PassEntry* entries = nullptr;   // [U', result_stride]

  NEUMF_HOST_DEVICE const PassHeader& header() const {
    return *reinterpret_cast<const PassHeader*>(input);
  }
  NEUMF_HOST_DEVICE const PassQuery* queries() const {
    return reinterpret_cast<const PassQuery*>(input + header().queries);
  }
  // [num_users, G] and [num_users, H]
  NEUMF_HOST_DEVICE const float* user_gmf_values() const {
    return reinterpret_cast<const float*>(input + header().user_gmf);
  }
  NEUMF_HOST_DEVICE const float* user_tower_values() const {
    return reinterpret_cast<const float*>(input + header().user_tower);
  }
  NEUMF_HOST_DEVICE const uint32_t* rows() const {
    return reinterpret_cast<const uint32_t*>(input + header().rows);
  }
  NEUMF_HOST_DEVICE const uint32_t* masks() const {
    return reinterpret_cast<const uint32_t*>(input + header().masks);
  }
};

}  // namespace neumf::cuda
