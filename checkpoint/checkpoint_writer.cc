#include "checkpoint/checkpoint_writer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/logging.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_pruning.h"
#include "checkpoint/checkpoint_schema.h"
#include "checkpoint/checkpoint_signature.h"
#include "checkpoint/publisher_lock.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/serving_policy.h"
#include "checkpoint/tensor_digest.h"
#include "model/score_bound.h"

namespace neumf {
namespace {

// Most digests of chunks in a file, more or less: each takes 69 bytes of a
// header, which holds 1 MiB, and the manifest has more to say.
constexpr uint64_t kMaxDigestChunks = 8192;

// The bytes of every tensor by name; they belong to the model.
using TensorBytes = std::map<std::string, absl::string_view>;

template <typename T>
absl::string_view BytesOf(absl::Span<const T> values) {
  return absl::string_view(reinterpret_cast<const char*>(values.data()),
                           values.size() * sizeof(T));
}

template <typename T>
absl::string_view BytesOf(const AlignedTable<T>& matrix) {
  return BytesOf(absl::MakeConstSpan(matrix.data(), matrix.size()));
}

template <typename T>
absl::string_view BytesOf(const std::vector<T>& values) {
  return BytesOf(absl::MakeConstSpan(values));
}

CheckpointContent ContentOf(const ServingModel& model) {
  CheckpointContent content;
  content.shape = model.shape;
  content.user_id_bytes = model.user_ids.bytes().size();
  content.item_id_bytes = model.item_ids.bytes().size();
  content.num_seen = model.seen.items().size();
  content.has_seen = !model.seen.empty();
  content.has_head_bias = true;
  content.has_popularity = !model.popularity.empty();
  content.has_user_hashes = !model.user_ids.hashes().empty();
  content.has_float16_users = model.users.is_float16();
  return content;
}

void AddNetworkBytes(const ScoreNetwork& network, TensorBytes& bytes) {
  for (size_t i = 0; i < network.layers.size(); ++i) {
    bytes[TowerWeightName(i + 2)] = BytesOf(network.layers[i].weight);
    bytes[TowerBiasName(i + 2)] = BytesOf(network.layers[i].bias);
  }
  bytes["head.weight"] = BytesOf(network.head_weight);
  bytes["head.bias"] = BytesOf(absl::MakeConstSpan(&network.head_bias, 1));
}

TensorBytes AllBytes(const ServingModel& model, const ItemTables& items) {
  TensorBytes bytes;
  bytes["user.id.offsets"] = BytesOf(model.user_ids.offsets());
  bytes["user.id.bytes"] = model.user_ids.bytes();
  bytes["user.id.hash"] = BytesOf(model.user_ids.hashes());
  bytes["item.id.offsets"] = BytesOf(model.item_ids.offsets());
  bytes["item.id.bytes"] = model.item_ids.bytes();
  bytes["seen.offsets"] = BytesOf(model.seen.offsets());
  bytes["seen.items"] = BytesOf(model.seen.items());
  const UserTables& users = model.users;
  bytes["user.gmf"] =
      users.is_float16() ? BytesOf(users.gmf16) : BytesOf(users.gmf);
  bytes["user.tower"] =
      users.is_float16() ? BytesOf(users.tower16) : BytesOf(users.tower);
  bytes["item.gmf"] = BytesOf(items.gmf);
  bytes["item.tower"] = BytesOf(items.tower);
  bytes["item.bias"] = BytesOf(items.bias);
  bytes["item.popularity"] = BytesOf(model.popularity);
  AddNetworkBytes(model.network, bytes);
  return bytes;
}

absl::Status CheckModel(const ServingModel& model, const ItemTables& items) {
  NEUMF_RETURN_IF_ERROR(Validate(model));
  NEUMF_RETURN_IF_ERROR(Validate(model.shape, items));
  ScoreBound bound(model.shape);
  bound.AddUsers(model.users);
  NEUMF_RETURN_IF_ERROR(StreamItemTables(items, [&](const ItemRows& rows) {
    bound.AddItems(rows);
    return absl::OkStatus();
  }));
  return bound.Check(model.network);
}

std::vector<TensorInfo> PlaceTensors(const std::vector<TensorSpec>& specs,
                                     const TensorBytes& bytes) {
  std::vector<TensorInfo> tensors;
  uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    TensorInfo tensor;
    tensor.name = spec.name;
    tensor.type = spec.type;
    tensor.shape = spec.shape;
    tensor.begin = offset;
    offset += bytes.at(spec.name).size();
    tensor.end = offset;
    NEUMF_CHECK(tensor.size_bytes() ==
                tensor.num_elements() * ElementBytes(tensor.type));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

// The serialized header of a file of `tensors`.
std::string HeaderOf(const std::vector<TensorInfo>& tensors,
                     absl::string_view manifest_text) {
  SafetensorsHeader header;
  header.metadata[kFormatKey] = Manifest::kFormat;
  header.metadata[kManifestKey] = std::string(manifest_text);
  header.metadata[kManifestDigestKey] = ToHex(Sha256Of(manifest_text));
  header.tensors = tensors;
  return SerializeSafetensorsHeader(header);
}

absl::Status CheckHeaderSize(absl::string_view header) {
  const size_t json_bytes = header.size() - sizeof(uint64_t);
  if (json_bytes <= SafetensorsLimits::kMaxHeaderBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the header needs ", json_bytes, " bytes, above ",
      SafetensorsLimits::kMaxHeaderBytes, ": fewer probes or notes fit"));
}

// The header of a file of `tensors` that the reader will take.
absl::StatusOr<std::string> MakeHeader(const std::vector<TensorInfo>& tensors,
                                       const Manifest& manifest) {
  const std::string manifest_text = SerializeManifest(manifest);
  const absl::Status readable = ParseManifest(manifest_text).status();
  if (!readable.ok()) return absl::InvalidArgumentError(readable.message());
  std::string header = HeaderOf(tensors, manifest_text);
  NEUMF_RETURN_IF_ERROR(CheckHeaderSize(header));
  return header;
}

// `chunk_bytes`, doubled until the header holds the digests beside the rest of
// `manifest`, or no tensor has chunks any more. Blank digests take the same
// room as those that all tensors would have to be hashed for.
uint64_t FittingChunkBytes(const std::vector<TensorInfo>& tensors,
                           Manifest manifest, uint64_t chunk_bytes) {
  const uint64_t all_bytes = tensors.back().end;
  while (all_bytes / chunk_bytes > kMaxDigestChunks) chunk_bytes *= 2;
  for (; chunk_bytes < all_bytes; chunk_bytes *= 2) {
    for (const TensorInfo& tensor : tensors) {
      manifest.tensors[tensor.name] =
          BlankDigest(tensor.size_bytes(), chunk_bytes);
    }
    const std::string header = HeaderOf(tensors, SerializeManifest(manifest));
    if (CheckHeaderSize(header).ok()) break;
  }
  return chunk_bytes;
}

void RequireFeature(absl::string_view name,
                    std::vector<std::string>& features) {
  if (std::find(features.begin(), features.end(), name) == features.end()) {
    features.emplace_back(name);
  }
}

// Returns the digest of the checkpoint.
absl::StatusOr<std::string> WriteContent(
    WritableFile& file, const ServingModel& model, const ItemTables& items,
    const Manifest& manifest, const CheckpointWriterOptions& options) {
  NEUMF_RETURN_IF_ERROR(CheckModel(model, items));
  const TensorBytes bytes = AllBytes(model, items);
  const std::vector<TensorInfo> tensors =
      PlaceTensors(TensorsOf(ContentOf(model)), bytes);

  Manifest complete = manifest;
  complete.activation = model.network.activation;
  if (model.users.is_float16()) {
    RequireFeature(kFloat16UsersFeature, complete.required_features);
  }
  complete.tensors.clear();
  const uint64_t chunk_bytes =
      FittingChunkBytes(tensors, complete, options.digest_chunk_bytes);
  for (const TensorInfo& tensor : tensors) {
    complete.tensors[tensor.name] =
        DigestOf(bytes.at(tensor.name), chunk_bytes);
  }
  NEUMF_ASSIGN_OR_RETURN(const std::string header,
                         MakeHeader(tensors, complete));

  NEUMF_RETURN_IF_ERROR(file.Append(header));
  for (const TensorInfo& tensor : tensors) {
    NEUMF_RETURN_IF_ERROR(file.Append(bytes.at(tensor.name)));
  }
  NEUMF_RETURN_IF_ERROR(file.Sync());
  NEUMF_RETURN_IF_ERROR(file.Close());
  return ToHex(Sha256Of(absl::string_view(header).substr(sizeof(uint64_t))));
}

// What a version is signed with, and what of it.
struct Signer {
  const Ed25519PrivateKey& key;
  std::string digest;
};

absl::Status WriteSynced(FileSystem& files, absl::string_view path,
                         absl::string_view content) {
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file,
                         files.CreateNew(path));
  NEUMF_RETURN_IF_ERROR(file->Append(content));
  NEUMF_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

// After an error ours is not there. ALREADY_EXISTS when another one is, of a
// publisher that was killed before its version was there, or that is about to
// take the number.
absl::Status PublishSignature(FileSystem& files, absl::string_view directory,
                              const PublishedCheckpoint& version,
                              const Signer& signer) {
  const std::string temporary = JoinPath(directory, TemporaryCheckpointName());
  absl::Status status =
      WriteSynced(files, temporary,
                  SignatureText(signer.key, version.version, signer.digest));
  if (status.ok()) {
    status = files.RenameNoReplace(temporary, SignaturePath(version.path));
  }
  if (!status.ok()) {
    files.Remove(temporary).IgnoreError();
    return status;
  }
  status = files.SyncDirectory(directory);
  if (!status.ok()) files.Remove(SignaturePath(version.path)).IgnoreError();
  return status;
}

// The signature comes first, so that no version is ever without.
absl::Status RenameToVersion(FileSystem& files, absl::string_view directory,
                             absl::string_view temporary,
                             const PublishedCheckpoint& version,
                             const Signer* signer) {
  if (signer == nullptr) return files.RenameNoReplace(temporary, version.path);
  NEUMF_RETURN_IF_ERROR(PublishSignature(files, directory, version, *signer));
  const absl::Status renamed = files.RenameNoReplace(temporary, version.path);
  if (!renamed.ok()) files.Remove(SignaturePath(version.path)).IgnoreError();
  return renamed;
}

absl::StatusOr<uint64_t> NextVersion(FileSystem& files,
                                     absl::string_view directory) {
  NEUMF_ASSIGN_OR_RETURN(const std::vector<CheckpointFile> checkpoints,
                         ListCheckpoints(files, directory));
  return checkpoints.empty() ? 1 : checkpoints.back().version + 1;
}

// Another publisher may take a number between our look and our rename, where
// nothing can be locked; then the next one is tried. A number that serving.json
// names is another version's, though its file may be gone.
absl::StatusOr<PublishedCheckpoint> RenameToNextVersion(
    FileSystem& files, absl::string_view directory, absl::string_view temporary,
    const Signer* signer) {
  const PublisherLock lock(directory);
  // What is wrong with it is for its readers to tell.
  const ServingPolicy policy =
      ReadServingPolicy(files, directory).value_or(ServingPolicy());
  PublishedCheckpoint published;
  NEUMF_ASSIGN_OR_RETURN(published.version, NextVersion(files, directory));
  for (;; ++published.version) {
    if (policy.pinned == published.version ||
        policy.Refuses(published.version)) {
      continue;
    }
    const std::string name = VersionFileName(published.version);
    if (!ParseVersionFileName(name).has_value()) {
      return absl::ResourceExhaustedError("no version number is left");
    }
    published.path = JoinPath(directory, name);
    const absl::Status renamed =
        RenameToVersion(files, directory, temporary, published, signer);
    if (renamed.ok()) return published;
    if (!absl::IsAlreadyExists(renamed)) return renamed;
  }
}

// All but the sync of the directory.
absl::StatusOr<PublishedCheckpoint> WriteNextVersion(
    FileSystem& files, absl::string_view directory, const ServingModel& model,
    const ItemTables& items, const Manifest& manifest,
    const Ed25519PrivateKey* signing_key) {
  NEUMF_RETURN_IF_ERROR(files.CreateDirectories(directory));
  const std::string temporary = JoinPath(directory, TemporaryCheckpointName());
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file,
                         files.CreateNew(temporary));
  // A failed removal leaves a dot-file that everyone ignores; the error that
  // led here is the one to tell.
  absl::Cleanup remove_temporary = [&] {
    files.Remove(temporary).IgnoreError();
  };
  // Before the disk is needed, which they may have filled.
  RemoveAbandonedCheckpoints(files, directory, temporary);
  NEUMF_ASSIGN_OR_RETURN(const std::string digest,
                         WriteContent(*file, model, items, manifest, {}));
  std::optional<Signer> signer;
  if (signing_key != nullptr) signer.emplace(Signer{*signing_key, digest});
  NEUMF_ASSIGN_OR_RETURN(const PublishedCheckpoint published,
                         RenameToNextVersion(files, directory, temporary,
                                             signer ? &*signer : nullptr));
  std::move(remove_temporary).Cancel();
  return published;
}

}  // namespace

absl::Status WriteCheckpointFile(FileSystem& files, absl::string_view path,
                                 const ServingModel& model,
                                 const ItemTables& items,
                                 const Manifest& manifest,
                                 const CheckpointWriterOptions& options) {
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file,
                         files.CreateNew(path));
  return WriteContent(*file, model, items, manifest, options).status();
}

absl::StatusOr<PublishedCheckpoint> PublishCheckpoint(
    FileSystem& files, absl::string_view directory, const ServingModel& model,
    const ItemTables& items, const Manifest& manifest,
    const Ed25519PrivateKey* signing_key) {
  absl::StatusOr<PublishedCheckpoint> published =
      WriteNextVersion(files, directory, model, items, manifest, signing_key);
  if (!published.ok()) {
    return Annotate(published.status(),
                    absl::StrCat("cannot write checkpoint into ", directory));
  }
  NEUMF_RETURN_IF_ERROR(
      Annotate(files.SyncDirectory(directory),
               absl::StrCat("published ", published->path,
                            ", but the directory could not be synced")));
  return published;
}

}  // namespace neumf
