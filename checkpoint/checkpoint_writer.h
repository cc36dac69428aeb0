#pragma once

// Writes a checkpoint and publishes it under the next free version number.
//
// Publishing is one rename of a finished, synced file, so a reader meets all of
// a version or none of it; whatever fails or dies before leaves at most a
// temporary dot-file. A published version is never overwritten: two publishers
// that race for one number get two numbers.

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/ed25519.h"
#include "base/file_system.h"
#include "checkpoint/manifest.h"
#include "model/serving_model.h"

namespace neumf {

struct CheckpointWriterOptions {
  // Tensors above this size get a digest for each piece of so many bytes, so
  // that a reader's threads can share them. It is doubled while the header does
  // not hold the digests. > 0. Default: what a core's cache holds.
  uint64_t digest_chunk_bytes = 1 << 20;
};

// Writes `model` and `items` as `path`, which must not exist; the caller
// renames it, or removes it after an error. `manifest.tensors` and
// `manifest.activation` are filled in here. The same input gives the same
// bytes. INVALID_ARGUMENT for what a CheckpointReader would refuse: a model
// that does not pass Validate(), scores that may overflow, a manifest beyond
// its limits.
absl::Status WriteCheckpointFile(FileSystem& files, absl::string_view path,
                                 const ServingModel& model,
                                 const ItemTables& items,
                                 const Manifest& manifest,
                                 const CheckpointWriterOptions& options = {});

struct PublishedCheckpoint {
  uint64_t version = 0;
  std::string path;
};

// Writes under a temporary name in `directory`, which is made when missing, and
// renames to the largest version there plus one, or to the first after it that
// serving.json does not name. Errors say what could not be done; the temporary
// file is removed, and first those that killed publishers have left there. When
// the sync of the directory fails the version is there, and the error says
// "published PATH, but ...": the machine may forget it when it crashes.
//
// With a key the version is signed (checkpoint_signature.h); the signature is
// there, and synced, before the version is.
absl::StatusOr<PublishedCheckpoint> PublishCheckpoint(
    FileSystem& files, absl::string_view directory, const ServingModel& model,
    const ItemTables& items, const Manifest& manifest,
    const Ed25519PrivateKey* signing_key = nullptr);

}  // namespace neumf
