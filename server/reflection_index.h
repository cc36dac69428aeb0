#pragma once

// What server reflection tells: the services of one listener, and every .proto
// file that the program was built with.
//
// Knows nothing of gRPC. Any thread may call any method.

#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "google/protobuf/descriptor.h"

namespace neumf {

class ReflectionIndex {
 public:
  // A serialized FileDescriptorProto, then those of all files that it imports,
  // directly or not, each once.
  using Files = std::vector<std::string>;

  // `services` are full names. `pool` must outlive it.
  explicit ReflectionIndex(
      std::vector<std::string> services,
      const google::protobuf::DescriptorPool* pool =
          google::protobuf::DescriptorPool::generated_pool());

  const std::vector<std::string>& services() const { return services_; }

  // NOT_FOUND when there is none, as for all below.
  absl::StatusOr<Files> FileByName(const std::string& name) const;
  // The full name of a message, an enum, a service, a method and so on.
  absl::StatusOr<Files> FileContainingSymbol(const std::string& symbol) const;
  // Of the message called `type`.
  absl::StatusOr<Files> FileContainingExtension(const std::string& type,
                                                int number) const;
  // In ascending order; perhaps none, of a message that is there.
  absl::StatusOr<std::vector<int>> ExtensionNumbers(
      const std::string& type) const;

 private:
  Files WithImports(const google::protobuf::FileDescriptor* file) const;
  const std::string& Serialized(
      const google::protobuf::FileDescriptor* file) const;

  const std::vector<std::string> services_;
  const google::protobuf::DescriptorPool* const pool_;

  mutable Mutex mutex_;
  // Files that were asked for; what is there does not change.
  mutable std::unordered_map<const google::protobuf::FileDescriptor*,
                             std::string>
      serialized_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
