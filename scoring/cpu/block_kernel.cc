#include "scoring/cpu/block_kernel.h"

#include "scoring/activation.h"

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
// A tile has enough sums in flight to hide the latency of a multiply-add: 2
// vectors x 4 outputs on two pipes with a latency of 4.
constexpr size_t kTileBlocks = kBlockVectors == 1 ? 2 : 1;

// The vectors of kBlocks consecutive blocks. Rows of a block come as the tables
// are stored; rows in scratch hold the whole tile.
template <size_t kBlocks>
struct Tile {
  static constexpr size_t kVectors = kBlocks * kBlockVectors;
  static constexpr size_t kItems = kBlocks * kBlockItems;

  // Where vector `v` of a row lies, from the row's place in the first block.
  static constexpr size_t BlockOffset(size_t v, size_t block_floats) {
    return v / kBlockVectors * block_floats + v % kBlockVectors * kLanes;
  }
};

template <bool kRelu>
HWY_INLINE Vector ReluIf(Vector x) {
  return kRelu ? hn::Max(x, hn::Zero(kTag)) : x;
}

// out[k] = act(user_tower[k] + item_tower[k]).
template <size_t kBlocks, bool kRelu>
HWY_INLINE void FirstLayer(const KernelNetwork& network, const float* user,
                           const float* HWY_RESTRICT block,
                           float* HWY_RESTRICT out) {
  using T = Tile<kBlocks>;
  const size_t block_floats = network.block_floats();
  for (size_t k = 0; k < network.tower_width; ++k) {
    const Vector u = hn::Set(kTag, user[k]);
    HWY_UNROLL(8)
    for (size_t v = 0; v < T::kVectors; ++v) {
      const Vector item =
          hn::Load(kTag, block + T::BlockOffset(v, block_floats));
      hn::Store(ReluIf<kRelu>(hn::Add(u, item)), kTag, out + v * kLanes);
    }
    block += kBlockItems;
    out += T::kItems;
  }
  if (!kRelu) {
    const size_t count = network.tower_width * T::kItems;
    Activate(network.activation, out - count, count);
  }
}

// kGroupOutputs outputs of a layer, their sums held in registers.
template <size_t kBlocks, bool kRelu>
HWY_INLINE void LayerGroup(const float* HWY_RESTRICT weight, const float* bias,
                           const float* HWY_RESTRICT in, size_t num_in,
                           float* HWY_RESTRICT out) {
  using T = Tile<kBlocks>;
  Vector sums[kGroupOutputs][T::kVectors];
  HWY_UNROLL(8)
  for (size_t o = 0; o < kGroupOutputs; ++o) {
    HWY_UNROLL(8)
    for (size_t v = 0; v < T::kVectors; ++v) {
      sums[o][v] = hn::Set(kTag, bias[o]);
    }
  }
  for (size_t k = 0; k < num_in; ++k) {
    HWY_UNROLL(8)
    for (size_t o = 0; o < kGroupOutputs; ++o) {
      const Vector w = hn::Set(kTag, weight[o]);
      HWY_UNROLL(8)
      for (size_t v = 0; v < T::kVectors; ++v) {
        sums[o][v] = hn::MulAdd(w, hn::Load(kTag, in + v * kLanes), sums[o][v]);
      }
    }
    weight += kGroupOutputs;
    in += T::kItems;
  }
  HWY_UNROLL(8)
  for (size_t o = 0; o < kGroupOutputs; ++o) {
    HWY_UNROLL(8)
    for (size_t v = 0; v < T::kVectors; ++v) {
      hn::Store(ReluIf<kRelu>(sums[o][v]), kTag, out + v * kLanes);
    }
    out += T::kItems;
  }
}

template <size_t kBlocks, bool kRelu>
HWY_INLINE void NextLayer(Activation activation, const KernelLayer& layer,
                          const float* in, float* out) {
  constexpr size_t kGroupFloats = kGroupOutputs * Tile<kBlocks>::kItems;
  for (size_t g = 0; g < layer.groups; ++g) {
    LayerGroup<kBlocks, kRelu>(layer.weight + g * layer.in * kGroupOutputs,
                               layer.bias + g * kGroupOutputs, in, layer.in,
                               out + g * kGroupFloats);
  }
  if (!kRelu) Activate(activation, out, layer.groups * kGroupFloats);
}

// The outputs of the last tower layer: a place in `scratch`.
template <size_t kBlocks, bool kRelu>
HWY_INLINE const float* Tower(const KernelNetwork& network,
                              const KernelInput& input, const float* block) {
  float* out = input.scratch;
  float* spare = input.scratch + KernelLayerFloats(network);
  FirstLayer<kBlocks, kRelu>(network, input.user_tower, block, out);
  for (size_t l = 0; l < network.num_layers; ++l) {
    NextLayer<kBlocks, kRelu>(network.activation, network.layers[l], out,
                              spare);
    float* const in = out;
    out = spare;
    spare = in;
  }
  return out;
}

// The GMF part, the head and the bias, in the order of scorer.h.
template <size_t kBlocks>
HWY_INLINE void Sum(const KernelNetwork& network, const KernelInput& input,
                    const float* HWY_RESTRICT block,
                    const float* HWY_RESTRICT tower,
                    Vector (&sums)[Tile<kBlocks>::kVectors]) {
  using T = Tile<kBlocks>;
  const size_t block_floats = network.block_floats();
  HWY_UNROLL(8)
  for (size_t v = 0; v < T::kVectors; ++v) {
    sums[v] = hn::Set(kTag, network.head_bias);
  }
  const float* row = block + network.tower_width * kBlockItems;
  for (size_t k = 0; k < network.gmf_width; ++k, row += kBlockItems) {
    const Vector u = hn::Set(kTag, input.user_gmf[k]);
    HWY_UNROLL(8)
    for (size_t v = 0; v < T::kVectors; ++v) {
      const Vector item = hn::Load(kTag, row + T::BlockOffset(v, block_floats));
      sums[v] = hn::MulAdd(u, item, sums[v]);
    }
  }
  for (size_t k = 0; k < network.head_width; ++k, tower += T::kItems) {
    const Vector w = hn::Set(kTag, network.head_weight[k]);
    HWY_UNROLL(8)
    for (size_t v = 0; v < T::kVectors; ++v) {
      sums[v] = hn::MulAdd(w, hn::Load(kTag, tower + v * kLanes), sums[v]);
    }
  }
  if (!network.has_item_bias) return;
  HWY_UNROLL(8)
  for (size_t v = 0; v < T::kVectors; ++v) {
    sums[v] =
        hn::Add(sums[v], hn::Load(kTag, row + T::BlockOffset(v, block_floats)));
  }
}

// The bits of the lanes of `score` that are not below `threshold`.
HWY_INLINE uint32_t HitLanes(Vector score, Vector threshold) {
  uint8_t bits[8] = {};
  hn::StoreMaskBits(kTag, hn::Ge(score, threshold), bits);
  return bits[0] | (kLanes > 8 ? uint32_t{bits[1]} << 8 : 0);
}

template <size_t kBlocks, bool kRelu>
HWY_INLINE void ScoreTile(const KernelNetwork& network,
                          const KernelInput& input, size_t first_block,
                          const KernelOutput& output) {
  using T = Tile<kBlocks>;
  const float* const block =
      input.blocks + first_block * network.block_floats();
  const float* const tower = network.tower_width == 0
                                 ? nullptr
                                 : Tower<kBlocks, kRelu>(network, input, block);
  Vector sums[T::kVectors];
  Sum<kBlocks>(network, input, block, tower, sums);

  const Vector threshold = hn::Set(kTag, input.threshold);
  uint32_t hits[kBlocks] = {};
  float* const scores = output.scores + first_block * kBlockItems;
  HWY_UNROLL(8)
  for (size_t v = 0; v < T::kVectors; ++v) {
    const Vector score = hn::Add(sums[v], hn::Zero(kTag));  // -0.0 is +0.0
    hn::StoreU(score, kTag, scores + v * kLanes);
    hits[v / kBlockVectors] |= HitLanes(score, threshold)
                               << (v % kBlockVectors * kLanes);
  }
  for (size_t b = 0; b < kBlocks; ++b) {
    output.hits[first_block + b] = static_cast<uint16_t>(hits[b]);
  }
}

template <bool kRelu>
void ScoreTiles(const KernelNetwork& network, const KernelInput& input,
                const KernelOutput& output) {
  size_t block = 0;
  for (; block + kTileBlocks <= input.num_blocks; block += kTileBlocks) {
    ScoreTile<kTileBlocks, kRelu>(network, input, block, output);
  }
  for (; block < input.num_blocks; ++block) {
    ScoreTile<1, kRelu>(network, input, block, output);
  }
}

void Score(const KernelNetwork& network, const KernelInput& input,
           const KernelOutput& output) {
  if (network.activation == Activation::kRelu) {
    ScoreTiles<true>(network, input, output);
  } else {
    ScoreTiles<false>(network, input, output);
  }
}

const BlockKernel* Kernel() {
  static const BlockKernel kKernel = {hwy::TargetName(HWY_TARGET), &Score};
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
