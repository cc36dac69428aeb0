#include "trainer/distributed/gradient_exchange.h"

#include <algorithm>

#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr size_t kByteBits = 8;

size_t BytesOf(const ParameterBlock& table) {
  return (table.rows + kByteBits - 1) / kByteBits;
}

// Calls body(values, count) for each piece that travels, in the same order in
// every process.
template <class Body>
void ForEachPiece(absl::Span<const uint8_t> touched, Gradient* gradient,
                  const Body& body) {
  const uint8_t* bits = touched.data();
  float* const values = gradient->values().data();
  for (size_t t = 0; t < gradient->num_tables(); ++t) {
    const ParameterBlock& table = gradient->table(t);
    float* const rows = values + table.offset;
    for (uint64_t row = 0; row < table.rows; ++row) {
      if ((bits[row / kByteBits] >> (row % kByteBits) & 1) != 0) {
        body(rows + row * table.cols, table.cols);
      }
    }
    bits += BytesOf(table);
  }
  body(values + gradient->dense_begin(),
       gradient->values().size() - gradient->dense_begin());
}

}  // namespace

GradientExchange::GradientExchange(Collective* collective)
    : collective_(collective) {}

// Afterwards a row that any process has touched is touched here.
absl::Status GradientExchange::ShareTouched(Gradient* gradient) {
  size_t num_bytes = 0;
  for (size_t t = 0; t < gradient->num_tables(); ++t) {
    num_bytes += BytesOf(gradient->table(t));
  }
  if (num_bytes == 0) return absl::OkStatus();
  touched_.assign(num_bytes, 0);
  uint8_t* bits = touched_.data();
  for (size_t t = 0; t < gradient->num_tables(); ++t) {
    for (const uint32_t row : gradient->touched(t)) {
      bits[row / kByteBits] |= static_cast<uint8_t>(1U << (row % kByteBits));
    }
    bits += BytesOf(gradient->table(t));
  }
  NEUMF_RETURN_IF_ERROR(collective_->Or(absl::MakeSpan(touched_)));
  num_bytes_ += num_bytes;
  bits = touched_.data();
  for (size_t t = 0; t < gradient->num_tables(); ++t) {
    const uint64_t num_rows = gradient->table(t).rows;
    for (uint32_t row = 0; row < num_rows; ++row) {
      if ((bits[row / kByteBits] >> (row % kByteBits) & 1) != 0) {
        gradient->Touch(t, row);
      }
    }
    bits += BytesOf(gradient->table(t));
  }
  return absl::OkStatus();
}

absl::StatusOr<double> GradientExchange::Exchange(double weight, double loss,
                                                  Gradient* gradient) {
  NEUMF_RETURN_IF_ERROR(ShareTouched(gradient));
  const auto factor = static_cast<float>(weight);
  packed_.clear();
  ForEachPiece(touched_, gradient, [&](const float* values, size_t count) {
    const size_t begin = packed_.size();
    packed_.resize(begin + count);
    float* const packed = packed_.data() + begin;
    for (size_t i = 0; i < count; ++i) packed[i] = factor * values[i];
  });
  packed_.push_back(static_cast<float>(weight * loss));
  NEUMF_RETURN_IF_ERROR(collective_->Sum(absl::MakeSpan(packed_)));
  num_bytes_ += packed_.size() * sizeof(float);
  const float* packed = packed_.data();
  ForEachPiece(touched_, gradient, [&](float* values, size_t count) {
    std::copy_n(packed, count, values);
    packed += count;
  });
  return *packed;
}

}  // namespace neumf
