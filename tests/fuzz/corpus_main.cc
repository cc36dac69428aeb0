// The main of a fuzz target where there is no libFuzzer: runs the target on
// each file of the folders named, and on each of them cut short or with one bit
// changed at a few hundred places.

#include <dirent.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void RunOne(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()),
                         bytes.size());
}

void RunWithDamage(const std::string& bytes) {
  RunOne(bytes);
  const size_t stride = bytes.size() / 256 + 1;
  for (size_t at = 0; at < bytes.size(); at += stride) {
    RunOne(bytes.substr(0, at));
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    RunOne(damaged);
  }
}

// The number of files, or -1 when there is no such folder.
int RunFolder(const std::string& folder) {
  DIR* const directory = opendir(folder.c_str());
  if (directory == nullptr) return -1;
  int num_files = 0;
  while (const dirent* const entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    std::ifstream file(folder + "/" + entry->d_name, std::ios::binary);
    RunWithDamage(std::string(std::istreambuf_iterator<char>(file), {}));
    ++num_files;
  }
  closedir(directory);
  return num_files;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const int num_files = RunFolder(argv[i]);
    std::printf("%s: %d files\n", argv[i], num_files);
    if (num_files < 1) return 1;
  }
  return 0;
}
