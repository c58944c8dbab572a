// Checks options that are a range.
#pragma once

#include <hearth/error.hpp>
#include <hearth/option.hpp>
#include <string>
#include <utility>
#include <vector>

namespace hearth::range {

/// The two values of an option [lowest, highest]. Throws RecipeError where they are exchanged.
template <class T>
std::pair<T, T> ordered(const std::vector<T>& given, const std::string& name) {
    if (given.size() != 2 || given[0] > given[1])
        throw RecipeError(name + ": found " + to_string(OptionValue(given)) + ", expected [lowest, highest]");
    return {given[0], given[1]};
}

}  // namespace hearth::range
