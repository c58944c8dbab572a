#include "support/fuzz.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "support/temporary_folder.hpp"

namespace hearth::fuzz {
namespace fs = std::filesystem;
namespace {

/// In memory where that is there: libFuzzer writes some thousand files a second.
fs::path quick_folder() {
    const fs::path memory = "/dev/shm";
    std::error_code failed;
    const bool usable = fs::is_directory(memory, failed) && ::access(memory.c_str(), W_OK) == 0;
    return usable ? memory : fs::temp_directory_path();
}

}  // namespace

void require(bool holds, std::string_view property) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %.*s\n", static_cast<int>(property.size()), property.data());
    std::abort();
}

fs::path write_file(const std::string& name, std::string_view bytes) {
    static const test::TemporaryFolder folder(quick_folder());
    auto file = folder.path() / name;
    std::ofstream stream(file, std::ios::binary);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    stream.close();
    if (!stream) throw std::runtime_error("cannot write " + file.string());
    return file;
}

}  // namespace hearth::fuzz
