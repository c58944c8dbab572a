// A main() for builds without libFuzzer: runs a fuzz target on files, and on all files of folders.
//   fuzz_rle tests/fuzz/corpus/rle
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "support/fuzz.hpp"

namespace fs = std::filesystem;

namespace {

std::vector<fs::path> files_of(int count, char** arguments) {
    std::vector<fs::path> files;
    for (int i = 1; i < count; ++i) {
        const fs::path path = arguments[i];
        if (!fs::is_directory(path)) files.push_back(path);
        if (fs::is_directory(path))
            for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace

int main(int count, char** arguments) try {
    const auto files = files_of(count, arguments);
    if (files.empty()) {
        std::fprintf(stderr, "no input; expected files or a folder of files\n");
        return 2;
    }
    for (const auto& file : files) {
        std::printf("%s\n",
                    file.c_str());  // before it runs: the last line names the input that ends the program
        std::fflush(stdout);
        std::ifstream stream(file, std::ios::binary);
        if (!stream) throw std::runtime_error("cannot be read");
        const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), {}};
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    }
    std::printf("%zu inputs\n", files.size());
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "an exception that is no hearth::Error: %s\n", error.what());
    return 1;
}
