#include "host/mixture.hpp"

#include <fmt/format.h>
#include <link.h>

#include <algorithm>
#include <map>

#include "host/dynamic_symbols.hpp"

namespace hearth::host {
namespace {

namespace fs = std::filesystem;

/// "libopencv_core" of "libopencv_core.so.406".
std::string stem_of(const std::string& name) {
    return name.substr(0, name.find(".so"));
}

/// By stem the files that this process has loaded.
std::map<std::string, fs::path> loaded_libraries() {
    std::map<std::string, fs::path> out;
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* all) {
            const fs::path file = info->dlpi_name;
            if (!file.empty())
                static_cast<std::map<std::string, fs::path>*>(all)->emplace(stem_of(file.filename().string()),
                                                                            file);
            return 0;
        },
        &out);
    return out;
}

bool has_symbol_versions(const fs::path& library) {
    const auto names = section_names(library);
    return std::ranges::find(names, ".gnu.version_d") != names.end();
}

/// libopencv_core.so.4.6.0 is loaded for who needs libopencv_core.so.406: the name that others need is its own.
bool is_called(const fs::path& library, const std::string& name) {
    return library.filename() == name || own_name(library) == name;
}

}  // namespace

std::string mixed_library(const fs::path& file) {
    const auto loaded = loaded_libraries();
    for (const auto& name : needed_libraries(file)) {
        const auto same = loaded.find(stem_of(name));
        if (same == loaded.end() || is_called(same->second, name) || has_symbol_versions(same->second))
            continue;
        return fmt::format("{}, while {} is loaded", name, own_name(same->second));
    }
    return "";
}

}  // namespace hearth::host
