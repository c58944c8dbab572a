// Philox 4x32-10 as published, and distributions on top of it that depend on the key alone.
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <hearth/random.hpp>
#include <set>
#include <vector>

using namespace hearth;

namespace {

using Words = std::array<std::uint32_t, 4>;

// The algorithm as Salmon et al. 2011 write it: ten rounds of two multiplications, the key bumped between them.
Words philox(Words counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        if (round > 0) {
            key[0] += 0x9E3779B9u;
            key[1] += 0xBB67AE85u;
        }
        const auto first = 0xD2511F53ull * counter[0], second = 0xCD9E8D57ull * counter[2];
        const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
        const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x & 0xffffffffu); };
        counter = {high(second) ^ counter[1] ^ key[0], low(second), high(first) ^ counter[3] ^ key[1],
                   low(first)};
    }
    return counter;
}

Words block(Random& random) {
    Words words{};
    for (auto& word : words) word = random.bits();
    return words;
}

std::vector<std::uint32_t> draw(const RandomKey& key, int count = 64) {
    Random random(key);
    std::vector<std::uint32_t> words;
    for (int i = 0; i < count; ++i) words.push_back(random.bits());
    return words;
}

}  // namespace

TEST_CASE("the reference of this test gives Random123's known answers for philox4x32-10") {
    CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
          Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a stream with an all-zero key starts with the known answer") {
    Random random(RandomKey{});
    CHECK(block(random) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
}

TEST_CASE("the fields of a key become the counter and the key of Philox") {
    Random random(
        {.seed = 0x299f31d0a4093822, .epoch = 0x85a308d3, .sample = 0x037073441319, .stream = 0x8a2e});
    for (std::uint32_t number = 0; number < 5; ++number)
        CHECK(block(random) == philox({number, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}));
}

TEST_CASE("a stream can be started anew from its key, whatever was drawn") {
    const RandomKey key{.seed = 1ull << 40, .epoch = 3, .sample = (1ull << 48) - 1, .stream = 65535};
    Random random(key);
    for (int i = 0; i < 11; ++i) random.bits();
    CHECK(random.key().seed == key.seed);
    CHECK(random.key().epoch == key.epoch);
    CHECK(random.key().sample == key.sample);
    CHECK(random.key().stream == key.stream);
    Random again(random.key());
    CHECK(again.bits() == draw(key, 1).front());
}

TEST_CASE("streams that differ in one field of their key share no number") {
    const RandomKey key{.seed = 5, .epoch = 6, .sample = 7, .stream = 8};
    std::vector<RandomKey> keys(5, key);
    keys[1].seed++;
    keys[2].epoch++;
    keys[3].sample++;
    keys[4].stream++;
    std::set<std::uint32_t> seen;
    for (const auto& one : keys)
        for (const auto word : draw(one)) seen.insert(word);
    CHECK(seen.size() == 5 * 64);  // a collision of 320 words by chance: 1 in 84,000, and the keys are fixed
    CHECK(draw(key) == draw(key));
}

TEST_CASE("uniform numbers fill [0, 1) evenly") {
    Random random({.seed = 11});
    const int n = 20000;
    double sum = 0, squares = 0, least = 1, most = 0;
    for (int i = 0; i < n; ++i) {
        const double x = random.uniform();
        sum += x;
        squares += x * x;
        least = std::min(least, x);
        most = std::max(most, x);
    }
    CHECK(least >= 0);
    CHECK(least < 0.001);
    CHECK(most < 1);
    CHECK(most > 0.999);
    CHECK(sum / n == Approx(0.5).margin(0.01));
    CHECK(squares / n == Approx(1.0 / 3).margin(0.01));
    for (int i = 0; i < 100; ++i) {
        const double x = random.uniform(-3, -2);
        CHECK((x >= -3 && x < -2));
    }
}

TEST_CASE("integers include both ends, each as often as the others") {
    Random random({.seed = 12});
    std::array<int, 6> counts{};
    for (int i = 0; i < 12000; ++i) {
        const auto draw = random.integer(-2, 3);
        REQUIRE((draw >= -2 && draw <= 3));
        ++counts[static_cast<std::size_t>(draw + 2)];
    }
    for (const int count : counts) CHECK(count == Approx(2000).margin(200));  // 5 standard deviations
    CHECK(random.integer(7, 7) == 7);
    bool negative = false, positive = false;
    for (int i = 0; i < 64; ++i) {
        const auto any = random.integer(INT64_MIN, INT64_MAX);
        negative = negative || any < 0;
        positive = positive || any > 0;
    }
    CHECK((negative && positive));
    CHECK(random.integer(INT64_MIN, INT64_MAX - 1) < INT64_MAX);  // more numbers than are not negative
}

TEST_CASE("normal numbers have mean 0, deviation 1 and the tails of a Gaussian") {
    Random random({.seed = 13});
    const int n = 20000;
    double sum = 0, squares = 0;
    int beyond = 0;
    for (int i = 0; i < n; ++i) {
        const double x = random.normal();
        REQUIRE(std::isfinite(x));
        sum += x;
        squares += x * x;
        beyond += std::abs(x) > 1.96 ? 1 : 0;
    }
    CHECK(sum / n == Approx(0).margin(0.03));
    CHECK(squares / n == Approx(1).margin(0.05));
    CHECK(beyond == Approx(0.05 * n).margin(150));
}

TEST_CASE("a chance of 0 never comes and of 1 always") {
    Random random({.seed = 14});
    int hits = 0;
    for (int i = 0; i < 1000; ++i) {
        CHECK_FALSE(random.chance(0));
        CHECK(random.chance(1));
        hits += random.chance(0.25) ? 1 : 0;
    }
    CHECK(hits == Approx(250).margin(70));
}
