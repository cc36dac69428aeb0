#pragma once

// What a BatchRecommend amounts to, counted in its bytes without a copy of them:
// what is refused for its size or for the caller's quota is not parsed.

#include <cstdint>

#include "google/protobuf/io/zero_copy_stream.h"

namespace neumf {

struct BatchOutline {
  int64_t num_requests = 0;
  int64_t num_excluded = 0;  // of all requests
};

// Of a serialized BatchRecommendRequest; of one that is broken, as far as it can
// be read.
BatchOutline OutlineBatch(google::protobuf::io::ZeroCopyInputStream* bytes);

}  // namespace neumf
