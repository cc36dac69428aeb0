#include "scoring/cpu/coarse_kernel.h"

#include <utility>

// Only one target has the instructions.
#define HWY_WANT_AVX3_DL 1
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS                                         \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX2 | HWY_AVX3 | HWY_SVE | HWY_SVE2 | \
   HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "scoring/cpu/coarse_kernel.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

// Everything down to HWY_AFTER_NAMESPACE() is compiled once for each target.
#if HWY_TARGET == HWY_AVX3_DL
// Highway tests for AVX-512 VNNI before it chooses the target, but 1.0.3 does
// not tell the compiler of it.
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
#else
HWY_BEFORE_NAMESPACE();
#endif
namespace neumf {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_AVX3_DL

constexpr size_t kRowBytes = kCoarseQuad * kBlockItems;
// Blocks that share each weight: with 8 outputs, 16 sums in flight of the 32
// registers.
constexpr size_t kTileBlocks = 2;
// Tiles between the one that is computed and the one that is asked for: a tile
// takes less time than memory takes to answer.
constexpr size_t kTilesAhead = 4;

// The instruction overwrites its sum. g++ 12 nevertheless copies each sum before
// and after, unless it believes that something else reads and writes it here.
HWY_INLINE void KeepInPlace(__m512i& sum) { asm("" : "+v"(sum)); }

HWY_INLINE void AskFor(uintptr_t address) {
  constexpr int kToRead = 0;
  constexpr int kSecondLevel = 2;
  __builtin_prefetch(reinterpret_cast<const void*>(address), kToRead,
                     kSecondLevel);
}

// Asks for a later tile, a cache line a step, as block_kernel.cc does.
class Prefetcher {
 public:
  HWY_INLINE Prefetcher(const uint8_t* tile, size_t tile_bytes)
      : next_(reinterpret_cast<uintptr_t>(tile) + kTilesAhead * tile_bytes),
        end_(next_ + tile_bytes) {}

  HWY_INLINE void Step() {
    if (next_ == end_) return;
    AskFor(next_);
    next_ += kRowBytes;
  }

 private:
  // Numbers: they may lie past the last tile, where no pointer may point.
  uintptr_t next_;
  const uintptr_t end_;
};

// kBlocks blocks on their way through the layers.
template <size_t kBlocks>
struct Tile {
  const KernelNetwork& network;
  const CoarseInput& input;
  const uint8_t* coarse_block;
  const float* block;
  Prefetcher prefetcher;
  __m512 scores[kBlocks];

  using Sums = __m512i[kCoarseGroup][kBlocks];

  HWY_INLINE void Run() {
    AddGmf();
    // Rows of the blocks alternate: [quad, kBlocks, kRowBytes].
    auto* in = reinterpret_cast<uint8_t*>(input.scratch);
    auto* out =
        reinterpret_cast<uint8_t*>(input.scratch + KernelLayerFloats(network));
    FirstLayer(in);
    for (size_t l = 0; l + 1 < input.num_layers; ++l) {
      HiddenLayer(input.layers[l], in, out);
      std::swap(in, out);
    }
    LastLayer(input.layers[input.num_layers - 1], in);
  }

  HWY_INLINE void AddGmf() {
    const size_t block_floats = network.block_floats();
    const float* column = block + network.tower_width * kBlockItems;
    HWY_UNROLL(2)
    for (size_t b = 0; b < kBlocks; ++b) {
      scores[b] = _mm512_set1_ps(network.head_bias);
    }
    for (size_t k = 0; k < network.gmf_width; ++k, column += kBlockItems) {
      const __m512 user = _mm512_set1_ps(input.user_gmf[k]);
      HWY_UNROLL(2)
      for (size_t b = 0; b < kBlocks; ++b) {
        const float* const items = column + b * block_floats;
        scores[b] = _mm512_fmadd_ps(user, _mm512_load_ps(items), scores[b]);
        AskFor(reinterpret_cast<uintptr_t>(items) +
               kTilesAhead * kTileBlocks * block_floats * sizeof(float));
      }
    }
  }

  HWY_INLINE void FirstLayer(uint8_t* out) {
    const size_t quads = input.layers[0].in_quads;
    for (size_t k = 0; k < quads; ++k) {
      const __m512i offsets = _mm512_set1_epi32(input.offsets[k]);
      HWY_UNROLL(2)
      for (size_t b = 0; b < kBlocks; ++b) {
        const uint8_t* const items = coarse_block + (b * quads + k) * kRowBytes;
        _mm512_store_si512(out + (k * kBlocks + b) * kRowBytes,
                           _mm512_subs_epu8(_mm512_load_si512(items), offsets));
      }
    }
  }

  HWY_INLINE void HiddenLayer(const CoarseLayer& layer, const uint8_t* in,
                              uint8_t* out) {
    for (size_t group = 0; group < layer.groups; ++group) {
      Sums sums;
      Sum(layer, group, in, sums);
      const int32_t* const shift = layer.shift + group * kCoarseGroup;
      HWY_UNROLL(2)
      for (size_t half = 0; half < kCoarseGroup; half += kCoarseQuad) {
        HWY_UNROLL(2)
        for (size_t b = 0; b < kBlocks; ++b, out += kRowBytes) {
          _mm512_store_si512(out, Requantize(sums, shift, half, b));
        }
      }
    }
  }

  // Four outputs of a block as bytes that stand beside each other.
  HWY_INLINE static __m512i Requantize(const Sums& sums, const int32_t* shift,
                                       size_t first, size_t b) {
    __m512i shifted[kCoarseQuad];
    HWY_UNROLL(4)
    for (size_t o = 0; o < kCoarseQuad; ++o) {
      shifted[o] = _mm512_srav_epi32(sums[first + o][b],
                                     _mm512_set1_epi32(shift[first + o]));
    }
    const __m512i apart =
        _mm512_packus_epi16(_mm512_packs_epi32(shifted[0], shifted[1]),
                            _mm512_packs_epi32(shifted[2], shifted[3]));
    return _mm512_shuffle_epi8(
        apart, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2,
                                                    6, 10, 14, 3, 7, 11, 15)));
  }

  HWY_INLINE void LastLayer(const CoarseLayer& layer, const uint8_t* in) {
    const float* head = input.head;
    for (size_t group = 0; group < layer.groups; ++group) {
      Sums sums;
      Sum(layer, group, in, sums);
      HWY_UNROLL(8)
      for (size_t o = 0; o < kCoarseGroup; ++o, ++head) {
        const __m512 weight = _mm512_set1_ps(*head);
        HWY_UNROLL(2)
        for (size_t b = 0; b < kBlocks; ++b) {
          const __m512i h =
              _mm512_max_epi32(sums[o][b], _mm512_setzero_si512());
          scores[b] = _mm512_fmadd_ps(weight, _mm512_cvtepi32_ps(h), scores[b]);
        }
      }
    }
  }

  // sums[o] = bias[o] + weight[o] . in
  HWY_INLINE void Sum(const CoarseLayer& layer, size_t group, const uint8_t* in,
                      Sums& sums) {
    const int32_t* const bias = layer.bias + group * kCoarseGroup;
    const int32_t* weight =
        layer.weight + group * layer.in_quads * kCoarseGroup;
    HWY_UNROLL(8)
    for (size_t o = 0; o < kCoarseGroup; ++o) {
      HWY_UNROLL(2)
      for (size_t b = 0; b < kBlocks; ++b) {
        sums[o][b] = _mm512_set1_epi32(bias[o]);
      }
    }
    for (size_t k = 0; k < layer.in_quads; ++k) {
      prefetcher.Step();
      __m512i h[kBlocks];
      HWY_UNROLL(2)
      for (size_t b = 0; b < kBlocks; ++b, in += kRowBytes) {
        h[b] = _mm512_load_si512(in);
      }
      HWY_UNROLL(8)
      for (size_t o = 0; o < kCoarseGroup; ++o, ++weight) {
        const __m512i w = _mm512_set1_epi32(*weight);
        HWY_UNROLL(2)
        for (size_t b = 0; b < kBlocks; ++b) {
          sums[o][b] = _mm512_dpbusd_epi32(sums[o][b], h[b], w);
          KeepInPlace(sums[o][b]);
        }
      }
    }
  }
};

template <size_t kBlocks>
HWY_INLINE void ScoreTile(const KernelNetwork& network,
                          const CoarseInput& input, size_t first,
                          const KernelOutput& output) {
  const size_t block_bytes = input.layers[0].in_quads * kRowBytes;
  const size_t block_floats = network.block_floats();
  const uint8_t* const coarse = input.coarse_blocks + first * block_bytes;
  const float* const block = input.blocks + first * block_floats;
  Tile<kBlocks> tile{network,
                     input,
                     coarse,
                     block,
                     Prefetcher(coarse, kTileBlocks * block_bytes),
                     {}};
  tile.Run();

  const __m512 least = _mm512_set1_ps(input.threshold);
  HWY_UNROLL(2)
  for (size_t b = 0; b < kBlocks; ++b) {
    __m512 score = tile.scores[b];
    if (network.has_item_bias) {
      const float* const bias =
          block + b * block_floats + (network.block_rows() - 1) * kBlockItems;
      score = _mm512_add_ps(score, _mm512_load_ps(bias));
    }
    score = _mm512_add_ps(score, _mm512_setzero_ps());  // -0.0 is +0.0
    _mm512_store_ps(output.scores + (first + b) * kBlockItems, score);
    output.hits[first + b] = _mm512_cmp_ps_mask(score, least, _CMP_GE_OQ);
  }
}

void Score(const KernelNetwork& network, const CoarseInput& input,
           const KernelOutput& output) {
  size_t block = 0;
  for (; block + kTileBlocks <= input.num_blocks; block += kTileBlocks) {
    ScoreTile<kTileBlocks>(network, input, block, output);
  }
  for (; block < input.num_blocks; ++block) {
    ScoreTile<1>(network, input, block, output);
  }
}

const CoarseKernel* Kernel() {
  static const CoarseKernel kKernel = {&Score};
  return &kKernel;
}

#else  // HWY_TARGET

const CoarseKernel* Kernel() { return nullptr; }

#endif  // HWY_TARGET

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace neumf
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace neumf {

HWY_EXPORT(Kernel);

const CoarseKernel* FindCoarseKernel() {
  return HWY_DYNAMIC_DISPATCH(Kernel)();
}

}  // namespace neumf
#endif  // HWY_ONCE
