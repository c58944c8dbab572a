#include <cmath>
#include <hearth/random.hpp>
#include <numbers>

namespace hearth {

Random::Random(const RandomKey& key) {
    key_[0] = static_cast<std::uint32_t>(key.seed);
    key_[1] = static_cast<std::uint32_t>(key.seed >> 32);
    counter_[0] = 0;  // counts the blocks of this stream
    counter_[1] = static_cast<std::uint32_t>(key.epoch);
    const std::uint64_t where = (key.sample << 16) | (key.stream & 0xffff);
    counter_[2] = static_cast<std::uint32_t>(where);
    counter_[3] = static_cast<std::uint32_t>(where >> 32);
}

RandomKey Random::key() const {
    const std::uint64_t where = (std::uint64_t{counter_[3]} << 32) | counter_[2];
    return {.seed = (std::uint64_t{key_[1]} << 32) | key_[0],
            .epoch = counter_[1],
            .sample = where >> 16,
            .stream = where & 0xffff};
}

void Random::refill() {
    std::uint32_t c[4] = {counter_[0], counter_[1], counter_[2], counter_[3]};
    std::uint32_t k0 = key_[0], k1 = key_[1];
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c[2];
        const std::uint32_t next[4] = {
            static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
            static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
        for (int i = 0; i < 4; ++i) c[i] = next[i];
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    for (int i = 0; i < 4; ++i) block_[i] = c[i];
    ++counter_[0];
    used_ = 0;
}

std::uint32_t Random::bits() {
    if (used_ == 4) refill();
    return block_[used_++];
}

double Random::uniform() {
    const std::uint64_t high = bits() >> 6, low = bits() >> 5;  // 26 + 27 = 53 bits
    return static_cast<double>((high << 27) | low) * 0x1.0p-53;
}

std::int64_t Random::integer(std::int64_t low, std::int64_t high) {
    // Unsigned, where a span of more than half of all numbers does not overflow.
    const auto first = static_cast<std::uint64_t>(low), span = static_cast<std::uint64_t>(high) - first + 1;
    if (span == 0) return static_cast<std::int64_t>((std::uint64_t{bits()} << 32) | bits());
    const std::uint64_t limit = UINT64_MAX - UINT64_MAX % span;
    std::uint64_t draw = 0;
    do {
        draw = (std::uint64_t{bits()} << 32) | bits();
    } while (draw >= limit);
    return static_cast<std::int64_t>(first + draw % span);
}

double Random::normal() {
    const double u = 1.0 - uniform();  // (0, 1]
    const double v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace hearth
