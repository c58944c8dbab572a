// Options that are a range.
#pragma once

#include <hearth/error.hpp>
#include <hearth/option.hpp>
#include <string>
#include <utility>
#include <vector>

namespace hearth {

/// The two values of an option [lowest, highest]. Throws RecipeError where they are exchanged.
template <class T>
std::pair<T, T> ordered(const std::vector<T>& range, const std::string& name) {
    if (range.size() != 2 || range[0] > range[1])
        throw RecipeError(name + ": found " + to_string(OptionValue(range)) + ", expected [lowest, highest]");
    return {range[0], range[1]};
}

}  // namespace hearth
