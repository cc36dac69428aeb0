#include "server/reflection_index.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "google/protobuf/descriptor.pb.h"

namespace neumf {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

absl::Status NoType() {
  return absl::NotFoundError("there is no such message type");
}

}  // namespace

ReflectionIndex::ReflectionIndex(std::vector<std::string> services,
                                 const google::protobuf::DescriptorPool* pool)
    : services_(std::move(services)), pool_(pool) {}

ReflectionIndex::Files ReflectionIndex::WithImports(
    const FileDescriptor* file) const {
  std::vector<const FileDescriptor*> found = {file};
  std::unordered_set<const FileDescriptor*> seen = {file};
  Files files;
  for (size_t i = 0; i < found.size(); ++i) {
    files.push_back(Serialized(found[i]));
    for (int j = 0; j < found[i]->dependency_count(); ++j) {
      const FileDescriptor* const import = found[i]->dependency(j);
      if (seen.insert(import).second) found.push_back(import);
    }
  }
  return files;
}

const std::string& ReflectionIndex::Serialized(
    const FileDescriptor* file) const {
  MutexLock lock(&mutex_);
  std::string& bytes = serialized_[file];
  if (bytes.empty()) {
    google::protobuf::FileDescriptorProto proto;
    file->CopyTo(&proto);
    bytes = proto.SerializeAsString();
  }
  return bytes;
}

absl::StatusOr<ReflectionIndex::Files> ReflectionIndex::FileByName(
    const std::string& name) const {
  const FileDescriptor* const file = pool_->FindFileByName(name);
  if (file == nullptr) return absl::NotFoundError("there is no such file");
  return WithImports(file);
}

absl::StatusOr<ReflectionIndex::Files> ReflectionIndex::FileContainingSymbol(
    const std::string& symbol) const {
  const FileDescriptor* const file = pool_->FindFileContainingSymbol(symbol);
  if (file == nullptr) return absl::NotFoundError("there is no such symbol");
  return WithImports(file);
}

absl::StatusOr<ReflectionIndex::Files> ReflectionIndex::FileContainingExtension(
    const std::string& type, int number) const {
  const Descriptor* const message = pool_->FindMessageTypeByName(type);
  if (message == nullptr) return NoType();
  const FieldDescriptor* const extension =
      pool_->FindExtensionByNumber(message, number);
  if (extension == nullptr) {
    return absl::NotFoundError("there is no such extension");
  }
  return WithImports(extension->file());
}

absl::StatusOr<std::vector<int>> ReflectionIndex::ExtensionNumbers(
    const std::string& type) const {
  const Descriptor* const message = pool_->FindMessageTypeByName(type);
  if (message == nullptr) return NoType();
  std::vector<const FieldDescriptor*> extensions;
  pool_->FindAllExtensions(message, &extensions);
  std::vector<int> numbers;
  numbers.reserve(extensions.size());
  for (const FieldDescriptor* const extension : extensions) {
    numbers.push_back(extension->number());
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace neumf
