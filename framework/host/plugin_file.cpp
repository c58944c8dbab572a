// Says what can be said about a plugin file without running any of its code.
#include <fmt/format.h>
#include <unistd.h>

#include "host/dynamic_symbols.hpp"
#include "host/identity.hpp"
#include "host/mixture.hpp"
#include "host/registry.hpp"

namespace fs = std::filesystem;

namespace hearth::host {
namespace {

std::string problem_of(const fs::path& file) {
    const auto name = file.string();
    std::error_code ignored;
    if (!fs::exists(file, ignored)) {
        const bool link = fs::is_symlink(file, ignored);
        return fmt::format("{}: found {}, expected a plugin library", name,
                           link ? "a symbolic link to nothing" : "no such file");
    }
    if (!fs::is_regular_file(file, ignored))
        return name + ": found something that is no file, expected a plugin library";
    if (access(file.c_str(), R_OK) != 0)
        return name + ": found a file without read permission, expected a readable plugin library";
    if (const auto found = check_elf(file); !found.empty())
        return fmt::format(
            "{}: found {}, expected an ELF shared library; build or copy it again, or move it out of "
            "the plugin folder",
            name, found);
    const auto expected = host_identity();
    const auto identities = read_identities(file);
    if (identities.empty())
        return fmt::format(
            "{}: found a library without a build identity, expected a section named '{}'; is it a Hearth "
            "plugin? "
            "One is made with HEARTH_PLUGIN(...) and hearth_add_plugin()",
            name, expected);
    for (const auto& found : identities) {
        if (const auto differences = compare_identities(found, expected); !differences.empty())
            return fmt::format(
                "{}: built differently from this Hearth\n{}rebuild the plugin against the SDK of this "
                "Hearth (docs/plugins.md)",
                name, differences);
    }
    if (!exports_symbol(file, "hearth_plugin"))
        return fmt::format(
            "{}: found no exported symbol 'hearth_plugin', expected one; is HEARTH_PLUGIN(...) in a "
            "source file of the library, and was it built with hearth_add_plugin()?",
            name);
    if (const auto mixed = mixed_library(file); !mixed.empty())
        return fmt::format(
            "{}: found that it needs {}; expected the library that is loaded, or one within the plugin: link "
            "it "
            "statically (docs/plugins.md, \"Libraries of your own\")",
            name, mixed);
    return "";
}

}  // namespace

std::string check_file(const fs::path& file) {
    try {
        return problem_of(file);
    } catch (const std::exception& error) {
        return error.what();
    }
}

}  // namespace hearth::host
