#include "checkpoint/checkpoint_reader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "checkpoint/cancellable_file.h"
#include "checkpoint/item_rows_stream.h"
#include "checkpoint/paced_file.h"
#include "checkpoint/resting_file.h"
#include "checkpoint/tensor_digest.h"
#include "model/score_bound.h"

namespace neumf {
namespace {

absl::string_view FileName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

// What model/ refuses of the tensors NAME.offsets, NAME.bytes, ...: its errors
// begin with the part at fault.
absl::StatusOr<IdTable> Named(absl::string_view name,
                              absl::StatusOr<IdTable> ids) {
  if (ids.ok()) return ids;
  return absl::DataLossError(absl::StrCat(name, ".", ids.status().message()));
}

absl::StatusOr<std::string> ReadPart(ReadableFile& file, uint64_t offset,
                                     uint64_t size) {
  std::string bytes(size, '\0');
  NEUMF_ASSIGN_OR_RETURN(
      const size_t num_read,
      file.ReadAt(offset, absl::MakeSpan(bytes.data(), bytes.size())));
  bytes.resize(num_read);
  return bytes;
}

absl::StatusOr<std::string> ReadHeaderText(ReadableFile& file) {
  if (!file.info().is_regular) {
    return absl::DataLossError("not a regular file");
  }
  const uint64_t file_bytes = file.info().size_bytes;
  constexpr uint64_t kLengthBytes = 8;
  NEUMF_ASSIGN_OR_RETURN(const std::string first_bytes,
                         ReadPart(file, 0, kLengthBytes));
  NEUMF_ASSIGN_OR_RETURN(const uint64_t length,
                         ParseHeaderLength(first_bytes, file_bytes));
  NEUMF_ASSIGN_OR_RETURN(std::string text,
                         ReadPart(file, kLengthBytes, length));
  if (text.size() == length) return text;
  return absl::DataLossError("the file was cut after it was opened");
}

absl::StatusOr<std::string> Metadata(const SafetensorsHeader& header,
                                     const char* key) {
  const auto found = header.metadata.find(key);
  if (found != header.metadata.end()) return found->second;
  return absl::DataLossError(absl::StrCat("__metadata__ has no ", key));
}

absl::StatusOr<Manifest> ReadManifest(const SafetensorsHeader& header) {
  NEUMF_ASSIGN_OR_RETURN(const std::string format,
                         Metadata(header, kFormatKey));
  if (format != Manifest::kFormat) {
    return absl::DataLossError(absl::StrCat("format is \"", Excerpt(format),
                                            "\", not ", Manifest::kFormat));
  }
  NEUMF_ASSIGN_OR_RETURN(const std::string text,
                         Metadata(header, kManifestKey));
  // Not every exporter writes it; ours does, since a changed letter in the
  // manifest can be a valid manifest that means something else.
  const auto digest = header.metadata.find(kManifestDigestKey);
  if (digest != header.metadata.end() &&
      digest->second != ToHex(Sha256Of(text))) {
    return absl::DataLossError("the manifest does not have its SHA-256");
  }
  return ParseManifest(text);
}

// Every tensor that the format knows has a digest, and no digest is without its
// tensor: a tensor renamed by accident is not taken for one left out.
absl::Status CheckDigests(const SafetensorsHeader& header,
                          const std::vector<TensorSpec>& specs,
                          const Manifest& manifest) {
  for (const TensorSpec& spec : specs) {
    if (manifest.tensors.count(spec.name) == 0) {
      return absl::DataLossError(
          absl::StrCat("tensor ", spec.name, ": the manifest has no digest"));
    }
  }
  for (const auto& [name, digest] : manifest.tensors) {
    const TensorInfo* const tensor = header.Find(name);
    if (tensor == nullptr) {
      return absl::DataLossError(absl::StrCat(
          "tensor ", name, ": missing, though the manifest has its digest"));
    }
    if (!DigestFits(digest, tensor->size_bytes())) {
      return absl::DataLossError(absl::StrCat(
          "tensor ", name, ": the manifest has ", digest.sha256.size(),
          " digests for ", tensor->size_bytes(), " bytes in chunks of ",
          digest.chunk_bytes));
    }
  }
  return absl::OkStatus();
}

// What older readers would call damaged, they must be told that they do not
// know.
absl::Status CheckFeaturesNamed(const CheckpointContent& content,
                                const Manifest& manifest) {
  const std::vector<std::string>& named = manifest.required_features;
  if (!content.has_float16_users ||
      std::find(named.begin(), named.end(), kFloat16UsersFeature) !=
          named.end()) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("user tables are F16, and required_features does not name ",
                   kFloat16UsersFeature));
}

std::vector<std::string> NamesOutside(const std::vector<TensorSpec>& specs,
                                      const SafetensorsHeader& header) {
  std::set<std::string> known;
  for (const TensorSpec& spec : specs) known.insert(spec.name);
  std::vector<std::string> outside;
  for (const TensorInfo& tensor : header.tensors) {
    if (known.count(tensor.name) == 0) outside.push_back(tensor.name);
  }
  return outside;
}

}  // namespace

CheckpointReader::CheckpointReader(std::unique_ptr<ReadableFile> file,
                                   Options options)
    : file_(std::move(file)),
      options_(std::move(options)),
      threads_(std::make_unique<ThreadPool>(1, "")) {}

absl::StatusOr<std::unique_ptr<CheckpointReader>> CheckpointReader::Open(
    FileSystem& files, absl::string_view path, const Options& options) {
  NEUMF_ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file,
                         files.OpenForRead(path));
  if (options.bytes_per_second > 0) {
    file =
        std::make_unique<PacedFile>(std::move(file), options.bytes_per_second);
  }
  if (options.work_share < 1) {
    file = std::make_unique<RestingFile>(std::move(file), options.work_share,
                                         options.others_are_behind,
                                         options.ends_when_starved);
  }
  if (options.cancelled) {
    file =
        std::make_unique<CancellableFile>(std::move(file), options.cancelled);
  }
  auto reader =
      absl::WrapUnique(new CheckpointReader(std::move(file), options));
  reader->info_.path = std::string(path);
  absl::Status status = reader->ReadHeader();
  if (status.ok()) status = reader->ReadNetwork();
  if (!status.ok()) return Annotate(status, FileName(path));
  return reader;
}

absl::StatusOr<ServingModel> CheckpointReader::Read(ItemRowsSink sink,
                                                    const KeptParts& kept) {
  threads_ = std::make_unique<ThreadPool>(
      std::max<size_t>(options_.num_threads, 1), "ckpt-reader");
  absl::StatusOr<ServingModel> model = ReadModel(sink, kept);
  if (!model.ok()) return Annotate(model.status(), FileName(info_.path));
  return model;
}

absl::Status CheckpointReader::ReadHeader() {
  info_.file = file_->info();
  NEUMF_ASSIGN_OR_RETURN(const std::string text, ReadHeaderText(*file_));
  info_.digest = ToHex(Sha256Of(text));
  NEUMF_ASSIGN_OR_RETURN(header_,
                         ParseSafetensorsHeader(text, info_.file.size_bytes));
  NEUMF_ASSIGN_OR_RETURN(info_.manifest, ReadManifest(header_));
  NEUMF_ASSIGN_OR_RETURN(content_, ContentOf(header_));
  const std::vector<TensorSpec> specs = TensorsOf(content_);
  NEUMF_RETURN_IF_ERROR(CheckDigests(header_, specs, info_.manifest));
  NEUMF_RETURN_IF_ERROR(CheckFeaturesNamed(content_, info_.manifest));
  info_.shape = content_.shape;
  info_.ignored_tensors = NamesOutside(specs, header_);
  info_.parts = PartDigestsOf(content_, info_.manifest);
  return absl::OkStatus();
}

absl::Status CheckpointReader::ReadNetwork() {
  network_.activation = info_.manifest.activation;
  const std::vector<uint32_t>& widths = info_.shape.tower_widths;
  for (size_t i = 1; i < widths.size(); ++i) {
    DenseLayer layer;
    layer.in = widths[i - 1];
    layer.out = widths[i];
    NEUMF_ASSIGN_OR_RETURN(
        layer.weight, ReadWeights(TowerWeightName(i + 1), layer.out, layer.in));
    NEUMF_ASSIGN_OR_RETURN(layer.bias,
                           ReadWeights(TowerBiasName(i + 1), layer.out, 1));
    network_.layers.push_back(std::move(layer));
  }
  if (!widths.empty()) {
    NEUMF_ASSIGN_OR_RETURN(network_.head_weight,
                           ReadWeights("head.weight", widths.back(), 1));
  }
  if (content_.has_head_bias) {
    NEUMF_ASSIGN_OR_RETURN(const std::vector<float> bias,
                           ReadWeights("head.bias", 1, 1));
    network_.head_bias = bias[0];
  }
  return absl::OkStatus();
}

absl::StatusOr<ServingModel> CheckpointReader::ReadModel(
    ItemRowsSink sink, const KeptParts& kept) {
  ServingModel model;
  model.shape = info_.shape;
  model.network = network_;
  NEUMF_RETURN_IF_ERROR(ReadTables(kept.parts, &model));

  ScoreBound& bound = bound_.emplace(model.shape);
  if (kept.parts.user_tables) bound.AddUsersOf(*kept.bound);
  NEUMF_RETURN_IF_ERROR(threads_->TryFor(2, [&](size_t index) {
    if (index == 0) return AsDataLoss(Validate(model, kept.parts));
    bound.AddUsers(model.users);  // none when they are kept
    return absl::OkStatus();
  }));
  if (kept.parts.items) {
    bound.AddItemsOf(*kept.bound);
  } else {
    NEUMF_RETURN_IF_ERROR(StreamItems([&](const ItemRows& rows) {
      bound.AddItems(rows);
      return sink(rows);
    }));
  }
  NEUMF_RETURN_IF_ERROR(VerifyUnread());
  NEUMF_RETURN_IF_ERROR(AsDataLoss(bound.Check(network_)));
  return model;
}

absl::Status CheckpointReader::ReadTables(const ModelParts& kept,
                                          ServingModel* model) {
  if (!kept.user_ids) {
    NEUMF_ASSIGN_OR_RETURN(model->user_ids, ReadUserIds());
  }
  if (!kept.item_ids) {
    NEUMF_ASSIGN_OR_RETURN(model->item_ids, ReadItemIds());
  }
  if (!kept.seen) {
    NEUMF_ASSIGN_OR_RETURN(model->seen, ReadSeen());
  }
  if (content_.has_popularity && !kept.popularity) {
    NEUMF_ASSIGN_OR_RETURN(
        model->popularity,
        ReadWeights("item.popularity", model->shape.num_items, 1));
  }
  return kept.user_tables ? absl::OkStatus() : ReadUserTables(model->users);
}

absl::Status CheckpointReader::ReadUserTables(UserTables& users) {
  const uint32_t gmf_width = info_.shape.gmf_width;
  const uint32_t tower_width = info_.shape.tower_width();
  if (content_.has_float16_users) {
    NEUMF_ASSIGN_OR_RETURN(users.gmf16,
                           ReadUserTable<Float16>("user.gmf", gmf_width));
    NEUMF_ASSIGN_OR_RETURN(users.tower16,
                           ReadUserTable<Float16>("user.tower", tower_width));
    return absl::OkStatus();
  }
  NEUMF_ASSIGN_OR_RETURN(users.gmf,
                         ReadUserTable<float>("user.gmf", gmf_width));
  NEUMF_ASSIGN_OR_RETURN(users.tower,
                         ReadUserTable<float>("user.tower", tower_width));
  return absl::OkStatus();
}

template <typename T>
absl::StatusOr<AlignedTable<T>> CheckpointReader::ReadUserTable(
    absl::string_view name, uint32_t width) {
  AlignedTable<T> table(info_.shape.num_users, width);
  if (table.empty()) return table;
  NEUMF_RETURN_IF_ERROR(
      ReadTensor(name, AsBytes(absl::MakeSpan(table.data(), table.size()))));
  return table;
}

absl::StatusOr<IdTable> CheckpointReader::ReadUserIds() {
  const uint64_t num_users = info_.shape.num_users;
  NEUMF_ASSIGN_OR_RETURN(AlignedArray<uint64_t> offsets,
                         ReadArray<uint64_t>("user.id.offsets", num_users + 1));
  NEUMF_ASSIGN_OR_RETURN(
      AlignedArray<char> bytes,
      ReadArray<char>("user.id.bytes", content_.user_id_bytes));
  if (!content_.has_user_hashes) {
    return Named("user.id", IdTable::Create(std::move(offsets),
                                            std::move(bytes), *threads_));
  }
  NEUMF_ASSIGN_OR_RETURN(AlignedArray<uint64_t> hashes,
                         ReadArray<uint64_t>("user.id.hash", num_users));
  return Named("user.id",
               IdTable::CreateByHash(std::move(offsets), std::move(bytes),
                                     std::move(hashes), *threads_));
}

absl::StatusOr<IdTable> CheckpointReader::ReadItemIds() {
  NEUMF_ASSIGN_OR_RETURN(
      AlignedArray<uint64_t> offsets,
      ReadArray<uint64_t>("item.id.offsets", info_.shape.num_items + 1));
  NEUMF_ASSIGN_OR_RETURN(
      AlignedArray<char> bytes,
      ReadArray<char>("item.id.bytes", content_.item_id_bytes));
  return Named("item.id", IdTable::Create(std::move(offsets), std::move(bytes),
                                          *threads_));
}

absl::StatusOr<SeenSets> CheckpointReader::ReadSeen() {
  if (!content_.has_seen) return SeenSets();
  NEUMF_ASSIGN_OR_RETURN(
      AlignedArray<uint64_t> offsets,
      ReadArray<uint64_t>("seen.offsets", info_.shape.num_users + 1));
  NEUMF_ASSIGN_OR_RETURN(AlignedArray<uint32_t> items,
                         ReadArray<uint32_t>("seen.items", content_.num_seen));
  absl::StatusOr<SeenSets> seen = SeenSets::Create(
      std::move(offsets), std::move(items), info_.shape.num_items, *threads_);
  if (!seen.ok()) return Annotate(AsDataLoss(seen.status()), "seen.items");
  return seen;
}

absl::Status CheckpointReader::StreamItems(ItemRowsSink sink) {
  const ModelShape& shape = info_.shape;
  if (shape.gmf_width > 0) {
    NEUMF_RETURN_IF_ERROR(
        StreamItemTable(ItemTable::kGmf, shape.gmf_width, sink));
  }
  if (shape.has_tower()) {
    NEUMF_RETURN_IF_ERROR(
        StreamItemTable(ItemTable::kTower, shape.tower_width(), sink));
  }
  if (!shape.has_item_bias) return absl::OkStatus();
  return StreamItemTable(ItemTable::kBias, 1, sink);
}

absl::Status CheckpointReader::StreamItemTable(ItemTable table, uint32_t width,
                                               ItemRowsSink sink) {
  TensorStream stream = OpenTensor(ItemTableName(table));
  return StreamItemRows(table, info_.shape.num_items, width,
                        options_.block_bytes, &stream, sink);
}

absl::Status CheckpointReader::VerifyUnread() {
  std::vector<std::string> names = info_.ignored_tensors;
  for (const TensorSpec& spec : TensorsOf(content_)) names.push_back(spec.name);
  for (const std::string& name : names) {
    if (info_.manifest.tensors.count(name) == 0 || opened_.count(name) > 0) {
      continue;
    }
    TensorStream stream = OpenTensor(name);
    absl::Status status = stream.SkipRest();
    if (status.ok()) status = stream.Finish();
    if (!status.ok()) return AnnotateTensor(status, name);
  }
  return absl::OkStatus();
}

TensorStream CheckpointReader::OpenTensor(absl::string_view name) {
  const TensorInfo* const tensor = header_.Find(name);
  const auto digest = info_.manifest.tensors.find(std::string(name));
  NEUMF_CHECK(tensor != nullptr && digest != info_.manifest.tensors.end());
  opened_.insert(std::string(name));
  return TensorStream(file_.get(), header_, *tensor, &digest->second,
                      options_.block_bytes, threads_.get());
}

absl::Status CheckpointReader::ReadTensor(absl::string_view name,
                                          absl::Span<char> destination) {
  TensorStream stream = OpenTensor(name);
  absl::Status status = stream.Read(destination);
  if (status.ok()) status = stream.Finish();
  return AnnotateTensor(status, name);
}

template <typename T>
absl::StatusOr<AlignedArray<T>> CheckpointReader::ReadArray(
    absl::string_view name, uint64_t size) {
  AlignedArray<T> values(size);
  NEUMF_RETURN_IF_ERROR(
      ReadTensor(name, AsBytes(absl::MakeSpan(values.data(), values.size()))));
  return values;
}

absl::StatusOr<std::vector<float>> CheckpointReader::ReadWeights(
    absl::string_view name, uint64_t rows, uint64_t cols) {
  std::vector<float> values(rows * cols);
  NEUMF_RETURN_IF_ERROR(ReadTensor(name, AsBytes(absl::MakeSpan(values))));
  const absl::Status finite = CheckFinite(name, values, cols);
  if (!finite.ok()) return AsDataLoss(finite);
  return values;
}

absl::StatusOr<LoadedCheckpoint> LoadCheckpoint(
    FileSystem& files, absl::string_view path,
    const CheckpointReader::Options& options) {
  NEUMF_ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointReader> reader,
                         CheckpointReader::Open(files, path, options));
  LoadedCheckpoint checkpoint;
  checkpoint.info = reader->info();
  checkpoint.items = MakeItemTables(reader->info().shape);
  NEUMF_ASSIGN_OR_RETURN(checkpoint.model,
                         reader->Read([&](const ItemRows& rows) {
                           StoreItemRows(rows, checkpoint.items);
                           return absl::OkStatus();
                         }));
  return checkpoint;
}

}  // namespace neumf
