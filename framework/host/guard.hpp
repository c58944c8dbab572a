// A guard calls into a plugin: what that throws comes back as an error that says where it came from. Guards
// nest: the host names component, plugin and file, its caller adds the place in the recipe. While a guard lasts,
// its thread knows where it is, for the last words of a process that dies there (last_words.hpp).
#pragma once

#include <string>
#include <utility>

namespace hearth::host {

/// While it lives, this thread is in the code that `where` names: "r.toml:7:1: student.backbone". The text must
/// live as long.
class Inside {
  public:
    explicit Inside(const char* where) noexcept;
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    /// What this thread is in, innermost; null where it is in none. Async-signal-safe.
    static const char* now() noexcept;

  private:
    const char* outer_;
};

/// Rethrows the exception that is being handled, with `where` in front of its message, and the plugin behind
/// `where` if that is the place of a component (place.hpp); `end` comes last.
[[noreturn]] void rethrow_with(const std::string& where, const std::string& end = "");

template <class F>
auto guarded(const std::string& where, F&& body) -> decltype(body()) {
    const Inside inside(where.c_str());
    try {
        return std::forward<F>(body)();
    } catch (...) {
        rethrow_with(where);
    }
}

}  // namespace hearth::host
