// A guard calls into a plugin: what that throws comes back as an error that says where it came from. Guards
// nest: the host names component, plugin and file, its caller adds the place in the recipe.
#pragma once

#include <string>
#include <utility>

namespace hearth::host {

/// Rethrows the exception that is being handled, with `where` in front of its message.
[[noreturn]] void rethrow_with(const std::string& where);

template <class F>
auto guarded(const std::string& where, F&& body) -> decltype(body()) {
    try {
        return std::forward<F>(body)();
    } catch (...) {
        rethrow_with(where);
    }
}

}  // namespace hearth::host
