// FNV-1a, 64 bits, tells files, recipes and data sets apart. It is no protection against intent.
#pragma once

#include <cstdint>
#include <string_view>

namespace hearth::base {

inline constexpr std::uint64_t fnv_start = 14695981039346656037ULL;

/// The hash of what went into `hash`, followed by `bytes`.
constexpr std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = fnv_start) {
    for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ULL;
    return hash;
}

}  // namespace hearth::base
