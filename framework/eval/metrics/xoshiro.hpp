// Draws small random numbers that are the same on every compiler and library (std::uniform_int_distribution
// is not): SplitMix64 to seed xoshiro256**, https://prng.di.unimi.it, and unbiased bounded integers,
// https://arxiv.org/abs/1805.10941.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/splitmix.hpp"

namespace hearth::eval {

/// xoshiro256**: `Xoshiro random(seed); auto patient = random.below(patients);`
class Xoshiro {
  public:
    explicit Xoshiro(std::uint64_t seed) {
        base::SplitMix seeds(seed);
        for (auto& word : state_) word = seeds.bits();
    }

    std::uint64_t next() {
        const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    /// A whole number in [0, bound), each equally likely; bound > 0.
    std::uint32_t below(std::uint32_t bound) {
        std::uint64_t product = (next() >> 32) * bound;
        if (static_cast<std::uint32_t>(product) < bound) {
            const std::uint32_t refused = (0u - bound) % bound;
            while (static_cast<std::uint32_t>(product) < refused) product = (next() >> 32) * bound;
        }
        return static_cast<std::uint32_t>(product >> 32);
    }

    /// A number in [0, 1) with 53 random bits.
    double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  private:
    std::array<std::uint64_t, 4> state_{};
};

}  // namespace hearth::eval
