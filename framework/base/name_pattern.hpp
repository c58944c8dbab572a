// Says whether a parameter's or buffer's name matches what a recipe writes.
#pragma once

#include <fnmatch.h>

#include <string>

namespace hearth::base {

/// A pattern with `*` or `?` is a glob over the whole name, any other is looked for within it.
inline bool matches(const std::string& name, const std::string& pattern) {
    if (pattern.find_first_of("*?") != std::string::npos)
        return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
    return name.find(pattern) != std::string::npos;
}

}  // namespace hearth::base
