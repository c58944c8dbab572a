// SLM through the library that the build made: what it draws, where, and that a key alone decides it.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <opencv2/imgproc.hpp>
#include <thread>

#include "chest.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using hearth::test::chest;
using hearth::test::make;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

/// Bright parts of one value, so that eta is 0.8 everywhere.
at::Tensor plateau(std::int64_t height, std::int64_t width) {
    auto image = at::full({1, height, width}, 0.8F);
    image.slice(2, 0, width / 3).fill_(0.2F);
    return image;
}

Tensors draw(const Augment& augment, const at::Tensor& image, const RandomKey& key) {
    Random random(key);
    return augment.sample({{"image", image}}, random);
}

bool equal(const Tensors& a, const Tensors& b) {
    return a["abnormal"].equal(b["abnormal"]) && a["mask"].equal(b["mask"]);
}

cv::Mat support(const at::Tensor& mask) {
    const auto where = (mask[0] > 0).to(at::kByte).contiguous();
    return cv::Mat(static_cast<int>(where.size(0)), static_cast<int>(where.size(1)), CV_8U, where.data_ptr())
        .clone();
}

std::int64_t count(const Augment& augment, const std::string& name) {
    for (const auto& [key, value] : augment.counts())
        if (key == name) return value;
    return -1;
}

/// One oval of the printed formula, of a fixed gamma.
Changes one_region(double smallest, double largest, double gamma = 0.33, double irregularity = 0) {
    return {{"regions", std::vector<std::int64_t>{1, 1}},
            {"size", std::vector<double>{smallest, largest}},
            {"gamma", std::vector<double>{gamma, gamma}},
            {"irregularity", Schedule(irregularity)}};
}

}  // namespace

TEST_CASE("the key alone decides what slm draws") {
    const auto slm = make<Augment>("slm");
    const auto image = chest(224, 224);
    const RandomKey key{.seed = 1, .epoch = 2, .sample = 3, .stream = 4};
    const auto first = draw(*slm, image, key);
    CHECK(equal(first, draw(*slm, image, key)));
    for (const RandomKey other : {RandomKey{2, 2, 3, 4}, {1, 3, 3, 4}, {1, 2, 4, 4}, {1, 2, 3, 5}})
        CHECK_FALSE(equal(first, draw(*slm, image, other)));
    CHECK(Random(key).key().sample == 3);
    CHECK(Random(key).key().epoch == 2);
}

TEST_CASE("order and threads do not matter to slm") {
    const auto slm = make<Augment>("slm", {{"inside", std::string("lungs")}});
    const auto image = chest(224, 200);
    const std::uint64_t samples = 24;
    std::vector<Tensors> serial(samples), parallel(samples);
    for (std::uint64_t i = 0; i < samples; ++i) serial[i] = draw(*slm, image, {.sample = i});
    std::vector<std::thread> workers;
    for (std::uint64_t worker = 0; worker < 4; ++worker)
        workers.emplace_back([&, worker] {
            for (std::uint64_t i = samples; i-- > 0;)
                if (i % 4 == worker) parallel[i] = draw(*slm, image, {.sample = i});
        });
    for (auto& worker : workers) worker.join();
    for (std::uint64_t i = 0; i < samples; ++i) CHECK(equal(serial[i], parallel[i]));
}

TEST_CASE("the mask of slm is positive exactly where the image changed") {
    const auto [height, width] = GENERATE(table<int, int>({{64, 64}, {224, 224}, {512, 512}, {160, 224}}));
    const int channels = GENERATE(1, 3);
    const auto slm = make<Augment>("slm");
    auto image = chest(height, width, channels);
    image.slice(1, 0, height / 8).fill_(0.97F);  // above the clip: nothing can be added
    const auto before = image.clone();
    for (std::uint64_t sample = 0; sample < 10; ++sample) {
        const auto views = draw(*slm, image, {.sample = sample});
        const auto &abnormal = views["abnormal"], &mask = views["mask"];
        CHECK(views["normal"].is_same(image));
        CHECK(image.equal(before));
        CHECK(abnormal.sizes() == image.sizes());
        CHECK(mask.sizes() == at::IntArrayRef({1, height, width}));
        CHECK((mask > 0)[0].equal((abnormal != image).any(0)));
        CHECK(mask.ge(0).all().item<bool>());
        CHECK(abnormal.ge(image).all().item<bool>());
        CHECK((abnormal.le(235.0 / 255.0 + 1e-6) | (abnormal == image)).all().item<bool>());
        CHECK(
            at::allclose(abnormal, at::where(mask > 0, (image + 0.5 * mask).clamp_max(235.0 / 255.0), image)));
    }
}

TEST_CASE("slm without irregularity is eq. 2 and 4 to the letter") {
    const double gamma = 0.33;
    const auto slm = make<Augment>("slm", one_region(16, 64, gamma));
    for (std::uint64_t sample = 0; sample < 10; ++sample) {
        const auto mask = draw(*slm, plateau(224, 300), {.sample = sample})["mask"];
        const cv::Rect patch = cv::boundingRect(support(mask));
        CHECK(std::min(patch.width, patch.height) >= 16);
        CHECK(std::max(patch.width, patch.height) <= 64);
        double worst = 0;
        for (int y = 0; y < patch.height; ++y)
            for (int x = 0; x < patch.width; ++x) {
                const double u = (x + 0.5) / (patch.width / 2.0) - 1, v = (y + 0.5) / (patch.height / 2.0) - 1;
                const double expected = 0.8 * std::exp(-(u * u + v * v) / gamma);
                const double found = mask[0][patch.y + y][patch.x + x].item<double>();
                if (std::abs(expected - 1 / 255.0) > 1e-6)
                    worst = std::max(worst, std::abs(found - (expected < 1 / 255.0 ? 0 : expected)));
            }
        CHECK(worst < 1e-6);
        CHECK(mask[0].sum().item<double>() > 0);
    }
}

TEST_CASE("eq. 3 in pixels is round whatever the region's shape") {
    auto changes = one_region(60, 60, 100);
    changes.emplace_back("rho", std::string("pixels"));
    const auto mask = draw(*make<Augment>("slm", changes), plateau(224, 224), {})["mask"];
    CHECK(mask.max().item<double>() == Approx(0.8 * std::exp(-0.5 / 100)));  // half a pixel off in x and y
    CHECK_THROWS_WITH(make<Augment>("slm", {{"rho", std::string("pixels")}}), Catch::Contains("gamma"));
}

TEST_CASE("overlapping regions of slm add up without wrapping around") {
    auto changes = one_region(224, 224, 0.3);
    const auto image = plateau(224, 224);
    const auto one = draw(*make<Augment>("slm", changes), image, {})["mask"];
    changes[0].second = std::vector<std::int64_t>{3, 3};
    const auto three = draw(*make<Augment>("slm", changes), image, {});
    CHECK(at::allclose(three["mask"], 3 * one));
    CHECK(three["mask"].max().item<double>() > 2.3);
    CHECK(three["abnormal"].max().item<double>() == Approx(235.0 / 255.0));
}

TEST_CASE("slm fades below 5 % at the border, and irregularity never leaves the oval") {
    const auto schema = test::registry().find(Kind::augment, "slm").schema();
    CHECK(std::exp(-1 / std::get<std::vector<double>>(schema.find("gamma")->fallback)[1]) < 0.05);
    const auto regular = make<Augment>("slm", one_region(16, 64));
    const auto irregular = make<Augment>("slm", one_region(16, 64, 0.33, 0.5));
    for (std::uint64_t sample = 0; sample < 10; ++sample) {
        const auto oval = draw(*regular, plateau(224, 224), {.sample = sample})["mask"];
        const auto other = draw(*irregular, plateau(224, 224), {.sample = sample})["mask"];
        CHECK((other <= oval + 1e-6).all().item<bool>());
        CHECK_FALSE(other.equal(oval));
        CHECK(other.max().item<double>() == Approx(0.8).margin(0.05));
    }
}

TEST_CASE("regions of slm are as many and as large as asked") {
    const auto three = make<Augment>(
        "slm", {{"regions", std::vector<std::int64_t>{1, 3}}, {"size", std::vector<double>{8, 8}}});
    const auto single = make<Augment>("slm", one_region(16, 64));
    int most = 0, fewest = 9, widest = 0, narrowest = 224;
    for (std::uint64_t sample = 0; sample < 60; ++sample) {
        cv::Mat labels;
        const auto mask = draw(*three, plateau(224, 224), {.sample = sample})["mask"];
        const int regions = cv::connectedComponents(support(mask), labels) - 1;
        most = std::max(most, regions), fewest = std::min(fewest, regions);
        const cv::Rect box =
            cv::boundingRect(support(draw(*single, plateau(448, 448), {.sample = sample})["mask"]));
        widest = std::max(widest, box.width), narrowest = std::min(narrowest, box.width);
    }
    CHECK(most == 3);
    CHECK(fewest == 1);
    CHECK(narrowest >= 32);  // twice 224
    CHECK(narrowest < 44);
    CHECK(widest <= 128);
    CHECK(widest > 116);
}

TEST_CASE("an image without bright region gets a blob, counted") {
    const auto slm = make<Augment>("slm");
    for (const float value : {0.0F, 0.4F, 1.0F}) {
        const auto views = draw(*slm, at::full({1, 224, 224}, value), {});
        CHECK(views["mask"].any().item<bool>() == (value < 0.9F));  // white cannot get brighter
        CHECK(views["abnormal"].le(1).all().item<bool>());
    }
    CHECK(count(*slm, "without_texture") == 3);
    CHECK(count(*slm, "without_texture") == 0);
    auto marked = at::zeros({1, 224, 224});
    marked.slice(1, 10, 20).slice(2, 10, 20).fill_(1);  // a letter is no texture
    draw(*slm, marked, {});
    CHECK(count(*slm, "without_texture") == 1);
}

TEST_CASE("slm survives images it should not see") {
    const auto slm = make<Augment>("slm", {{"inside", std::string("body")}});
    auto broken = chest(64, 64);
    broken[0][5].fill_(std::numeric_limits<float>::quiet_NaN());
    broken[0][6].fill_(7.0F);
    broken[0][7].fill_(-std::numeric_limits<float>::infinity());
    const auto abnormal = draw(*slm, broken, {})["abnormal"];
    CHECK((abnormal.ge(0) & abnormal.le(1)).all().item<bool>());
    for (const auto& [height, width] : {std::pair{1, 1}, {2, 9}, {8, 8}, {20, 300}}) {
        const auto views = draw(*slm, chest(height, width), {});
        CHECK(views["mask"].sizes() == at::IntArrayRef({1, height, width}));
    }
    const auto huge = make<Augment>("slm", one_region(224, 224));
    CHECK(draw(*huge, chest(64, 40), {})["mask"].any().item<bool>());
}

TEST_CASE("a bank of nine masks comes round at the tenth visit") {
    const auto slm = make<Augment>("slm", {{"bank", std::int64_t{9}}});
    const auto image = chest(224, 224);
    const auto visit = [&](std::uint64_t epoch) { return draw(*slm, image, {.epoch = epoch, .sample = 5}); };
    CHECK(equal(visit(0), visit(9)));
    CHECK(equal(visit(4), visit(31)));
    CHECK_FALSE(equal(visit(0), visit(1)));
    CHECK(equal(visit(3), draw(*make<Augment>("slm"), image, {.epoch = 3, .sample = 5})));
}

TEST_CASE("slm puts centres of regions where it is told") {
    const auto image = chest(224, 224);
    auto changes = one_region(16, 40);
    changes.emplace_back("inside", std::string());
    const auto check = [&](const std::string& inside, const at::Tensor& allowed) {
        changes.back().second = inside;
        const auto slm = make<Augment>("slm", changes);
        const auto near = at::max_pool2d(allowed.to(at::kFloat).unsqueeze(0), 5, 1, 2)[0][0];
        for (std::uint64_t sample = 0; sample < 40; ++sample) {
            const auto box = cv::boundingRect(support(draw(*slm, image, {.sample = sample})["mask"]));
            CHECK(near[box.y + box.height / 2][box.x + box.width / 2].item<float>() == 1);
        }
        CHECK(count(*slm, "misplaced") == 0);
    };
    check("lungs", (image > 0.15) & (image < 0.35));
    check("body", image > 0.15);
    changes.back().second = std::string("lungs");
    const auto nowhere = make<Augment>("slm", changes);
    CHECK(draw(*nowhere, plateau(224, 224), {})["mask"].any().item<bool>());
    CHECK(count(*nowhere, "misplaced") == 1);
}

TEST_CASE("slm darkens bright pixels only when told") {
    const auto image = at::cat({at::full({1, 100, 100}, 0.99F), at::full({1, 100, 100}, 0.3F)}, 2);
    const auto views = draw(*make<Augment>("slm", {{"clip_everywhere", true}}), image, {});
    CHECK(views["abnormal"].max().item<double>() == Approx(235.0 / 255.0));
    CHECK(draw(*make<Augment>("slm"), image, {})["abnormal"].max().item<float>() == 0.99F);
}

TEST_CASE("slm refuses options out of range") {
    const auto& schema = test::registry().find(Kind::augment, "slm").schema();
    CHECK_FALSE(schema.find("regions")->check(std::vector<std::int64_t>{0, 4}).empty());
    CHECK_FALSE(schema.find("regions")->check(std::vector<std::int64_t>{4}).empty());
    CHECK_FALSE(schema.find("irregularity")->check(Schedule(0.6)).empty());
    CHECK_FALSE(schema.find("inside")->check(std::string("heart")).empty());
    CHECK_FALSE(schema.find("gamma")->check(std::vector<double>{0, 1}).empty());
    CHECK(schema.find("size")->check(std::vector<double>{16, 64}).empty());
    CHECK_THROWS_WITH(make<Augment>("slm", {{"regions", std::vector<std::int64_t>{4, 1}}}),
                      Catch::Contains("regions"));
}
