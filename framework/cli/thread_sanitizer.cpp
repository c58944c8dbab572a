#include "cli/thread_sanitizer.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <hearth/error.hpp>
#include <string>

#include "cli/cli.hpp"
#include "host/dynamic_symbols.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* started = "HEARTH_UNDER_TSAN";

/// The sanitizer's library, as the plugin was linked to it: "libtsan.so.2".
std::string sanitizer_of(const fs::path& library) {
    const auto needed = host::needed_libraries(library);
    const auto found =
        std::ranges::find_if(needed, [](const std::string& name) { return name.starts_with("libtsan.so"); });
    if (found != needed.end()) return *found;
    throw PluginError(fmt::format(
        "{}: found a library that was built without ThreadSanitizer, expected one that was, by GCC; in the "
        "plugin's folder:\n  cmake -S . -B build-tsan -DHearth_DIR=... -DCMAKE_CXX_FLAGS='-fsanitize=thread "
        "-g'\n"
        "  cmake --build build-tsan",
        library.string()));
}

void put(const std::string& name, const std::string& first, char separator) {
    const char* kept = std::getenv(name.c_str());
    const auto value = kept == nullptr || *kept == '\0' ? first : first + separator + kept;
    ::setenv(name.c_str(), value.c_str(), /*overwrite=*/1);
}

std::vector<std::string> own_arguments() {
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    std::vector<std::string> out;
    for (std::string word; std::getline(file, word, '\0');) out.push_back(word);
    return out;
}

}  // namespace

void run_under_thread_sanitizer(const std::vector<fs::path>& libraries) {
    std::string sanitizer;
    for (const auto& library : libraries) sanitizer = sanitizer_of(library);
    if (::dlsym(RTLD_DEFAULT, "__tsan_init") != nullptr) return;
    if (std::getenv(started) != nullptr)
        throw RecipeError(
            fmt::format("--tsan: found no {}, expected ThreadSanitizer's library as GCC brings it; "
                        "install it (Debian, Ubuntu: libtsan2)",
                        sanitizer));
    put("LD_PRELOAD", sanitizer, ':');
    put("TSAN_OPTIONS", "ignore_noninstrumented_modules=1:halt_on_error=1", ':');
    ::setenv(started, "1", /*overwrite=*/1);
    auto words = own_arguments();
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(own_program().c_str(), arguments.data());
    throw Error(ExitCode::internal, "--tsan: this process could not be started anew");
}

}  // namespace hearth::cli
