// The SHA-256 of a file lets a run record exactly which plugins it used.
#pragma once

#include <filesystem>
#include <string>

namespace hearth::base {

/// 64 lower-case hexadecimal digits. Throws PluginError when the file cannot be read.
std::string sha256(const std::filesystem::path& file);

}  // namespace hearth::base
