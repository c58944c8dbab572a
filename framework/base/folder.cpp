#include "base/folder.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <hearth/error.hpp>

namespace hearth::base {
namespace {

namespace fs = std::filesystem;

/// What a variable of the environment names; "" where that is no absolute path.
fs::path absolute_of(const char* variable) {
    const char* value = std::getenv(variable);
    const fs::path folder = value == nullptr ? "" : value;
    return folder.is_absolute() ? folder : fs::path();
}

}  // namespace

void make_folder(const fs::path& folder) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    if (failed) throw DataError(fmt::format("cannot make {}: {}", folder.string(), failed.message()));
}

fs::path user_folder(const char* variable, const char* below_home) {
    if (auto named = absolute_of(variable); !named.empty()) return named;
    const auto home = absolute_of("HOME");
    return home.empty() ? fs::path() : home / below_home;
}

}  // namespace hearth::base
