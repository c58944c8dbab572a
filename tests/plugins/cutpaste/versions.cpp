// CutPaste: what it cuts out, where it pastes it, which class it says that is, and that a key alone decides it.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "support/plugins.hpp"

namespace cutpaste_versions {

using namespace hearth;
using hearth::test::make;
using Changes = std::vector<std::pair<std::string, OptionValue>>;
using Numbers = std::vector<double>;

namespace {

/// No value twice, each a multiple of 1 / (height width): a pasted pixel tells where it comes from.
at::Tensor ramp(std::int64_t height, std::int64_t width) {
    return (at::arange(height * width, at::kFloat) / static_cast<double>(height * width))
        .view({1, height, width});
}

Tensors draw(const Augment& augment, const at::Tensor& image, std::uint64_t sample) {
    Random random({.seed = 1, .epoch = 0, .sample = sample, .stream = 0});
    return augment.sample({{"image", image}}, random);
}

/// Options under which pixels keep their values, and more.
std::shared_ptr<Augment> exact(Changes changes = {}) {
    changes.emplace_back("jitter", Schedule(0.0));
    changes.emplace_back("film_jitter", Schedule(0.0));
    return make<Augment>("cutpaste", changes);
}

/// Where `version` [1, H, W] differs from `film`.
struct Changed {
    std::int64_t pixels = 0, height = 0, width = 0;  ///< how many, and the rectangle around them
    std::int64_t offsets = 0;  ///< of the ramp: how many distances between a pixel's place and its origin
};

Changed changed(const at::Tensor& film, const at::Tensor& version) {
    const auto places = (version != film)[0].nonzero();  // [N, 2]
    if (places.size(0) == 0) return {};
    const auto span = std::get<0>(places.max(0)) - std::get<0>(places.min(0)) + 1;
    const auto width = film.size(2);
    const auto place = places.select(1, 0) * width + places.select(1, 1);
    const auto origin =
        (version.view(-1).index_select(0, place) * static_cast<double>(film.numel())).round().to(at::kLong);
    return {places.size(0), span[0].item<std::int64_t>(), span[1].item<std::int64_t>(),
            std::get<0>(at::_unique(origin - place)).numel()};
}

}  // namespace

TEST_CASE("three versions of a film, and the class of each") {
    const auto film = at::rand({3, 64, 48});
    const auto views = draw(*exact(), film, 0);
    CHECK(views["versions"].sizes() == at::IntArrayRef({3, 3, 64, 48}));
    CHECK(views["version"].equal(at::tensor({0, 1, 2}, at::kLong)));
    CHECK(views["versions"][0].equal(film));
    CHECK_FALSE(views["versions"][1].equal(film));
    CHECK_FALSE(views["versions"][2].equal(film));
    const auto& type = test::registry().find(Kind::augment, "cutpaste");
    const auto ports = type.writes(test::options(type), {});
    CHECK(to_string(ports.at(0).shape) == "3 B C H W");
    CHECK(to_string(ports.at(1).shape) == "3 B");
    CHECK(ports.at(1).dtype == "int64");
}

TEST_CASE("two versions: with a patch, with a scar, with either") {
    const auto film = ramp(256, 256);
    const auto area = [&](const char* variant, std::uint64_t sample) {
        const auto views = draw(*exact({{"variant", std::string(variant)}}), film, sample);
        CHECK(views["versions"].sizes() == at::IntArrayRef({2, 1, 256, 256}));
        CHECK(views["version"].equal(at::tensor({0, 1}, at::kLong)));
        return changed(film, views["versions"][1]).pixels;
    };
    int patches = 0;
    for (std::uint64_t sample = 0; sample < 40; ++sample) {
        CHECK(area("patch", sample) > 1000);  // 2 % of the film are 1311 pixels
        CHECK(area("scar", sample) < 500);    // 16 x 25 are 400
        patches += area("union", sample) > 1000;
    }
    CHECK(patches > 8);
    CHECK(patches < 32);
}

TEST_CASE("a patch is a rectangle of the film with the paper's area and ratio, whole and inside") {
    const auto [height, width] = GENERATE(table<int, int>({{256, 256}, {128, 128}, {96, 160}}));
    const auto film = ramp(height, width);
    const auto plugin = exact({{"variant", std::string("patch")}});
    double smallest = 1, largest = 0, ratios = 0;
    constexpr int samples = 400;
    for (std::uint64_t sample = 0; sample < samples; ++sample) {
        CAPTURE(sample);
        const auto found = changed(film, draw(*plugin, film, sample)["versions"][1]);
        REQUIRE(found.offsets == 1);
        REQUIRE(found.pixels == found.height * found.width);
        const auto h = static_cast<double>(found.height), w = static_cast<double>(found.width);
        const double rounding = 1 + 0.5 / h + 0.5 / w + 0.25 / (h * w);
        const double area = h * w / (height * width);
        CHECK(area >= 0.02 / rounding);
        CHECK(area <= 0.15 * rounding);
        const bool fits = found.height < height && found.width < width;  // else it was cut to fit
        if (fits) CHECK(w / h <= (1 / 0.3) * (1 + 1 / h + 1 / w));
        if (fits) CHECK(h / w <= (1 / 0.3) * (1 + 1 / h + 1 / w));
        smallest = std::min(smallest, area), largest = std::max(largest, area);
        ratios += std::log(w / h) / samples;
    }
    CHECK(smallest < 0.03);
    CHECK(largest > 0.14);
    CHECK(std::abs(ratios) < 0.15);  // uniform in +-1.2: deviation of the mean 0.035
}

TEST_CASE("a scar has the paper's width and length, which follow the size of the film") {
    const auto upright = exact({{"variant", std::string("scar")}, {"rotation", Numbers{0, 0}}});
    for (const auto& [edge, narrowest, widest, shortest, longest] :
         std::vector<std::array<std::int64_t, 5>>{{256, 2, 16, 10, 25}, {128, 1, 8, 5, 13}}) {
        const auto film = ramp(edge, edge);
        std::int64_t found_narrowest = edge, found_longest = 0;
        for (std::uint64_t sample = 0; sample < 200; ++sample) {
            const auto found = changed(film, draw(*upright, film, sample)["versions"][1]);
            REQUIRE(found.offsets == 1);
            REQUIRE(found.pixels == found.height * found.width);
            CHECK(found.width >= narrowest);
            CHECK(found.width <= widest);
            CHECK(found.height >= shortest);
            CHECK(found.height <= longest);
            found_narrowest = std::min(found_narrowest, found.width);
            found_longest = std::max(found_longest, found.height);
        }
        CHECK(found_narrowest <= narrowest + 1);
        CHECK(found_longest >= longest - 1);
    }
}

TEST_CASE("a turned scar has its area, lies inside, and makes no new grey value") {
    const auto film = ramp(256, 256);
    const auto turned = exact(
        {{"variant", std::string("scar")}, {"scar_width", Numbers{16, 16}}, {"scar_length", Numbers{25, 25}}});
    for (std::uint64_t sample = 0; sample < 200; ++sample) {
        CAPTURE(sample);
        const auto version = draw(*turned, film, sample)["versions"][1];
        const auto found = changed(film, version);
        // Where it overlaps its source a turned pixel may land on itself.
        CHECK(found.pixels == Approx(16 * 25).epsilon(0.06));
        CHECK(found.height <= 30);  // at 45 degrees (16 + 25) / sqrt(2) = 29
        CHECK(found.width <= 30);
        const auto values = version * 65536.0;
        CHECK(values.equal(values.round()));
    }
}

TEST_CASE("on 10^4 films of little size every patch and scar is whole") {
    const auto film = ramp(24, 24);
    const auto plugin = exact({{"rotation", Numbers{0, 0}}});
    int broken = 0;
    for (std::uint64_t sample = 0; sample < 10'000; ++sample) {
        const auto versions = draw(*plugin, film, sample)["versions"];
        for (const int version : {1, 2}) {
            const auto found = changed(film, versions[version]);
            // A patch that lands on its source changes nothing.
            if (found.pixels > 0) broken += found.pixels != found.height * found.width || found.offsets != 1;
        }
    }
    CHECK(broken == 0);
}

TEST_CASE("jitter changes what is pasted, film_jitter all versions alike") {
    const auto flat = at::full({1, 96, 96}, 0.4F);
    const auto pasted = make<Augment>("cutpaste", {{"film_jitter", Schedule(0.0)}});
    const auto whole = make<Augment>("cutpaste", {{"jitter", Schedule(0.0)}});
    double furthest = 0;
    for (std::uint64_t sample = 0; sample < 20; ++sample) {
        const auto versions = draw(*pasted, flat, sample)["versions"];
        CHECK(versions[0].equal(flat));
        const double change = (versions[1] - flat).abs().max().item<double>();
        CHECK(change <= 0.04 + 1e-6);
        furthest = std::max(furthest, change);
        const auto all = draw(*whole, flat, sample)["versions"];
        CHECK(all[1].equal(all[0]));
        CHECK(all[2].equal(all[0]));
        CHECK((all[0] - flat).abs().max().item<double>() <= 0.04 + 1e-6);
        CHECK_FALSE(all[0].equal(flat));
    }
    CHECK(furthest > 0.01);
}

TEST_CASE("pixels that are not numbers become black, and values stay in [0, 1]") {
    auto film = at::rand({1, 40, 40}) * 3 - 1;
    film[0][3][4] = std::numeric_limits<float>::quiet_NaN();
    const auto versions = draw(*make<Augment>("cutpaste"), film, 2)["versions"];
    CHECK(versions.ge(0).logical_and(versions.le(1)).all().item<bool>());
    CHECK(draw(*exact(), film, 2)["versions"][0][0][3][4].item<float>() == 0);
}

TEST_CASE("the key alone decides what CutPaste draws") {
    const auto plugin = make<Augment>("cutpaste");
    const auto film = at::rand({1, 64, 64});
    CHECK(draw(*plugin, film, 1)["versions"].equal(draw(*plugin, film, 1)["versions"]));
    CHECK_FALSE(draw(*plugin, film, 1)["versions"][1].equal(draw(*plugin, film, 2)["versions"][1]));
}

TEST_CASE("CutPaste refuses ranges that are exchanged, and variants it does not know") {
    for (const char* name : {"area", "scar_width", "scar_length", "rotation"}) {
        INFO(name);
        CHECK_THROWS_WITH(make<Augment>("cutpaste", {{name, Numbers{0.9, 0.1}}}),
                          Catch::Contains(name) && Catch::Contains("expected [lowest, highest]"));
    }
    const auto& schema = test::registry().find(Kind::augment, "cutpaste").schema();
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
    CHECK_FALSE(schema.find("variant")->check(std::string("4-way")).empty());
    CHECK_FALSE(schema.find("area")->check(Numbers{0.1, 1.5}).empty());
}

}  // namespace cutpaste_versions
