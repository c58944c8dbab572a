// These random numbers are the same on every platform and standard library: SplitMix64 (Steele, Lea, Flood
// 2014) with our own uniform and normal draws. The generator of phantoms draws from it, and it seeds the
// bootstrap's; augmentations draw from the SDK's counter-based generator.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace hearth::base {

/// `SplitMix random(seed, subject); const double width = random.uniform(0.4, 0.6);`
class SplitMix {
  public:
    explicit SplitMix(std::uint64_t seed) : state_(seed) {}
    /// An independent stream for each (seed, a, b).
    SplitMix(std::uint64_t seed, std::uint64_t a, std::uint64_t b = 0) : state_(mix(mix(mix(seed) + a) + b)) {}

    std::uint64_t bits() { return mix(state_ += 0x9E3779B97F4A7C15ULL); }
    /// In [0, 1).
    double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }
    double uniform(double low, double high) { return low + (high - low) * uniform(); }
    /// In {0, ..., count - 1}; the bias for small counts is below 2^-50.
    int index(int count) { return static_cast<int>(uniform() * count); }
    bool chance(double probability) { return uniform() < probability; }
    /// Standard normal, by Box and Muller.
    double normal() {
        const double radius = std::sqrt(-2 * std::log(1 - uniform()));
        return radius * std::cos(2 * std::numbers::pi * uniform());
    }
    /// Close to standard normal, within +-3.46, and quick: the sum of four 16-bit uniforms of one draw
    /// (Irwin-Hall).
    float quick_normal() {
        const std::uint64_t b = bits();
        const auto sum =
            static_cast<std::int32_t>((b & 0xFFFF) + (b >> 16 & 0xFFFF) + (b >> 32 & 0xFFFF) + (b >> 48));
        return static_cast<float>(sum - 131070) * (1.7320508F / 65536.0F);
    }

  private:
    static std::uint64_t mix(std::uint64_t z) {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31);
    }
    std::uint64_t state_;
};

}  // namespace hearth::base
