#include "server/last_known_good.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

class LastKnownGoodTest : public testing::Test {
 protected:
  LastKnownGoodTest() { testing::internal::CaptureStderr(); }
  ~LastKnownGoodTest() override { testing::internal::GetCapturedStderr(); }

  LastKnownGood Make() {
    return LastKnownGood(directory_.path(), &files_, &clock_);
  }
  static Snapshot Version(uint64_t version) {
    Snapshot snapshot;
    snapshot.version = version;
    snapshot.digest = "abc";
    return snapshot;
  }
  void Serve(const Snapshot* served, absl::Duration time, LastKnownGood* good) {
    good->Look(served);
    clock_.Advance(time);
    good->Look(served);
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  FaultyFileSystem files_{posix_.get()};
  FakeClock clock_;
};

TEST_F(LastKnownGoodTest, IsWhatServedForAMinute) {
  LastKnownGood good = Make();
  EXPECT_EQ(good.version(), 0U);
  const Snapshot first = Version(1);
  const Snapshot second = Version(2);
  Serve(&first, absl::Seconds(59), &good);
  EXPECT_EQ(good.version(), 0U);
  Serve(&first, absl::Seconds(1), &good);
  Serve(&second, absl::Seconds(59), &good);
  Serve(nullptr, absl::Minutes(5), &good);
  EXPECT_EQ(good.version(), 1U);
  EXPECT_EQ(Make().version(), 1U);
  Serve(&second, absl::Minutes(1), &good);
  EXPECT_EQ(Make().version(), 2U);
}

TEST_F(LastKnownGoodTest, IsWrittenOnce) {
  LastKnownGood good = Make();
  const Snapshot snapshot = Version(1);
  Serve(&snapshot, absl::Minutes(1), &good);
  files_.StopFailing();
  for (int i = 0; i < 5; ++i) Serve(&snapshot, absl::Minutes(1), &good);
  EXPECT_EQ(files_.num_calls(), 0);
}

TEST_F(LastKnownGoodTest, ADiskThatWasFullIsTriedAgain) {
  LastKnownGood good = Make();
  const Snapshot snapshot = Version(1);
  files_.LimitSpace(0);
  Serve(&snapshot, absl::Minutes(1), &good);
  EXPECT_EQ(good.version(), 1U);
  EXPECT_EQ(Make().version(), 0U);
  files_.LimitSpace(1000);
  Serve(&snapshot, absl::Minutes(1), &good);
  EXPECT_EQ(Make().version(), 1U);
}

TEST_F(LastKnownGoodTest, AFileThatMakesNoSenseIsNone) {
  for (const char* text : {"", "7", "x y\n", "\n\n", "-1 abc"}) {
    NEUMF_ASSERT_OK(
        WriteFileAtomically(files_, directory_.Path("last_known_good"), text));
    EXPECT_EQ(Make().version(), 0U) << text;
  }
}

}  // namespace
}  // namespace neumf
