#include "base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

// Repeats a system call that a signal interrupted.
template <typename Call>
auto RetryOnSignal(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

absl::Status LastError(absl::string_view operation, absl::string_view path) {
  const int error_number = errno;
  return ErrnoStatus(error_number, absl::StrCat(operation, " ", path));
}

absl::Status OkOrLastError(int result, absl::string_view operation,
                           absl::string_view path) {
  return result == 0 ? absl::OkStatus() : LastError(operation, path);
}

FileInfo InfoOf(const struct stat& status) {
  constexpr int64_t kNanosPerSecond = 1'000'000'000;
  FileInfo info;
  info.device = status.st_dev;
  info.inode = status.st_ino;
  info.size_bytes = static_cast<uint64_t>(status.st_size);
  info.modified_nanos =
      status.st_mtim.tv_sec * kNanosPerSecond + status.st_mtim.tv_nsec;
  info.is_regular = S_ISREG(status.st_mode);
  return info;
}

// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : fd_(RetryOnSignal(
            [&] { return open(path.c_str(), flags | O_CLOEXEC, 0644); })) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(other.Release()) {}
  Descriptor& operator=(Descriptor&&) = delete;

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

class PosixReadableFile : public ReadableFile {
 public:
  PosixReadableFile(std::string path, Descriptor descriptor, FileInfo info)
      : path_(std::move(path)),
        descriptor_(std::move(descriptor)),
        info_(info) {}

  const FileInfo& info() const override { return info_; }

  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                absl::Span<char> buffer) override {
    size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t count = RetryOnSignal([&] {
        return pread(descriptor_.get(), buffer.data() + done,
                     buffer.size() - done, static_cast<off_t>(offset + done));
      });
      if (count < 0) return LastError("read", path_);
      if (count == 0) break;
      done += static_cast<size_t>(count);
    }
    return done;
  }

 private:
  const std::string path_;
  const Descriptor descriptor_;
  const FileInfo info_;
};

class PosixWritableFile : public WritableFile {
 public:
  PosixWritableFile(std::string path, Descriptor descriptor)
      : path_(std::move(path)), descriptor_(std::move(descriptor)) {}

  absl::Status Append(absl::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = RetryOnSignal(
          [&] { return write(descriptor_.get(), bytes.data(), bytes.size()); });
      if (count < 0) return LastError("write", path_);
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    return OkOrLastError(
        RetryOnSignal([&] { return fsync(descriptor_.get()); }), "sync", path_);
  }

  // Not repeated after a signal: Linux has freed the descriptor by then.
  absl::Status Close() override {
    return OkOrLastError(close(descriptor_.Release()), "close", path_);
  }

 private:
  const std::string path_;
  Descriptor descriptor_;
};

// Made before the call, so that nothing comes between it and its errno.
std::string RenameOperation(absl::string_view from) {
  return absl::StrCat("rename ", from, " to");
}

bool AreOneFile(const std::string& a, const std::string& b) {
  struct stat of_a;
  struct stat of_b;
  return stat(a.c_str(), &of_a) == 0 && stat(b.c_str(), &of_b) == 0 &&
         of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

// For file systems without RENAME_NOREPLACE (NFS, some FUSE). A crash between
// the two calls leaves both names on one whole file, as does an old name that
// cannot be removed: the new one is there, and that is what counts. NFS may say
// that it has failed at what it did, when its answer was lost and it was asked
// again (link(2), BUGS).
int LinkThenUnlink(const std::string& from, const std::string& to) {
  const int linked = link(from.c_str(), to.c_str());
  const int error = errno;
  if (linked != 0 && !AreOneFile(from, to)) {
    errno = error;
    return linked;
  }
  unlink(from.c_str());
  return 0;
}

class PosixFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view path) override {
    std::string name(path);
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    Descriptor descriptor(name, O_RDONLY | O_NONBLOCK);
    if (!descriptor.valid()) return LastError("open", path);
    struct stat status;
    if (fstat(descriptor.get(), &status) != 0) return LastError("stat", path);
    const FileInfo info = InfoOf(status);
    if (!info.is_regular) {
      return absl::InvalidArgumentError(
          absl::StrCat("open ", path, ": not a regular file"));
    }
    return std::make_unique<PosixReadableFile>(std::move(name),
                                               std::move(descriptor), info);
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> CreateNew(
      absl::string_view path) override {
    std::string name(path);
    Descriptor descriptor(name, O_WRONLY | O_CREAT | O_EXCL);
    if (!descriptor.valid()) return LastError("create", path);
    return std::make_unique<PosixWritableFile>(std::move(name),
                                               std::move(descriptor));
  }

  absl::Status RenameNoReplace(absl::string_view from,
                               absl::string_view to) override {
    const std::string source(from);
    const std::string target(to);
    const std::string operation = RenameOperation(from);
    int result = renameat2(AT_FDCWD, source.c_str(), AT_FDCWD, target.c_str(),
                           RENAME_NOREPLACE);
    if (result != 0 && (errno == EINVAL || errno == ENOSYS)) {
      result = LinkThenUnlink(source, target);
    }
    return OkOrLastError(result, operation, to);
  }

  absl::Status Rename(absl::string_view from, absl::string_view to) override {
    const std::string source(from);
    const std::string target(to);
    const std::string operation = RenameOperation(from);
    return OkOrLastError(rename(source.c_str(), target.c_str()), operation, to);
  }

  absl::Status Remove(absl::string_view path) override {
    return OkOrLastError(unlink(std::string(path).c_str()), "remove", path);
  }

  absl::Status SyncDirectory(absl::string_view directory) override {
    const Descriptor descriptor(std::string(directory), O_RDONLY | O_DIRECTORY);
    if (!descriptor.valid()) return LastError("open", directory);
    return OkOrLastError(RetryOnSignal([&] { return fsync(descriptor.get()); }),
                         "sync", directory);
  }

  absl::StatusOr<std::vector<std::string>> ListDirectory(
      absl::string_view directory) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(
        opendir(std::string(directory).c_str()), &closedir);
    if (stream == nullptr) return LastError("list", directory);
    std::vector<std::string> names;
    while (true) {
      errno = 0;  // the only way to tell the end from a failure
      const dirent* const entry = readdir(stream.get());
      if (entry == nullptr) break;
      const absl::string_view name(entry->d_name);
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return LastError("list", directory);
    return names;
  }

  absl::StatusOr<FileInfo> Stat(absl::string_view path) override {
    struct stat status;
    if (stat(std::string(path).c_str(), &status) != 0) {
      return LastError("stat", path);
    }
    return InfoOf(status);
  }

  absl::Status CreateDirectories(absl::string_view directory) override {
    size_t end = 0;
    while (end < directory.size()) {
      end = std::min(directory.find('/', end + 1), directory.size());
      const std::string part(directory.substr(0, end));
      if (mkdir(part.c_str(), 0755) == 0) continue;
      absl::Status failure = LastError("make", part);
      struct stat status;
      if (stat(part.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
        return failure;
      }
    }
    return absl::OkStatus();
  }
};

// A dot-file beside `path`. Random, so that it meets neither another writer's
// nor what a writer that was killed has left.
std::string TemporaryPath(absl::string_view path) {
  const absl::string_view name = path.substr(path.rfind('/') + 1);
  std::random_device random;
  return JoinPath(DirectoryOf(path),
                  absl::StrCat(".", name, ".", absl::Hex(random()), ".tmp"));
}

absl::Status WriteAndSync(WritableFile& file, absl::string_view content) {
  NEUMF_RETURN_IF_ERROR(file.Append(content));
  NEUMF_RETURN_IF_ERROR(file.Sync());
  return file.Close();
}

}  // namespace

std::unique_ptr<FileSystem> MakePosixFileSystem() {
  return std::make_unique<PosixFileSystem>();
}

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  const bool has_slash = !directory.empty() && directory.back() == '/';
  return absl::StrCat(directory, has_slash ? "" : "/", name);
}

absl::string_view DirectoryOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::StatusOr<std::string> ReadWholeFile(FileSystem& files,
                                          absl::string_view path,
                                          uint64_t max_bytes) {
  NEUMF_ASSIGN_OR_RETURN(const auto file, files.OpenForRead(path));
  const uint64_t size_bytes = file->info().size_bytes;
  if (size_bytes > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("read ", path, ": ", size_bytes, " bytes, more than the ",
                     max_bytes, " allowed"));
  }
  std::string content(size_bytes, '\0');
  NEUMF_ASSIGN_OR_RETURN(
      const size_t count,
      file->ReadAt(0, absl::MakeSpan(content.data(), content.size())));
  content.resize(count);
  return content;
}

absl::Status WriteFileAtomically(FileSystem& files, absl::string_view path,
                                 absl::string_view content) {
  const std::string temporary = TemporaryPath(path);
  NEUMF_ASSIGN_OR_RETURN(const auto file, files.CreateNew(temporary));
  absl::Status status = WriteAndSync(*file, content);
  if (status.ok()) status = files.Rename(temporary, path);
  if (!status.ok()) {
    // The first error is the one to tell; the dot-file is harmless.
    files.Remove(temporary).IgnoreError();
    return status;
  }
  return files.SyncDirectory(DirectoryOf(path));
}

}  // namespace neumf
