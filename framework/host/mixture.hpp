// Two versions of one library in a process: their symbols have the same names, so a plugin that was linked to one
// calls functions of the other.
#pragma once

#include <filesystem>
#include <string>

namespace hearth::host {

/// "" when no library that `file` needs is here in another version, without versions at its symbols that would tell
/// the two apart; else which: "libopencv_core.so.411, while libopencv_core.so.406 is loaded".
std::string mixed_library(const std::filesystem::path& file);

}  // namespace hearth::host
