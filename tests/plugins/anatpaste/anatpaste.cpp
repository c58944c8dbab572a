// AnatPaste: the lungs it finds, where and what it pastes, and that a key alone decides it.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <opencv2/imgproc.hpp>

#include "augment/anatpaste/lungs.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using hearth::test::make;

namespace {

/// Two dark ellipses in a bright body on black.
struct Chest {
    cv::Mat film, lungs;  // 8 bit
};

Chest chest(int height, int width) {
    Chest chest{cv::Mat::zeros(height, width, CV_8U), cv::Mat::zeros(height, width, CV_8U)};
    const auto at = [&](double x, double y) { return cv::Point2f(cv::Point2d(x * width, y * height)); };
    const auto oval = [&](cv::Mat& mat, double x, double y, double w, double h, double value) {
        cv::ellipse(mat, cv::RotatedRect(at(x, y), cv::Size2f(at(w, h)), 0), cv::Scalar(value), cv::FILLED);
    };
    oval(chest.film, 0.5, 0.5, 0.9, 0.92, 180);
    for (const double x : {0.32, 0.68}) {
        oval(chest.film, x, 0.48, 0.24, 0.5, 60);
        oval(chest.lungs, x, 0.48, 0.24, 0.5, 255);
    }
    cv::Mat noise(height, width, CV_8U);
    cv::RNG(7).fill(noise, cv::RNG::UNIFORM, 0, 12);
    chest.film += noise;
    return chest;
}

at::Tensor tensor(const cv::Mat& film, std::int64_t channels = 1) {
    return (at::from_blob(film.data, {1, film.rows, film.cols}, at::kByte).to(at::kFloat) / 255)
        .expand({channels, film.rows, film.cols})
        .contiguous();
}

Tensors draw(const Augment& augment, const at::Tensor& image, std::uint64_t sample) {
    Random random({.seed = 1, .epoch = 0, .sample = sample, .stream = 0});
    return augment.sample({{"image", image}}, random);
}

std::int64_t without_lungs(const Augment& augment) {
    return augment.counts().at(0).second;
}

}  // namespace

TEST_CASE("the lungs of a drawn chest are found, and not the background") {
    const auto [height, width] = GENERATE(table<int, int>({{256, 256}, {128, 128}, {512, 400}}));
    const auto [film, truth] = chest(height, width);
    const auto found = anatpaste::segment_lungs(film, 400);
    const double both = cv::countNonZero(found & truth), either = cv::countNonZero(found | truth);
    CHECK(both / either > 0.8);
    CHECK(found.at<uchar>(0, 0) == 0);
}

TEST_CASE("small dark spots and films of one value have no lungs") {
    cv::Mat spots(256, 256, CV_8U, cv::Scalar(180));
    cv::circle(spots, {80, 80}, 8, cv::Scalar(20), cv::FILLED);  // about 200 pixels
    CHECK(cv::countNonZero(anatpaste::segment_lungs(spots, 400)) == 0);
    CHECK(cv::countNonZero(anatpaste::segment_lungs(spots, 100)) > 0);
    CHECK(cv::countNonZero(anatpaste::segment_lungs(cv::Mat(64, 64, CV_8U, cv::Scalar(9)), 400)) == 0);
}

TEST_CASE("anatpaste changes pixels of the lungs alone, and lets the film show through") {
    const auto channels = GENERATE(1, 3);
    const auto plugin = make<Augment>("anatpaste");
    const auto drawn = chest(224, 200);
    const auto image = tensor(drawn.film, channels), before = image.clone();
    const auto lungs = tensor(anatpaste::segment_lungs(drawn.film, 400)) > 0;
    int changed = 0;
    for (std::uint64_t sample = 0; sample < 20; ++sample) {
        CAPTURE(sample);
        const auto views = draw(*plugin, image, sample);
        const auto &abnormal = views["abnormal"], &mask = views["mask"];
        CHECK(views["normal"].is_same(image));
        CHECK(image.equal(before));
        CHECK(mask.sizes() == at::IntArrayRef({1, 224, 200}));
        CHECK((mask > 0).logical_and(lungs.logical_not()).sum().item<std::int64_t>() == 0);
        CHECK(mask.max().item<double>() <= 254.0 / 255 + 1e-6);
        CHECK(at::where(mask > 0, 0, abnormal - image).abs().max().item<double>() == 0);
        CHECK(abnormal.ge(0).all().item<bool>());
        CHECK(abnormal.le(1).all().item<bool>());
        changed += (abnormal != image).any().item<bool>();
    }
    CHECK(changed == 20);
    CHECK(without_lungs(*plugin) == 0);
}

TEST_CASE("what anatpaste pastes is the film's own, within the jitter") {
    const auto exact =
        make<Augment>("anatpaste", {{"jitter", Schedule(0.0)}, {"inside", std::string("anywhere")}});
    const auto flat = at::full({1, 96, 96}, 0.4F);
    for (std::uint64_t sample = 0; sample < 5; ++sample)
        CHECK(at::allclose(draw(*exact, flat, sample)["abnormal"], flat, 0, 1e-6));
    const auto jittered = make<Augment>("anatpaste", {{"inside", std::string("anywhere")}});
    for (std::uint64_t sample = 0; sample < 5; ++sample)
        CHECK((draw(*jittered, flat, sample)["abnormal"] - flat).abs().max().item<double>() <= 0.04 + 1e-6);
}

TEST_CASE("a film without lungs is pasted anywhere and counted") {
    const auto plugin = make<Augment>("anatpaste");
    for (const auto& image : {at::zeros({1, 64, 64}), at::full({1, 20, 20}, 0.7F),
                              at::full({1, 64, 64}, std::numeric_limits<float>::quiet_NaN())}) {
        const auto views = draw(*plugin, image, 3);
        CHECK(views["abnormal"].isfinite().all().item<bool>());
        CHECK(views["mask"].max().item<double>() > 0);
    }
    CHECK(without_lungs(*plugin) == 3);
    CHECK(without_lungs(*plugin) == 0);
}

TEST_CASE("patches narrower than their margins keep a shape") {
    const auto plugin = make<Augment>("anatpaste", {{"area", std::vector<double>{1e-4, 1e-3}},
                                                    {"inside", std::string("anywhere")},
                                                    {"blur", Schedule(0.0)}});
    const auto image = at::rand({1, 128, 128});
    for (std::uint64_t sample = 0; sample < 50; ++sample) {
        const auto mask = draw(*plugin, image, sample)["mask"];
        CHECK(mask.max().item<double>() >= 150.0 / 255 - 1e-6);
    }
}

TEST_CASE("the key alone decides what anatpaste draws") {
    const auto plugin = make<Augment>("anatpaste");
    const auto image = tensor(chest(128, 128).film);
    CHECK(draw(*plugin, image, 1)["abnormal"].equal(draw(*plugin, image, 1)["abnormal"]));
    CHECK_FALSE(draw(*plugin, image, 1)["abnormal"].equal(draw(*plugin, image, 2)["abnormal"]));
}

TEST_CASE("as versions anatpaste writes the same two films, and their classes") {
    const auto pair = make<Augment>("anatpaste");
    const auto grouped = make<Augment>("anatpaste", {{"write", std::string("versions")}});
    const auto image = tensor(chest(128, 128).film);
    const auto expected = draw(*pair, image, 1), views = draw(*grouped, image, 1);
    CHECK(views["versions"].equal(at::stack({image, expected["abnormal"]})));
    CHECK(views["version"].equal(at::tensor({0, 1}, at::kLong)));
    CHECK(views["mask"].equal(expected["mask"]));
    CHECK_FALSE(views.has("normal"));
    const auto& type = test::registry().find(Kind::augment, "anatpaste");
    const auto ports = type.writes(test::options(type, {{"write", std::string("versions")}}), {});
    CHECK(to_string(ports.at(0).shape) == "2 B C H W");
    CHECK(to_string(ports.at(1).shape) == "2 B");
    CHECK(ports.at(1).dtype == "int64");
}

TEST_CASE("film_jitter changes both films alike, and nothing outside the patch besides") {
    const auto plugin = make<Augment>("anatpaste", {{"film_jitter", Schedule(0.1)}});
    const auto image = tensor(chest(128, 128).film);
    const auto views = draw(*plugin, image, 1);
    CHECK_FALSE(views["normal"].equal(image));
    CHECK((views["normal"] - image).abs().max().item<double>() < 0.2);
    CHECK(at::where(views["mask"] > 0, 0, views["abnormal"] - views["normal"]).abs().max().item<double>() == 0);
}

TEST_CASE("anatpaste refuses ranges that are exchanged") {
    CHECK_THROWS_AS(make<Augment>("anatpaste", {{"area", std::vector<double>{0.2, 0.1}}}), RecipeError);
    CHECK_THROWS_AS(make<Augment>("anatpaste", {{"alpha", std::vector<std::int64_t>{254, 150}}}), RecipeError);
}
