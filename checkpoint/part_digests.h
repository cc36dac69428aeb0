#pragma once

// Which parts of a checkpoint equal those of another, told by their digests.
//
// A part is the same when all of its tensors have the same names, types, shapes
// and digests. A model that was read and verified can then be used in place of
// what the other file holds: SHA-256 says that the bytes are the same, or that
// the file is damaged.

#include "base/sha256.h"
#include "checkpoint/checkpoint_schema.h"
#include "checkpoint/manifest.h"
#include "model/serving_model.h"

namespace neumf {

// Of all that decides what is made of a part.
struct PartDigests {
  Sha256Digest user_tables = {};
  Sha256Digest user_ids = {};
  Sha256Digest item_ids = {};
  Sha256Digest seen = {};
  Sha256Digest popularity = {};
  Sha256Digest items = {};
};

// REQUIRES: the manifest has a digest for each tensor of `content`.
PartDigests PartDigestsOf(const CheckpointContent& content,
                          const Manifest& manifest);

ModelParts EqualParts(const PartDigests& a, const PartDigests& b);

}  // namespace neumf
