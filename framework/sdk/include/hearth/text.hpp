// Finds the nearest valid name for an error message, and joins words; host and plugins share it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// The candidate closest to `word` by edit distance (transpositions count once), or "" when none is close
/// enough to be a likely misspelling (more than a third of the letters, at least two, differ).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// " (did you mean 'x'?)" for the nearest candidate, or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

/// "a, b, c".
std::string join(const std::vector<std::string>& words, std::string_view separator = ", ");

}  // namespace hearth
