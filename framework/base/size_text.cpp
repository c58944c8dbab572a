#include "base/size_text.hpp"

#include <fmt/format.h>

namespace hearth::base {

std::string size_text(double bytes) {
    constexpr double mib = 1024 * 1024, gib = 1024 * mib;
    return bytes < gib ? fmt::format("{:.1f} MiB", bytes / mib) : fmt::format("{:.2f} GiB", bytes / gib);
}

}  // namespace hearth::base
