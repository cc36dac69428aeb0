#include "checkpoint/checkpoint_signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_pruning.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/signing_keys.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

class CheckpointSignatureTest : public testing::Test {
 protected:
  absl::StatusOr<PublishedCheckpoint> Publish(FileSystem& files,
                                              const Ed25519PrivateKey* key,
                                              uint64_t seed = 1) {
    TinyModelOptions options;
    options.seed = seed;
    const TinyModel tiny = MakeTinyModel(options);
    return PublishCheckpoint(files, directory_.path(), tiny.model, tiny.items,
                             {}, key);
  }
  // The path of a new version that the key signed.
  std::string PublishSigned(uint64_t seed = 1) {
    const auto published = Publish(*files_, &key_, seed);
    NEUMF_EXPECT_OK(published);
    return published.ok() ? published->path : "";
  }
  absl::Status CheckWith(absl::string_view public_keys_pem,
                         const std::string& path) {
    const auto reader = CheckpointReader::Open(*files_, path, {});
    NEUMF_RETURN_IF_ERROR(reader.status());
    return CheckSignature(
        *files_, path, *ParseVersionFileName(path.substr(path.rfind('/') + 1)),
        (*reader)->info().digest,
        Ed25519PublicKey::AllFromPem(public_keys_pem).value());
  }
  absl::Status Check(const std::string& path) {
    return CheckWith(kPublicKeyPem, path);
  }
  void Replace(const std::string& path, const std::string& content) {
    NEUMF_ASSERT_OK(WriteFileAtomically(*files_, path, content));
  }
  std::string Content(const std::string& path) {
    return ReadWholeFile(*files_, path, 1 << 24).value();
  }
  std::vector<std::string> Names() {
    return files_->ListDirectory(directory_.path()).value();
  }
  // Temporary files, and signatures of no version.
  std::vector<std::string> Leftovers() {
    const std::vector<std::string> names = Names();
    const std::set<std::string> all(names.begin(), names.end());
    std::vector<std::string> leftovers;
    for (const std::string& name : names) {
      const bool is_lone =
          absl::EndsWith(name, ".sig") &&
          all.count(std::string(absl::StripSuffix(name, ".sig"))) == 0;
      if (is_lone || name[0] == '.') leftovers.push_back(name);
    }
    return leftovers;
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const Ed25519PrivateKey key_ =
      Ed25519PrivateKey::FromPem(kSigningKeyPem).value();
};

MATCHER_P(IsRefused, why, "") {
  return testing::ExplainMatchResult(
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(why)), arg,
      result_listener);
}

constexpr char kNotByUs[] = "is no signature of version";

TEST_F(CheckpointSignatureTest, IsOfOneOfTheKeys) {
  const std::string path = PublishSigned();
  EXPECT_THAT(Names(),
              UnorderedElementsAre("1.safetensors", "1.safetensors.sig"));
  NEUMF_EXPECT_OK(Check(path));
  NEUMF_EXPECT_OK(
      CheckWith(absl::StrCat(kOtherPublicKeyPem, kPublicKeyPem), path));
  EXPECT_THAT(CheckWith(kOtherPublicKeyPem, path), IsRefused(kNotByUs));
}

TEST_F(CheckpointSignatureTest, IsNotThereForAVersionThatNobodySigned) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const PublishedCheckpoint published,
                             Publish(*files_, nullptr));
  EXPECT_THAT(Names(), UnorderedElementsAre("1.safetensors"));
  EXPECT_THAT(Check(published.path), IsRefused("is not signed"));
}

TEST_F(CheckpointSignatureTest, IsRefusedWhenItIsDamaged) {
  const std::string path = PublishSigned();
  const std::string good = Content(SignaturePath(path));
  for (size_t length = 0; length + 1 < good.size(); ++length) {
    Replace(SignaturePath(path), good.substr(0, length));
    EXPECT_THAT(Check(path), StatusIs(absl::StatusCode::kPermissionDenied))
        << length;
  }
  Replace(SignaturePath(path), "?");
  EXPECT_THAT(Check(path), IsRefused("is no signature in base64"));
  Replace(SignaturePath(path), std::string(5000, 'A'));
  EXPECT_THAT(Check(path), IsRefused("too large"));
  Replace(SignaturePath(path), good);
  NEUMF_EXPECT_OK(Check(path));
}

TEST_F(CheckpointSignatureTest, IsOfOneVersionAlone) {
  const std::string first = PublishSigned(1);
  const std::string second = PublishSigned(2);
  const std::string other = Content(SignaturePath(first));
  Replace(SignaturePath(first), Content(SignaturePath(second)));
  Replace(SignaturePath(second), other);
  EXPECT_THAT(Check(first), IsRefused(kNotByUs));
  EXPECT_THAT(Check(second), IsRefused(kNotByUs));
  // An old version with its own signature, under a new number.
  const std::string third = directory_.Path("3.safetensors");
  NEUMF_ASSERT_OK(files_->Rename(first, third));
  Replace(SignaturePath(third), other);
  EXPECT_THAT(Check(third), IsRefused("is no signature of version 3"));
}

TEST_F(CheckpointSignatureTest, IsOfTheWholeHeader) {
  const std::string path = PublishSigned();
  std::string bytes = Content(path);
  const size_t end = bytes.find("  ");  // what pads the header
  ASSERT_NE(end, std::string::npos);
  bytes[end] = '\t';  // as good to a reader of JSON
  Replace(path, bytes);
  const absl::Status status = Check(path);
  EXPECT_FALSE(status.ok());
  Replace(path, Content(PublishSigned(2)));
  EXPECT_THAT(Check(path), IsRefused(kNotByUs));
}

TEST_F(CheckpointSignatureTest, LeavesNoVersionWithoutOneWhenAnyCallFails) {
  for (const bool dies : {false, true}) {
    FaultyFileSystem faulty(files_.get());
    for (int nth = 1;; ++nth) {
      if (dies) {
        faulty.FailFrom(nth, absl::UnavailableError("died"));
      } else {
        faulty.FailCall(nth, absl::ResourceExhaustedError("disk full"));
      }
      const bool published = Publish(faulty, &key_).ok();
      NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<CheckpointFile> versions,
                                 ListCheckpoints(*files_, directory_.path()));
      for (const CheckpointFile& version : versions) {
        NEUMF_EXPECT_OK(Check(version.path)) << "call " << nth;
      }
      if (published) break;
      for (const std::string& name : Leftovers()) {
        EXPECT_TRUE(dies) << name << ", call " << nth;
        // The next one looks at each, and would need more calls for it.
        NEUMF_ASSERT_OK(files_->Remove(directory_.Path(name)));
      }
    }
  }
}

TEST_F(CheckpointSignatureTest, OfSomebodyElseTakesTheNumber) {
  // Of a publisher that died, or that is about to rename.
  Replace(directory_.Path("1.safetensors.sig"), "theirs");
  const std::string path = PublishSigned();
  EXPECT_EQ(path, directory_.Path("2.safetensors"));
  NEUMF_EXPECT_OK(Check(path));
  EXPECT_EQ(Content(directory_.Path("1.safetensors.sig")), "theirs");
}

TEST_F(CheckpointSignatureTest, OfSomebodyElseOutlivesOurErrors) {
  const std::string theirs = directory_.Path("1.safetensors.sig");
  Replace(theirs, "theirs");
  FaultyFileSystem faulty(files_.get());
  for (int nth = 1;; ++nth) {
    faulty.FailCall(nth, absl::ResourceExhaustedError("disk full"));
    const bool published = Publish(faulty, &key_).ok();
    EXPECT_EQ(Content(theirs), "theirs") << "call " << nth;
    if (published) break;
  }
}

TEST_F(CheckpointSignatureTest, GoesWithItsVersion) {
  for (uint64_t seed = 1; seed <= 3; ++seed) PublishSigned(seed);
  Replace(directory_.Path("2.safetensors.sig.bak"), "");
  NEUMF_ASSERT_OK(files_->Remove(directory_.Path("2.safetensors")));
  Replace(directory_.Path("4.safetensors.sig"), "");  // is about to be there
  EXPECT_THAT(PruneCheckpoints(*files_, directory_.path(), 1),
              IsOkAndHolds(testing::ElementsAre(1)));
  EXPECT_THAT(Names(),
              UnorderedElementsAre("2.safetensors.sig.bak", "3.safetensors",
                                   "3.safetensors.sig", "4.safetensors.sig"));
}

TEST_F(CheckpointSignatureTest, NeedsKeysThatCanBeRead) {
  const std::string path = directory_.Path("key.pem");
  EXPECT_THAT(ReadSigningKey(*files_, path),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(path)));
  Replace(path, kPublicKeyPem);
  EXPECT_THAT(ReadSigningKey(*files_, path),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(path)));
  NEUMF_EXPECT_OK(ReadPublicKeys(*files_, path));
  Replace(path, kSigningKeyPem);
  NEUMF_EXPECT_OK(ReadSigningKey(*files_, path));
  EXPECT_THAT(ReadPublicKeys(*files_, path),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(path)));
}

}  // namespace
}  // namespace neumf
