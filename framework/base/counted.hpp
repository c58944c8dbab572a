// How many there are of something, in words: "1 patient", "2 patients".
#pragma once

#include <cstdint>
#include <string>

namespace hearth::base {

/// The number and the noun, which takes an s unless there is one of it.
inline std::string counted(std::int64_t count, const std::string& noun) {
    return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace hearth::base
