// Reads the sections of a library, and the symbols it exports from its .dynsym section. Neither dlopen (it
// runs constructors) nor .symtab (strip removes it) would do.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace hearth::host {

/// "" for an ELF shared library of this machine, else what was found instead.
std::string check_elf(const std::filesystem::path& file);

/// The names of its sections. Throws PluginError when its tables are damaged.
std::vector<std::string> section_names(const std::filesystem::path& file);

/// Whether the library defines `name` for others to use. Throws PluginError when its tables are damaged.
bool exports_symbol(const std::filesystem::path& file, const std::string& name);

/// The names of the libraries it was linked to ("libopencv_core.so.406"), and its own ("" where it has none). Both
/// throw PluginError when its tables are damaged.
std::vector<std::string> needed_libraries(const std::filesystem::path& file);
std::string own_name(const std::filesystem::path& file);

}  // namespace hearth::host
