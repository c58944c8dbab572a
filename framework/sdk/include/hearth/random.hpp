// Draws random numbers by counting (Philox 4x32-10, Salmon et al. 2011): a draw depends on its key alone, so
// that the result is the same for any batch size, worker count or rank.
#pragma once

#include <cstdint>

namespace hearth {

/// What one sample's randomness is keyed by.
struct RandomKey {
    std::uint64_t seed = 0;    ///< of the run
    std::uint64_t epoch = 0;   ///< visit of the sample, below 2^32
    std::uint64_t sample = 0;  ///< index in the data set, below 2^48
    std::uint64_t stream = 0;  ///< which augment (or other consumer), below 2^16
};

/// A stream of numbers; own distributions, since those of the standard library differ between implementations.
class Random {
  public:
    explicit Random(const RandomKey& key);
    /// What this stream is keyed by, whatever was drawn so far: Random(random.key()) starts it anew.
    RandomKey key() const;
    std::uint32_t bits();
    /// In [0, 1).
    double uniform();
    double uniform(double low, double high) { return low + (high - low) * uniform(); }
    /// In [low, high], both included, without bias.
    std::int64_t integer(std::int64_t low, std::int64_t high);
    /// Mean 0, standard deviation 1 (Box-Muller).
    double normal();
    bool chance(double probability) { return uniform() < probability; }

  private:
    void refill();
    std::uint32_t key_[2];
    std::uint32_t counter_[4];
    std::uint32_t block_[4] = {};
    int used_ = 4;
};

}  // namespace hearth
