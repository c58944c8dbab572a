// multi-crop: where crops come from, how often each change happens, and that the key alone decides.
#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "crops.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

std::int64_t count(const Augment& augment, const std::string& name) {
    for (const auto& [key, value] : augment.counts())
        if (key == name) return value;
    return -1;
}

/// Largest distance between the distribution of `values` and the uniform one on [low, high], times sqrt(n);
/// above 1.95 once in a thousand times.
double kolmogorov(std::vector<double> values, double low, double high) {
    std::sort(values.begin(), values.end());
    double worst = 0;
    const auto n = static_cast<double>(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double expected = (values[i] - low) / (high - low);
        worst = std::max({worst, std::abs(expected - static_cast<double>(i) / n),
                          std::abs(expected - static_cast<double>(i + 1) / n)});
    }
    return worst * std::sqrt(n);
}

/// Boxes of `samples` x 8 local crops of a 400 x 400 image.
std::vector<FoundBox> local_boxes(std::uint64_t samples, const Changes& changes) {
    const auto crop = make<Augment>("multi-crop", with(plain(16), with({{"local_crops", std::int64_t{8}},
                                                                        {"local_size", std::int64_t{16}},
                                                                        {"local_blur", Schedule(0)}},
                                                                       changes)));
    const auto image = coordinates(400, 400);
    std::vector<FoundBox> boxes;
    for (std::uint64_t sample = 0; sample < samples; ++sample) {
        const auto local = draw(*crop, image, {.sample = sample})["local"];
        for (std::int64_t i = 0; i < local.size(0); ++i) boxes.push_back(find_box(local[i]));
    }
    return boxes;
}

bool equal(const Tensors& a, const Tensors& b) {
    return a["global"].equal(b["global"]) && a["local"].equal(b["local"]);
}

}  // namespace

TEST_CASE("area and ratio of small crops are uniform and log-uniform, places and mirrors fair") {
    const auto boxes = local_boxes(200, {{"flip", Schedule(0.5)}});
    std::vector<double> areas, ratios, lefts, tops;
    double flips = 0;
    for (const auto& box : boxes) {
        CHECK(box.width == Approx(std::round(box.width)).margin(0.02));  // whole pixels
        CHECK(box.left == Approx(std::round(box.left)).margin(0.02));
        REQUIRE(box.left > -0.01);
        REQUIRE(box.top > -0.01);
        REQUIRE(box.left + box.width < 400.01);
        REQUIRE(box.top + box.height < 400.01);
        areas.push_back(box.height * box.width / 160000);
        ratios.push_back(std::log(box.width / box.height));
        lefts.push_back(box.left / (400 - box.width));
        tops.push_back(box.top / (400 - box.height));
        flips += box.flip;
    }
    CHECK(kolmogorov(areas, 0.05, 0.4) < 1.95);
    CHECK(kolmogorov(ratios, std::log(3.0 / 4), std::log(4.0 / 3)) < 1.95);
    CHECK(kolmogorov(lefts, 0, 1) < 1.95);
    CHECK(kolmogorov(tops, 0, 1) < 1.95);
    CHECK(flips / 1600 == Approx(0.5).margin(0.05));
}

TEST_CASE("large crops fall outside sometimes and are drawn again, as in torchvision") {
    // Mean, standard deviation and 10 % quantile of 40 000 areas that RandomResizedCrop.get_params of
    // torchvision 0.26 draws on 256 x 256 with scale [0.4, 1]; uniform areas would have 0.7, 0.173 and 0.46.
    const auto crop = make<Augment>(
        "multi-crop", with(plain(16), {{"global_crops", std::int64_t{16}}, {"flip", Schedule(0)}}));
    const auto image = coordinates(256, 256);
    std::vector<double> areas;
    for (std::uint64_t sample = 0; sample < 250; ++sample) {
        const auto crops = draw(*crop, image, {.sample = sample})["global"];
        for (std::int64_t i = 0; i < crops.size(0); ++i) {
            const auto box = find_box(crops[i]);
            areas.push_back(box.height * box.width / 65536);
        }
    }
    double mean = 0, square = 0;
    for (const double area : areas) mean += area / 4000, square += area * area / 4000;
    std::sort(areas.begin(), areas.end());
    CHECK(mean == Approx(0.6416).margin(0.008));
    CHECK(std::sqrt(square - mean * mean) == Approx(0.1452).margin(0.006));
    CHECK(areas[400] == Approx(0.4482).margin(0.01));
    CHECK(areas.front() > 0.395);
}

TEST_CASE("after ten boxes outside the image the largest centred one is taken, and counted") {
    const auto crop = make<Augment>("multi-crop", with(plain(16), {{"global_scale", Numbers{0.9, 1}}}));
    const auto wide = find_box(draw(*crop, coordinates(60, 400))["global"]);
    CHECK(wide.height == Approx(60).margin(0.05));
    CHECK(wide.width == Approx(80).margin(0.05));  // 60 * 4/3
    CHECK(wide.left == Approx(160).margin(0.05));
    CHECK(wide.top == Approx(0).margin(0.05));
    const auto tall = find_box(draw(*crop, coordinates(400, 60))["global"]);
    CHECK(tall.height == Approx(80).margin(0.05));  // 60 / (3/4)
    CHECK(tall.width == Approx(60).margin(0.05));
    CHECK(tall.top == Approx(160).margin(0.05));
    CHECK(count(*crop, "centred") == 2);
    CHECK(count(*crop, "centred") == 0);
    draw(*make<Augment>("multi-crop", whole(16)), coordinates(64, 64));
    CHECK(count(*crop, "centred") == 0);
}

TEST_CASE("the key alone decides the crops") {
    const auto crop = make<Augment>("multi-crop");
    const auto image = at::rand({1, 100, 120}, at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{1}));
    const RandomKey key{.seed = 1, .epoch = 2, .sample = 3, .stream = 4};
    const auto first = draw(*crop, image, key);
    CHECK(equal(first, draw(*crop, image, key)));
    for (const RandomKey other : {RandomKey{2, 2, 3, 4}, {1, 3, 3, 4}, {1, 2, 4, 4}, {1, 2, 3, 5}})
        CHECK_FALSE(equal(first, draw(*crop, image, other)));
}

TEST_CASE("order, threads and other images do not matter to the crops") {
    const auto crop =
        make<Augment>("multi-crop", {{"global_size", std::int64_t{64}}, {"local_size", std::int64_t{32}}});
    const std::uint64_t samples = 24;
    std::vector<at::Tensor> images;
    for (std::uint64_t i = 0; i < samples; ++i)  // of many sizes, so that no buffer fits the next one
        images.push_back(
            at::rand({1, 40 + static_cast<std::int64_t>(37 * i % 90), 150 - static_cast<std::int64_t>(i)},
                     at::make_generator<at::CPUGeneratorImpl>(i)));
    std::vector<Tensors> serial(samples), parallel(samples);
    for (std::uint64_t i = 0; i < samples; ++i) serial[i] = draw(*crop, images[i], {.sample = i});
    std::vector<std::thread> workers;
    for (std::uint64_t worker = 0; worker < 4; ++worker)
        workers.emplace_back([&, worker] {
            for (std::uint64_t i = samples; i-- > 0;)
                if (i % 4 == worker) parallel[i] = draw(*crop, images[i], {.sample = i});
        });
    for (auto& worker : workers) worker.join();
    for (std::uint64_t i = 0; i < samples; ++i) CHECK(equal(serial[i], parallel[i]));
}

TEST_CASE("a switch leaves the rest of the crops as it was") {
    const auto image = coordinates(200, 220);
    const Changes base = {{"global_size", std::int64_t{24}}, {"local_size", std::int64_t{16}}};
    const Changes off = with(
        base,
        {{"jitter", Schedule(0)}, {"blur", Numbers{0}}, {"local_blur", Schedule(0)}, {"solarise", Numbers{0}}});
    const auto quiet = draw(*make<Augment>("multi-crop", off), image);
    const auto mirrored = draw(*make<Augment>("multi-crop", with(off, {{"flip", Schedule(1)}})), image);
    const auto straight = draw(*make<Augment>("multi-crop", with(off, {{"flip", Schedule(0)}})), image);
    for (const char* name : {"global", "local"}) {
        CHECK(mirrored[name].equal(straight[name].flip({-1})));  // to the last bit
        for (std::int64_t i = 0; i < quiet[name].size(0); ++i) {
            const auto box = find_box(quiet[name][i]), same = find_box(straight[name][i]);
            CHECK(quiet[name][i].equal(box.flip ? mirrored[name][i] : straight[name][i]));
            CHECK(box.left == Approx(same.left).margin(1e-3));
        }
    }
    CHECK_FALSE(quiet["local"].equal(draw(*make<Augment>("multi-crop", base), image)["local"]));
}

TEST_CASE("probabilities of blur and solarise belong to each large crop, of blur to the small ones") {
    const auto image = at::rand({1, 64, 64}, at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{7}));
    const auto crops = [&](const Changes& changes) {
        return draw(*make<Augment>("multi-crop", with({{"global_size", std::int64_t{32}},
                                                       {"local_size", std::int64_t{16}},
                                                       {"flip", Schedule(0)},
                                                       {"jitter", Schedule(0)},
                                                       {"blur", Numbers{0}},
                                                       {"local_blur", Schedule(0)},
                                                       {"solarise", Numbers{0}},
                                                       {"blur_sigma", Numbers{1, 1}}},
                                                      changes)),
                    image);
    };
    const auto none = crops({});
    const auto changed = [&](const Tensors& found, const char* name) {
        std::vector<bool> out;
        for (std::int64_t i = 0; i < found[name].size(0); ++i)
            out.push_back(!found[name][i].equal(none[name][i]));
        return out;
    };
    const std::vector<bool> nothing(8, false), everything(8, true);
    const auto blurred = crops({{"blur", Numbers{1, 0}}});
    CHECK(changed(blurred, "global") == std::vector<bool>{true, false});
    CHECK(changed(blurred, "local") == nothing);
    const auto solarised = crops({{"solarise", Numbers{0, 1}}});
    CHECK(changed(solarised, "global") == std::vector<bool>{false, true});
    CHECK(changed(solarised, "local") == nothing);
    CHECK(changed(crops({{"blur", Numbers{1}}}), "global") == std::vector<bool>{true, true});
    CHECK(changed(crops({{"local_blur", Schedule(1)}}), "local") == everything);
}

TEST_CASE("multi-crop writes what its ports say") {
    const auto& type = registry().find(Kind::augment, "multi-crop");
    Symbols symbols;
    symbols.bind("B", 5);
    const auto channels = GENERATE(1, 3);
    symbols.bind("C", channels);
    const auto [globals, locals] = GENERATE(table<int, int>({{1, 0}, {1, 8}, {2, 0}, {2, 8}, {3, 1}}));
    const auto changed = options(type, {{"global_crops", std::int64_t{globals}},
                                        {"local_crops", std::int64_t{locals}},
                                        {"global_size", std::int64_t{40}},
                                        {"local_size", std::int64_t{17}}});
    const auto out = draw(*type.create_as<Augment>(changed, symbols), at::rand({channels, 50, 70}));
    const auto ports = type.writes(changed, symbols);
    CHECK(ports.size() == (locals > 0 ? 2 : 1));
    CHECK(out.size() == ports.size());
    for (const auto& port : ports) {
        std::vector<std::int64_t> expected;  // without the batch axis
        for (const auto& dim : port.shape)
            if (!(dim == Dim(5))) expected.push_back(dim.value());
        CHECK(out[port.name].sizes() == at::IntArrayRef(expected));
        CHECK(out[port.name].scalar_type() == at::kFloat);
        CHECK((out[port.name].ge(0) & out[port.name].le(1)).all().item<bool>());
    }
    CHECK(to_string(ports[0].shape) ==
          (globals == 1 ? "5 " : std::to_string(globals) + " 5 ") + std::to_string(channels) + " 40 40");
}

TEST_CASE("multi-crop says which option is wrong") {
    const auto refused = [](const Changes& changes, const std::string& name, const std::string& found) {
        CHECK_THROWS_AS(make<Augment>("multi-crop", changes), RecipeError);
        CHECK_THROWS_WITH(make<Augment>("multi-crop", changes),
                          Catch::Contains(name + ": ") && Catch::Contains(found));
    };
    refused({{"global_scale", Numbers{1, 0.4}}}, "global_scale", "[1, 0.4]");
    refused({{"local_scale", Numbers{0.4, 0.05}}}, "local_scale", "0.4");
    refused({{"ratio", Numbers{1.5, 0.5}}}, "ratio", "1.5");
    refused({{"blur_sigma", Numbers{2, 0.1}}}, "blur_sigma", "0.1");
    refused({{"blur", Numbers{1, 1, 1}}}, "blur", "3 entries with global_crops = 2");
    refused({{"solarise", Numbers{}}}, "solarise", "0 entries");
    refused({{"solarise", Numbers{0.5, 0.5}}, {"global_crops", std::int64_t{3}}}, "solarise", "2 entries");
    refused({{"local_size", std::int64_t{256}}}, "local_size", "256, larger than global_size 224");
    CHECK_NOTHROW(
        make<Augment>("multi-crop", {{"local_size", std::int64_t{256}}, {"local_crops", std::int64_t{0}}}));
    CHECK_NOTHROW(make<Augment>("multi-crop", {{"global_crops", std::int64_t{3}}}));  // defaults go on
    CHECK_NOTHROW(make<Augment>("multi-crop", {{"global_crops", std::int64_t{1}}}));

    const auto& schema = registry().find(Kind::augment, "multi-crop").schema();
    CHECK_FALSE(schema.find("global_scale")->check(Numbers{0.4}).empty());
    CHECK_FALSE(schema.find("global_scale")->check(Numbers{0, 1}).empty());
    CHECK_FALSE(schema.find("local_scale")->check(Numbers{0.1, 1.1}).empty());
    CHECK_FALSE(schema.find("blur")->check(Numbers{1.5}).empty());
    CHECK_FALSE(schema.find("flip")->check(Schedule(-0.1)).empty());
    CHECK_FALSE(schema.find("global_crops")->check(std::int64_t{0}).empty());
    CHECK_FALSE(schema.find("interpolation")->check(std::string("nearest")).empty());
    CHECK(schema.find("saturation") == nullptr);
}
