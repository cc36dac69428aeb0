#include "tests/support/faulty_file_system.h"

#include <functional>
#include <memory>
#include <utility>

#include "base/status_macros.h"

namespace neumf {
namespace {

class FaultyReadableFile : public ReadableFile {
 public:
  FaultyReadableFile(FaultyFileSystem* files,
                     std::unique_ptr<ReadableFile> base)
      : files_(files), base_(std::move(base)) {}

  const FileInfo& info() const override { return base_->info(); }

  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                absl::Span<char> buffer) override {
    NEUMF_RETURN_IF_ERROR(files_->NextCall());
    return base_->ReadAt(offset, buffer);
  }

 private:
  FaultyFileSystem* const files_;
  const std::unique_ptr<ReadableFile> base_;
};

class FaultyWritableFile : public WritableFile {
 public:
  FaultyWritableFile(FaultyFileSystem* files,
                     std::unique_ptr<WritableFile> base)
      : files_(files), base_(std::move(base)) {}

  absl::Status Append(absl::string_view bytes) override {
    absl::Status fault = files_->NextAppend(bytes.size());
    if (fault.ok()) return base_->Append(bytes);
    base_->Append(bytes.substr(0, bytes.size() / 2)).IgnoreError();
    return fault;
  }

  absl::Status Sync() override {
    NEUMF_RETURN_IF_ERROR(files_->NextCall());
    return base_->Sync();
  }

  absl::Status Close() override {
    NEUMF_RETURN_IF_ERROR(files_->NextCall());
    return base_->Close();
  }

 private:
  FaultyFileSystem* const files_;
  const std::unique_ptr<WritableFile> base_;
};

}  // namespace

void FaultyFileSystem::FailCall(int nth, absl::Status error) {
  Arm(nth, false, std::move(error));
}

void FaultyFileSystem::FailFrom(int nth, absl::Status error) {
  Arm(nth, true, std::move(error));
}

void FaultyFileSystem::OnCall(int nth, std::function<void()> act) {
  Arm(0, false, absl::OkStatus());
  MutexLock lock(&mutex_);
  act_at_ = nth;
  act_ = std::move(act);
}

void FaultyFileSystem::StopFailing() { Arm(0, false, absl::OkStatus()); }

void FaultyFileSystem::Arm(int nth, bool and_after, absl::Status error) {
  MutexLock lock(&mutex_);
  calls_ = 0;
  fail_at_ = nth;
  fail_after_ = and_after;
  act_at_ = 0;
  error_ = std::move(error);
}

void FaultyFileSystem::LimitSpace(uint64_t bytes) {
  MutexLock lock(&mutex_);
  free_bytes_ = bytes;
}

int FaultyFileSystem::num_calls() const {
  MutexLock lock(&mutex_);
  return calls_;
}

absl::Status FaultyFileSystem::NextCall() {
  std::function<void()> act;
  absl::Status status;
  {
    MutexLock lock(&mutex_);
    ++calls_;
    if (calls_ == act_at_) act = std::move(act_);
    const bool fails = fail_at_ != 0 && (calls_ == fail_at_ ||
                                         (fail_after_ && calls_ > fail_at_));
    if (fails) status = error_;
  }
  // Without the lock: it may take long, or call this.
  if (act != nullptr) act();
  return status;
}

absl::Status FaultyFileSystem::NextAppend(uint64_t bytes) {
  NEUMF_RETURN_IF_ERROR(NextCall());
  MutexLock lock(&mutex_);
  if (bytes > free_bytes_) {
    return absl::ResourceExhaustedError("no space left on device");
  }
  free_bytes_ -= bytes;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ReadableFile>> FaultyFileSystem::OpenForRead(
    absl::string_view path) {
  NEUMF_RETURN_IF_ERROR(NextCall());
  NEUMF_ASSIGN_OR_RETURN(auto file, base_->OpenForRead(path));
  return std::make_unique<FaultyReadableFile>(this, std::move(file));
}

absl::StatusOr<std::unique_ptr<WritableFile>> FaultyFileSystem::CreateNew(
    absl::string_view path) {
  NEUMF_RETURN_IF_ERROR(NextCall());
  NEUMF_ASSIGN_OR_RETURN(auto file, base_->CreateNew(path));
  return std::make_unique<FaultyWritableFile>(this, std::move(file));
}

absl::Status FaultyFileSystem::RenameNoReplace(absl::string_view from,
                                               absl::string_view to) {
  NEUMF_RETURN_IF_ERROR(NextCall());
  return base_->RenameNoReplace(from, to);
}

absl::Status FaultyFileSystem::Rename(absl::string_view from,
                                      absl::string_view to) {
  NEUMF_RETURN_IF_ERROR(NextCall());
  return base_->Rename(from, to);
}

absl::Status FaultyFileSystem::Remove(absl::string_view path) {
  NEUMF_RETURN_IF_ERROR(NextCall());
  return base_->Remove(path);
}

absl::Status FaultyFileSystem::SyncDirectory(absl::string_view directory) {
  NEUMF_RETURN_IF_ERROR(NextCall());
  return base_->SyncDirectory(directory);
}

absl::StatusOr<std::vector<std::string>> FaultyFileSystem::ListDirectory(
    absl::string_view directory) {
  NEUMF_RETURN_IF_ERROR(NextCall());
  return base_->ListDirectory(directory);
}

absl::StatusOr<FileInfo> FaultyFileSystem::Stat(absl::string_view path) {
  NEUMF_RETURN_IF_ERROR(NextCall());
  return base_->Stat(path);
}

absl::Status FaultyFileSystem::CreateDirectories(absl::string_view directory) {
  NEUMF_RETURN_IF_ERROR(NextCall());
  return base_->CreateDirectories(directory);
}

}  // namespace neumf
