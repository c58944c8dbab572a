// Writes a whole text to a file descriptor, whatever interrupts it.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace hearth::base {

/// Whether all of it was written; else errno says why not. Async-signal-safe.
inline bool write_all(int file, std::string_view text) noexcept {
    while (!text.empty()) {
        const auto written = ::write(file, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

}  // namespace hearth::base
