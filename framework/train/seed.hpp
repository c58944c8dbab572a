// Says what the randomness of a training is keyed by.
#pragma once

#include <cstdint>

#include "recipe/recipe.hpp"

namespace hearth::train {

/// Of the seed and of which stage it is: each stage sees its films in another order and other views.
inline std::uint64_t seed_of(const recipe::Recipe& recipe) {
    constexpr std::uint64_t golden = 0x9E3779B97F4A7C15;
    return static_cast<std::uint64_t>(recipe.train.seed) + (recipe.stage ? recipe.stage->number * golden : 0);
}

}  // namespace hearth::train
