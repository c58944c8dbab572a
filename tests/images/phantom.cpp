#include "images/phantom/phantom.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <hearth/error.hpp>
#include <map>
#include <opencv2/imgproc.hpp>
#include <set>

#include "base/splitmix.hpp"
#include "images/image.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::images;
using Catch::Matchers::Contains;
using test::message_of;
using test::TemporaryFolder;

namespace {

double largest(const cv::Mat& a, const cv::Mat& b) {
    return cv::norm(a, b, cv::NORM_INF);
}
double rms(const cv::Mat& a, const cv::Mat& b) {
    return cv::norm(a, b, cv::NORM_L2) / std::sqrt(static_cast<double>(a.total()));
}

}  // namespace

TEST_CASE("the random stream is fixed") {
    CHECK(base::SplitMix(0).bits() == 0xE220A8397B1DCDAFULL);  // the first output of SplitMix64 with seed 0
    base::SplitMix a(1, 2, 3), b(1, 2, 3), c(1, 3, 2);
    const auto first = a.bits();
    CHECK(first == b.bits());
    CHECK(first != c.bits());
}

TEST_CASE("quick normals have mean 0 and variance 1") {
    base::SplitMix random(5);
    double sum = 0, squares = 0;
    constexpr int count = 200'000;
    for (int i = 0; i < count; ++i) {
        const double x = static_cast<double>(random.quick_normal());
        sum += x;
        squares += x * x;
    }
    CHECK(std::abs(sum / count) < 0.01);
    CHECK(squares / count == Approx(1).margin(0.02));
}

TEST_CASE("a phantom is a function of seed, subject and lesion") {
    const Phantom first = draw_phantom(3, 8, Lesion::nodule, 96),
                  again = draw_phantom(3, 8, Lesion::nodule, 96);
    CHECK(largest(first.image, again.image) == 0);
    CHECK(largest(first.mask, again.mask) == 0);
    CHECK(first.location == again.location);
    CHECK(rms(first.image, draw_phantom(3, 9, Lesion::nodule, 96).image) > 0.02);
    CHECK(rms(first.image, draw_phantom(4, 8, Lesion::nodule, 96).image) > 0.02);
}

TEST_CASE("images are floats in [0, 1] with contrast, and a normal one has an empty mask") {
    for (std::uint64_t subject = 0; subject < 20; ++subject) {
        const Phantom phantom = draw_phantom(1, subject, Lesion::none, 64);
        REQUIRE(phantom.image.type() == CV_32FC1);
        REQUIRE(phantom.image.size() == cv::Size(64, 64));
        double low = 0, high = 0;
        cv::minMaxLoc(phantom.image, &low, &high);
        CHECK(low >= 0);
        CHECK(high <= 1);
        CHECK(high - low > 0.4);
        CHECK(cv::countNonZero(phantom.mask) == 0);
        CHECK(phantom.box.empty());
        CHECK(phantom.location.empty());
    }
}

TEST_CASE("a lesion changes the film within and near its mask, and nowhere else") {
    for (const Lesion lesion : lesions) {
        for (std::uint64_t subject = 0; subject < 12; ++subject) {
            CAPTURE(to_string(lesion), subject);
            const Phantom ill = draw_phantom(2, subject, lesion, 160);
            const Phantom well = draw_phantom(2, subject, Lesion::none, 160);
            REQUIRE(cv::countNonZero(ill.mask) > 8);
            CHECK(cv::countNonZero(ill.mask) < 160 * 160 / 6);
            CHECK(cv::countNonZero(ill.mask(ill.box)) == cv::countNonZero(ill.mask));
            CHECK_FALSE(ill.location.empty());

            cv::Mat mask, near;
            ill.mask.convertTo(mask, CV_8U);
            cv::dilate(mask, near, cv::Mat::ones(25, 25, CV_8U));
            const cv::Mat change = cv::abs(ill.image - well.image);
            CHECK(cv::mean(change, mask)[0] > 0.01);
            double outside = 0;
            cv::minMaxLoc(change, nullptr, &outside, nullptr, nullptr, near == 0);
            CHECK(outside < 0.02);
        }
    }
}

TEST_CASE("even the smallest image shows where its lesion is") {
    for (const Lesion lesion : lesions) {
        for (std::uint64_t subject = 0; subject < 20; ++subject) {
            CAPTURE(to_string(lesion), subject);
            CHECK(cv::countNonZero(draw_phantom(2, subject, lesion, 16).mask) > 0);
        }
    }
}

TEST_CASE("the right side of the patient is the left of the image") {
    int seen = 0;
    for (std::uint64_t subject = 0; subject < 20; ++subject) {
        const Phantom phantom = draw_phantom(6, subject, Lesion::effusion, 96);
        const int middle = phantom.box.x + phantom.box.width / 2;
        CHECK((phantom.location.rfind("right", 0) == 0) == (middle < 48));
        seen |= middle < 48 ? 1 : 2;
    }
    CHECK(seen == 3);
}

TEST_CASE("the same subject shows the same anatomy at every size") {
    for (const Lesion lesion : {Lesion::none, Lesion::consolidation, Lesion::pneumothorax}) {
        const Phantom small = draw_phantom(2, 5, lesion, 128), large = draw_phantom(2, 5, lesion, 384);
        cv::Mat shrunk, mask;
        cv::resize(large.image, shrunk, {128, 128}, 0, 0, cv::INTER_AREA);
        cv::resize(large.mask, mask, {128, 128}, 0, 0, cv::INTER_AREA);
        const double to_other = rms(small.image, draw_phantom(2, 6, lesion, 128).image);
        CHECK(rms(small.image, shrunk) < 0.2 * to_other);
        cv::Mat of_large = mask > 0.5, of_small = small.mask > 0.5, around_large, around_small;
        cv::dilate(of_large, around_large, cv::Mat());
        cv::dilate(of_small, around_small, cv::Mat());
        CHECK(cv::countNonZero(of_small & ~around_large) == 0);
        CHECK(cv::countNonZero(of_large & ~around_small) == 0);
        CHECK(small.location == large.location);
    }
}

TEST_CASE("lesion names go both ways") {
    CHECK(lesion_from("normal") == Lesion::none);
    for (const Lesion lesion : lesions) CHECK(lesion_from(to_string(lesion)) == lesion);
    CHECK_THAT(message_of<RecipeError>([] { lesion_from("nodul"); }), Contains("did you mean 'nodule'?"));
}

TEST_CASE("sizes, counts and shares out of range are refused") {
    CHECK_THROWS_AS(draw_phantom(0, 0, Lesion::none, 15), RecipeError);
    CHECK_THROWS_AS(draw_phantom(0, 0, Lesion::none, 5000), RecipeError);
    const TemporaryFolder folder;
    PhantomOptions options;
    CHECK_THROWS_AS(write_phantoms(folder / "x", 0, options), RecipeError);
    options.lesion_share = 1.5;
    CHECK_THROWS_AS(write_phantoms(folder / "x", 1, options), RecipeError);
    CHECK_THROWS_AS(write_phantoms(folder.write("file", "") / "x", 1), DataError);
}

TEST_CASE("a written set reads back as a manifest whose images are the phantoms") {
    const TemporaryFolder folder;
    PhantomOptions options;
    options.size = 48;
    options.seed = 11;
    const Manifest manifest = write_phantoms(folder / "set", 40, options);
    REQUIRE(manifest.rows.size() == 40);
    CHECK(manifest.columns ==
          std::vector<std::string>{"path", "patient", "label", "abnormal", "mask", "location", "split"});

    std::map<std::string, int> splits;
    std::set<std::string> patients;
    int abnormal = 0;
    for (std::size_t i = 0; i < manifest.rows.size(); ++i) {
        const Row& row = manifest.rows[i];
        const Lesion lesion = lesion_from(row.cells[2]);
        CHECK(lesion == lesion_of(i, options));
        CHECK(row.cells[3] == (lesion == Lesion::none ? "0" : "1"));
        const Phantom phantom = draw_phantom(11, i, lesion, 48);
        CHECK(largest(load_grey(row.path, {48, Aspect::stretch, 10'000}), phantom.image) < 0.5 / 255 + 1e-6);
        CHECK((row.cells[4] == "none") == (lesion == Lesion::none));
        if (lesion != Lesion::none) {
            CHECK(largest(load_grey(folder / "set" / row.cells[4], {48, Aspect::stretch, 10'000}),
                          phantom.mask) == 0);
        }
        CHECK(row.cells[5] == phantom.location);
        abnormal += lesion != Lesion::none;
        ++splits[row.split];
        patients.insert(row.patient);
    }
    CHECK(splits == std::map<std::string, int>{{"test", 8}, {"train", 28}, {"val", 4}});
    CHECK(patients.size() == 40);
    CHECK(abnormal > 8);
    CHECK(abnormal < 32);
}

TEST_CASE("the files do not depend on the number of workers, and a longer set begins with the shorter") {
    const TemporaryFolder folder;
    PhantomOptions options;
    options.size = 32;
    options.workers = 1;
    write_phantoms(folder / "one", 12, options);
    options.workers = 4;
    write_phantoms(folder / "four", 15, options);
    const std::string one = folder.read("one/manifest.csv"), four = folder.read("four/manifest.csv");
    CHECK(four.substr(0, one.size()) == one);
    CHECK(folder.read("one/images/00007.png") == folder.read("four/images/00007.png"));
    CHECK_FALSE(folder.read("one/images/00007.png").empty());
}

TEST_CASE("the lesion share is kept") {
    PhantomOptions options;
    for (const double share : {0.0, 0.2, 1.0}) {
        options.lesion_share = share;
        int abnormal = 0;
        for (std::uint64_t subject = 0; subject < 2000; ++subject)
            abnormal += lesion_of(subject, options) != Lesion::none;
        CHECK(abnormal / 2000.0 == Approx(share).margin(0.03));
    }
}
