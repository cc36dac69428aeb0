#include "client/checkpoint_verification.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_signature.h"
#include "eval/probe_check.h"
#include "model/serving_model.h"
#include "scoring/scorer.h"

namespace neumf {
namespace {

// A scorer, and all of its checkpoint that it does not hold itself.
struct Answerer {
  ServingModel model;
  std::unique_ptr<Scorer> scorer;
};

absl::StatusOr<Answerer> LoadAnswerer(CheckpointReader& reader) {
  ScorerOptions options;
  options.num_threads = std::max(1U, std::thread::hardware_concurrency());
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<ScorerBuilder> builder,
                         MakeScorerBuilder(Backend::kCpu, reader.info().shape,
                                           reader.network(), options));
  Answerer answerer;
  NEUMF_ASSIGN_OR_RETURN(answerer.model, reader.Read([&](const ItemRows& rows) {
    return builder->Add(rows);
  }));
  NEUMF_ASSIGN_OR_RETURN(answerer.scorer, builder->Build());
  return answerer;
}

}  // namespace

absl::StatusOr<VerifiedCheckpoint> VerifyCheckpoint(FileSystem& files,
                                                    absl::string_view path) {
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointReader> reader,
                         CheckpointReader::Open(files, path, {}));
  NEUMF_ASSIGN_OR_RETURN(const Answerer answerer, LoadAnswerer(*reader));
  const ServingModel& model = answerer.model;
  const std::vector<Probe>& probes = reader->info().manifest.probes;
  NEUMF_RETURN_IF_ERROR(Annotate(
      CheckProbes(probes, {*answerer.scorer, model.users, model.user_ids,
                           model.item_ids, model.seen}),
      path));
  return VerifiedCheckpoint{reader->info().digest,
                            reader->info().file.size_bytes, probes.size()};
}

absl::StatusOr<uint64_t> VersionOfPath(absl::string_view path) {
  const std::optional<uint64_t> version =
      ParseVersionFileName(path.substr(path.rfind('/') + 1));
  if (version.has_value()) return *version;
  return absl::InvalidArgumentError(absl::StrCat(
      path,
      ": is not named <version>.safetensors, and a signature is of one "
      "version"));
}

absl::StatusOr<std::string> SignCheckpoint(FileSystem& files,
                                           absl::string_view path,
                                           absl::string_view key_path) {
  NEUMF_ASSIGN_OR_RETURN(const uint64_t version, VersionOfPath(path));
  NEUMF_ASSIGN_OR_RETURN(const Ed25519PrivateKey key,
                         ReadSigningKey(files, key_path));
  NEUMF_ASSIGN_OR_RETURN(const VerifiedCheckpoint verified,
                         VerifyCheckpoint(files, path));
  const std::string signature_path = SignaturePath(path);
  NEUMF_RETURN_IF_ERROR(WriteFileAtomically(
      files, signature_path, SignatureText(key, version, verified.digest)));
  return signature_path;
}

}  // namespace neumf
