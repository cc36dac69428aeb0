#include "scoring/cpu/block_kernel.h"

#include <utility>

#include "scoring/activation.h"

// The best target that coarse_kernel.cc is compiled for, too: a machine is then
// named by one instruction set, and a test that allows one gets all it has.
#define HWY_WANT_AVX3_DL 1
// Without a fused multiply-add (SSSE3, SSE4) the bits would differ from the
// reference; vectors without a fixed size (SVE) cannot be held in arrays.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "scoring/cpu/block_kernel.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

// Everything down to HWY_AFTER_NAMESPACE() is compiled once for each target.
HWY_BEFORE_NAMESPACE();
namespace neumf {
namespace HWY_NAMESPACE {

#if HWY_NATIVE_FMA

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::CappedTag<float, kBlockItems>;
using Vector = hn::Vec<FloatTag>;
constexpr FloatTag kTag;
constexpr size_t kLanes = hn::MaxLanes(FloatTag());
constexpr size_t kBlockVectors = kBlockItems / kLanes;

// One value an item of a block.
using Row = Vector[kBlockVectors];

// Sums in flight must hide the latency of a multiply-add (two pipes, four
// cycles) and still fit the registers: with 512-bit vectors 16 x 1 of 32, where
// the weights come as operands from memory; else 6 x 2 of 16, or 6 x 4 of 32.
constexpr GroupWidths kWidths =
    kBlockVectors == 1 ? GroupWidths{16, 8, 4} : GroupWidths{6, 4, 2};

static_assert(kWidths[0] <= kMaxGroupWidth, "others count on it");

// A user alone against a model without a tower has one sum an item: this many
// blocks at a time have enough of them.
constexpr size_t kDotBlocks = 8 / kBlockVectors;

HWY_INLINE void Fill(float value, Row& row) {
  HWY_UNROLL(16)
  for (size_t v = 0; v < kBlockVectors; ++v) row[v] = hn::Set(kTag, value);
}

HWY_INLINE void Load(const float* from, Row& row) {
  HWY_UNROLL(16)
  for (size_t v = 0; v < kBlockVectors; ++v) {
    row[v] = hn::Load(kTag, from + v * kLanes);
  }
}

HWY_INLINE void Store(const Row& row, float* to) {
  HWY_UNROLL(16)
  for (size_t v = 0; v < kBlockVectors; ++v) {
    hn::Store(row[v], kTag, to + v * kLanes);
  }
}

HWY_INLINE void Add(const Row& other, Row& row) {
  HWY_UNROLL(16)
  for (size_t v = 0; v < kBlockVectors; ++v) {
    row[v] = hn::Add(row[v], other[v]);
  }
}

HWY_INLINE void Relu(Row& row) {
  HWY_UNROLL(16)
  for (size_t v = 0; v < kBlockVectors; ++v) {
    row[v] = hn::Max(row[v], hn::Zero(kTag));
  }
}

HWY_INLINE uint32_t MaskBits(hn::Mask<FloatTag> mask) {
  uint8_t bytes[8] = {};
  hn::StoreMaskBits(kTag, mask, bytes);
  return bytes[0] | (kLanes > 8 ? uint32_t{bytes[1]} << 8 : 0);
}

// sum += factor * row
HWY_INLINE void MulAdd(float factor, const Row& row, Row& sum) {
  const Vector f = hn::Set(kTag, factor);
  HWY_UNROLL(16)
  for (size_t v = 0; v < kBlockVectors; ++v) {
    sum[v] = hn::MulAdd(f, row[v], sum[v]);
  }
}

// Blocks between the one that is computed and the one that is asked for: about
// the time that memory takes to answer.
constexpr size_t kBlocksAhead = 2;

// Asks for a later block, a cache line at each step through the layers of this
// one. The first layer reads its items in a burst: neither the processor's own
// prefetcher nor a burst of requests keeps up with that. Into the second-level
// cache, as it is too early for the first.
class Prefetcher {
 public:
  HWY_INLINE Prefetcher(const KernelNetwork& network, const float* block)
      : next_(reinterpret_cast<uintptr_t>(block) +
              kBlocksAhead * network.block_floats() * sizeof(float)),
        end_(next_ + network.block_floats() * sizeof(float)) {}

  HWY_INLINE void Step() {
    if (next_ == end_) return;
    constexpr int kToRead = 0;
    constexpr int kSecondLevel = 2;
    __builtin_prefetch(reinterpret_cast<const void*>(next_), kToRead,
                       kSecondLevel);
    next_ += kBlockItems * sizeof(float);
  }

 private:
  // Numbers: they may lie past the last block, where no pointer may point.
  uintptr_t next_;
  const uintptr_t end_;
};

// Rows that stand one after the other: a layer's outputs, or item columns.
class StoredRows {
 public:
  HWY_INLINE explicit StoredRows(const float* rows) : next_(rows) {}

  HWY_INLINE void Next(Row& row) {
    Load(next_, row);
    next_ += kBlockItems;
  }

 private:
  const float* HWY_RESTRICT next_;
};

// The outputs of layer 1, relu(user + item), computed as they are read; with
// kKeep they are left in `out` for the next group that reads them.
template <bool kKeep>
class FirstLayerRows {
 public:
  HWY_INLINE FirstLayerRows(const float* user, const float* block, float* out)
      : user_(user), item_(block), out_(out) {}

  HWY_INLINE void Next(Row& row) {
    Row item;
    Load(item_, item);
    Fill(*user_, row);
    Add(item, row);
    Relu(row);
    if (kKeep) Store(row, out_);
    ++user_;
    item_ += kBlockItems;
    out_ += kBlockItems;
  }

 private:
  const float* HWY_RESTRICT user_;
  const float* HWY_RESTRICT item_;
  float* HWY_RESTRICT out_;
};

// kOut outputs of a layer: sums[o] = bias[o] + weight[k][o] * row k, for all k.
template <size_t kOut, typename Rows>
HWY_INLINE void SumGroup(const float* HWY_RESTRICT weight, const float* bias,
                         size_t num_in, Rows rows, Prefetcher& prefetcher,
                         Row (&sums)[kOut]) {
  HWY_UNROLL(16)
  for (size_t o = 0; o < kOut; ++o) Fill(bias[o], sums[o]);
  for (size_t k = 0; k < num_in; ++k) {
    Row row;
    rows.Next(row);
    prefetcher.Step();
    HWY_UNROLL(16)
    for (size_t o = 0; o < kOut; ++o) MulAdd(weight[o], row, sums[o]);
    weight += kOut;
  }
}

// Calls group.Run<width>(first output) for the groups of a layer.
template <typename Group>
HWY_INLINE void ForEachGroup(const GroupCounts& counts, Group& group) {
  size_t first = 0;
  for (size_t i = 0; i < counts[0]; ++i, first += kWidths[0]) {
    group.template Run<kWidths[0]>(first);
  }
  for (size_t i = 0; i < counts[1]; ++i, first += kWidths[1]) {
    group.template Run<kWidths[1]>(first);
  }
  for (size_t i = 0; i < counts[2]; ++i, first += kWidths[2]) {
    group.template Run<kWidths[2]>(first);
  }
}

// The groups of a tower layer with ReLU. What the last layer gives goes from
// the registers into the score.
struct ReluLayer {
  const KernelNetwork& network;
  const KernelInput& input;
  const float* block;
  size_t index;  // of the layer in `network`
  float* in;     // the outputs of the layer before; [in, kBlockItems]
  float* out;    // [out, kBlockItems]
  Prefetcher& prefetcher;
  Row& score;

  template <size_t kOut>
  HWY_INLINE void Run(size_t first) {
    Row sums[kOut];
    if (index == 0 && first == 0) {
      if (network.layers[index].out == kOut) {
        Sum(first, FirstLayerRows<false>(input.user_tower, block, in), sums);
      } else {
        Sum(first, FirstLayerRows<true>(input.user_tower, block, in), sums);
      }
    } else {
      Sum(first, StoredRows(in), sums);
    }
    HWY_UNROLL(16)
    for (size_t o = 0; o < kOut; ++o) Relu(sums[o]);
    if (index + 1 == network.num_layers) {
      const float* const head = network.head_weight + first;
      HWY_UNROLL(16)
      for (size_t o = 0; o < kOut; ++o) MulAdd(head[o], sums[o], score);
    } else {
      HWY_UNROLL(16)
      for (size_t o = 0; o < kOut; ++o) {
        Store(sums[o], out + (first + o) * kBlockItems);
      }
    }
  }

  template <size_t kOut, typename Rows>
  HWY_INLINE void Sum(size_t first, Rows rows, Row (&sums)[kOut]) {
    const KernelLayer& layer = network.layers[index];
    SumGroup(layer.weight + first * layer.in, layer.bias + first, layer.in,
             rows, prefetcher, sums);
  }
};

// A layer as sums alone, for activations that work on memory.
struct PlainLayer {
  const KernelLayer& layer;
  const float* in;
  float* out;
  Prefetcher& prefetcher;

  template <size_t kOut>
  HWY_INLINE void Run(size_t first) {
    Row sums[kOut];
    SumGroup(layer.weight + first * layer.in, layer.bias + first, layer.in,
             StoredRows(in), prefetcher, sums);
    HWY_UNROLL(16)
    for (size_t o = 0; o < kOut; ++o) {
      Store(sums[o], out + (first + o) * kBlockItems);
    }
  }
};

template <typename Rows>
HWY_INLINE void AddHead(const KernelNetwork& network, Rows rows, Row& score) {
  for (size_t k = 0; k < network.head_width; ++k) {
    Row row;
    rows.Next(row);
    MulAdd(network.head_weight[k], row, score);
  }
}

HWY_INLINE void AddReluTower(const KernelNetwork& network,
                             const KernelInput& input, const float* block,
                             Row& score) {
  float* in = input.scratch;
  float* out = in + KernelLayerFloats(network);
  if (network.num_layers == 0) {
    return AddHead(network, FirstLayerRows<false>(input.user_tower, block, in),
                   score);
  }
  Prefetcher prefetcher(network, block);
  for (size_t l = 0; l < network.num_layers; ++l) {
    ReluLayer layer{network, input, block, l, in, out, prefetcher, score};
    ForEachGroup(network.layers[l].groups, layer);
    std::swap(in, out);
  }
}

HWY_NOINLINE void AddOtherTower(const KernelNetwork& network,
                                const KernelInput& input, const float* block,
                                Row& score) {
  float* in = input.scratch;
  float* out = in + KernelLayerFloats(network);
  for (size_t k = 0; k < network.tower_width; ++k) {
    Row item;
    Row sum;
    Load(block + k * kBlockItems, item);
    Fill(input.user_tower[k], sum);
    Add(item, sum);
    Store(sum, in + k * kBlockItems);
  }
  Activate(network.activation, in, network.tower_width * kBlockItems);
  Prefetcher prefetcher(network, block);
  for (size_t l = 0; l < network.num_layers; ++l) {
    const KernelLayer& layer = network.layers[l];
    PlainLayer plain{layer, in, out, prefetcher};
    ForEachGroup(layer.groups, plain);
    Activate(network.activation, out, layer.out * kBlockItems);
    std::swap(in, out);
  }
  AddHead(network, StoredRows(in), score);
}

// Adds the bias of the items, stores the scores and which of them are hits.
HWY_INLINE void Finish(const KernelNetwork& network, const float* block,
                       float threshold, Row& score, float* scores,
                       uint16_t* hits) {
  if (network.has_item_bias) {
    Row bias;
    Load(block + (network.block_rows() - 1) * kBlockItems, bias);
    Add(bias, score);
  }
  const Vector least = hn::Set(kTag, threshold);
  uint32_t bits = 0;
  HWY_UNROLL(16)
  for (size_t v = 0; v < kBlockVectors; ++v) {
    score[v] = hn::Add(score[v], hn::Zero(kTag));  // -0.0 is +0.0
    bits |= MaskBits(hn::Ge(score[v], least)) << (v * kLanes);
  }
  Store(score, scores);
  *hits = static_cast<uint16_t>(bits);
}

// The scores of kBlocks blocks for one user.
template <size_t kBlocks>
HWY_INLINE void ScoreBlocks(const KernelNetwork& network,
                            const KernelInput& input, size_t first,
                            const KernelOutput& output) {
  const size_t block_floats = network.block_floats();
  const float* const block = input.blocks + first * block_floats;
  Row scores[kBlocks];
  HWY_UNROLL(16)
  for (size_t b = 0; b < kBlocks; ++b) Fill(network.head_bias, scores[b]);

  const float* column = block + network.tower_width * kBlockItems;
  for (size_t k = 0; k < network.gmf_width; ++k, column += kBlockItems) {
    HWY_UNROLL(16)
    for (size_t b = 0; b < kBlocks; ++b) {
      Row items;
      Load(column + b * block_floats, items);
      MulAdd(input.user_gmf[k], items, scores[b]);
    }
  }
  HWY_UNROLL(16)
  for (size_t b = 0; b < kBlocks; ++b) {
    const float* const at = block + b * block_floats;
    if (network.tower_width != 0) {
      if (network.activation == Activation::kRelu) {
        AddReluTower(network, input, at, scores[b]);
      } else {
        AddOtherTower(network, input, at, scores[b]);
      }
    }
    Finish(network, at, input.threshold, scores[b],
           output.scores + (first + b) * kBlockItems, output.hits + first + b);
  }
}

void Score(const KernelNetwork& network, const KernelInput& input,
           const KernelOutput& output) {
  size_t block = 0;
  if (network.tower_width == 0) {
    for (; block + kDotBlocks <= input.num_blocks; block += kDotBlocks) {
      ScoreBlocks<kDotBlocks>(network, input, block, output);
    }
  }
  for (; block < input.num_blocks; ++block) {
    ScoreBlocks<1>(network, input, block, output);
  }
}

// A group of users against a block, as if they were outputs of a layer.
struct DotGroup {
  const KernelNetwork& network;
  const KernelLayer& users;
  const float* thresholds;
  const float* block;
  float* scores;   // [users, kBlockItems]
  uint16_t* hits;  // [users]
  Prefetcher& prefetcher;

  template <size_t kOut>
  HWY_INLINE void Run(size_t first) {
    Row sums[kOut];
    SumGroup(users.weight + first * users.in, users.bias + first, users.in,
             StoredRows(block), prefetcher, sums);
    HWY_UNROLL(16)
    for (size_t o = 0; o < kOut; ++o) {
      Finish(network, block, thresholds[first + o], sums[o],
             scores + (first + o) * kBlockItems, hits + first + o);
    }
  }
};

void ScoreDots(const KernelNetwork& network, const KernelDotInput& input,
               const KernelOutput& output) {
  const size_t num_users = input.users->out;
  for (size_t b = 0; b < input.num_blocks; ++b) {
    const float* const block = input.blocks + b * network.block_floats();
    Prefetcher prefetcher(network, block);
    DotGroup users{network,
                   *input.users,
                   input.thresholds,
                   block,
                   output.scores + b * num_users * kBlockItems,
                   output.hits + b * num_users,
                   prefetcher};
    ForEachGroup(input.users->groups, users);
  }
}

const BlockKernel* Kernel() {
  static const BlockKernel kKernel = {hwy::TargetName(HWY_TARGET), kWidths,
                                      &Score, &ScoreDots};
  return &kKernel;
}

#else  // HWY_NATIVE_FMA

const BlockKernel* Kernel() { return nullptr; }

#endif  // HWY_NATIVE_FMA

}  // namespace HWY_NAMESPACE
}  // namespace neumf
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace neumf {

HWY_EXPORT(Kernel);

const BlockKernel* FindBlockKernel() { return HWY_DYNAMIC_DISPATCH(Kernel)(); }

int64_t CompiledKernelTargets() {
  return HWY_TARGETS & ~(HWY_SCALAR | HWY_EMU128);
}

}  // namespace neumf
#endif  // HWY_ONCE
