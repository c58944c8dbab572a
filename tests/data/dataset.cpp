// Phantoms and files behind one interface.
#include "data/dataset.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <set>

#include "data/repeated.hpp"
#include "data/subset.hpp"
#include "images/phantom/phantom.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::data;
using namespace hearth::images;
using Catch::Matchers::Contains;
using test::TemporaryFolder;

namespace {

DatasetRequest phantoms(std::int64_t count, const std::string& where = "") {
    DatasetRequest request;
    request.source = "phantom";
    request.where = where;
    request.size = 48;
    request.phantom_count = count;
    request.phantom_seed = 5;
    request.phantom_lesions = 0.5;
    return request;
}

DatasetRequest files(const std::string& source, const std::string& where = "") {
    DatasetRequest request;
    request.source = source;
    request.where = where;
    request.size = 48;
    return request;
}

}  // namespace

TEST_CASE("phantoms drawn on demand and phantoms written to files are the same films") {
    const TemporaryFolder folder;
    const auto manifest = write_phantoms(folder.path(), 20, {.size = 48, .seed = 5, .lesion_share = 0.5});
    const auto drawn = open_dataset(phantoms(20)), read = open_dataset(files(manifest.file));
    REQUIRE(drawn->size() == 20);
    REQUIRE(read->size() == 20);
    for (std::int64_t i = 0; i < 20; ++i) {
        INFO(i);
        for (const std::string column : {"patient", "label", "abnormal", "split"}) {
            REQUIRE(drawn->cell(i, column));
            CHECK(drawn->cell(i, column) == read->cell(i, column));
        }
        const cv::Mat difference = cv::abs(drawn->load(i) - read->load(i));
        CHECK(*std::max_element(difference.begin<float>(), difference.end<float>()) <= 0.5f / 255 + 1e-6f);
    }
}

TEST_CASE("every column of drawn phantoms is a column of written ones") {
    const TemporaryFolder folder;
    const auto manifest = write_phantoms(folder.path(), 2, {.size = 48});
    const auto drawn = open_dataset(phantoms(2)), read = open_dataset(files(manifest.file));
    for (const std::string column : {"path", "patient", "label", "abnormal", "split"}) {
        INFO(column);
        CHECK(drawn->cell(0, column).has_value());
        CHECK(read->cell(0, column).has_value());
    }
    CHECK_FALSE(drawn->cell(0, "age").has_value());
    CHECK_FALSE(read->cell(0, "age").has_value());
}

TEST_CASE("phantoms split seven, one and two of ten, by subject") {
    const auto all = open_dataset(phantoms(50));
    std::map<std::string, int> counts;
    std::set<std::string> patients;
    for (std::int64_t i = 0; i < all->size(); ++i) {
        ++counts[*all->cell(i, "split")];
        patients.insert(*all->cell(i, "patient"));
    }
    CHECK(counts == std::map<std::string, int>{{"train", 35}, {"val", 5}, {"test", 10}});
    CHECK(patients.size() == 50);
}

TEST_CASE("a filter chooses phantoms and leaves each as it was") {
    const auto all = open_dataset(phantoms(20));
    const auto ill = open_dataset(phantoms(20, "abnormal == 1"));
    REQUIRE(ill->size() > 0);
    REQUIRE(ill->size() < 20);
    std::int64_t at = 0;
    for (std::int64_t i = 0; i < all->size(); ++i) {
        if (all->cell(i, "abnormal") != "1") continue;
        CHECK(ill->name(at) == all->name(i));
        CHECK(cv::countNonZero(ill->load(at) != all->load(i)) == 0);
        ++at;
    }
    CHECK(at == ill->size());
}

TEST_CASE("another seed draws other chests") {
    auto other = phantoms(1);
    other.phantom_seed = 6;
    CHECK(cv::countNonZero(open_dataset(phantoms(1))->load(0) != open_dataset(other)->load(0)) > 0);
}

TEST_CASE("images come as squares of the asked size, stretched or between black bars") {
    const TemporaryFolder folder;
    save_png(folder / "wide.png", cv::Mat(20, 60, CV_32F, cv::Scalar(0.8)));
    auto request = files(folder.path().string());
    const cv::Mat stretched = open_dataset(request)->load(0);
    request.fit = "pad";
    const cv::Mat padded = open_dataset(request)->load(0);
    CHECK(stretched.size() == cv::Size(48, 48));
    CHECK(padded.size() == cv::Size(48, 48));
    CHECK(stretched.at<float>(0, 24) == Approx(0.8).margin(0.01));
    CHECK(padded.at<float>(0, 24) == 0);
    CHECK(padded.at<float>(24, 24) == Approx(0.8).margin(0.01));
}

TEST_CASE("a mask of another shape than its image is an error that names the image") {
    const TemporaryFolder folder;
    save_png(folder / "film.png", cv::Mat(20, 60, CV_32F, cv::Scalar(0.8)));
    save_png(folder / "half.png", cv::Mat(10, 30, CV_32F, cv::Scalar(1)));
    save_png(folder / "square.png", cv::Mat(20, 20, CV_32F, cv::Scalar(1)));
    folder.write("m.csv", "path,mask\nfilm.png,half.png\nfilm.png,square.png\nfilm.png,none\n");
    const auto set = open_dataset(files((folder / "m.csv").string()));
    CHECK(cv::countNonZero(*set->mask(0, "mask")) == 48 * 48);
    CHECK_THROWS_WITH(set->mask(1, "mask"), Contains("film.png: a mask of 20 x 20 for an image of 60 x 20") &&
                                                Contains("hearth data check"));
    CHECK(cv::countNonZero(*set->mask(2, "mask")) == 0);
}

TEST_CASE("files of masks are looked for without opening one") {
    const TemporaryFolder folder;
    save_png(folder / "film.png", cv::Mat(20, 20, CV_32F, cv::Scalar(0.8)));
    folder.write("there.png", "no image, which is not asked here");
    folder.write("m.csv",
                 "path,mask,where\nfilm.png,there.png,left\nfilm.png,gone.png,right\nfilm.png,none,left\n"
                 "film.png,,left\nfilm.png,rle:relative:20x20:0 4,\n");
    const auto set = open_dataset(files((folder / "m.csv").string()));
    const auto missing = missing_masks(*set, "mask", "a.toml:3: mask");
    CHECK(missing.count == 1);
    CHECK(missing.of == 4);
    CHECK_FALSE(missing.most());
    CHECK_THAT(missing.text("mask"), Contains("found no file for 1 of 4 masks of column 'mask', such as ") &&
                                         Contains("gone.png of ") && Contains("film.png"));
    const auto words = missing_masks(*part_of(set, {1, 2, 3}), "where", "");
    CHECK((words.count == 3 && words.of == 3 && words.most()));
    CHECK_THROWS_WITH(missing_masks(*set, "maks", "a.toml:3: mask"),
                      Contains("a.toml:3: mask: found no column 'maks'") && Contains("did you mean 'mask'?"));
    CHECK(missing_masks(*open_dataset(phantoms(3)), "mask", "").count == 0);
}

TEST_CASE("what of a folder is no image is noted") {
    const TemporaryFolder folder;
    save_png(folder / "a.png", cv::Mat(16, 16, CV_32F, cv::Scalar(0.5)));
    CHECK(open_dataset(files(folder.path().string()))->note().empty());
    folder.write("b.npy", "x");
    CHECK_THAT(open_dataset(files(folder.path().string()))->note(), Contains("1 of 2 files are no images"));
}

TEST_CASE("a folder has paths and no labels") {
    const TemporaryFolder folder;
    save_png(folder / "a.png", cv::Mat(16, 16, CV_32F, cv::Scalar(0.5)));
    const auto set = open_dataset(files(folder.path().string()));
    CHECK(set->name(0) == (folder / "a.png").string());
    CHECK_FALSE(set->cell(0, "label"));
}

TEST_CASE("images that a table lists more than once are counted, with the first of them") {
    const TemporaryFolder folder;
    const auto note = [&](const std::string& rows) {
        return repeated_images(*open_dataset(files(folder.write("m.csv", "path,label\n" + rows).string())));
    };
    const std::string found = note("a.png,x\nb.png,x\n./b.png,y\nb.png,x\n").value();
    CHECK_THAT(found, Contains("2 of 4 rows name an image that an earlier row names, such as " +
                               (folder / "b.png").string()));
    CHECK_FALSE(note("a.png,x\nb.png,x\n"));
    CHECK_FALSE(repeated_images(*open_dataset(phantoms(20))));
}

TEST_CASE("a data set without images is a data error that repeats the filter") {
    CHECK_THROWS_AS(open_dataset(phantoms(20, "label == \"rib\"")), DataError);
    CHECK_THROWS_WITH(open_dataset(phantoms(20, "label == \"rib\"")),
                      Contains("phantom: found no image with label == \"rib\""));
    CHECK_THROWS_AS(open_dataset(files("/nowhere/at/all")), DataError);
}

TEST_CASE("a filter on a column that is not there is a mistake in the recipe") {
    CHECK_THROWS_AS(open_dataset(phantoms(5, "lable == \"normal\"")), RecipeError);
    CHECK_THROWS_WITH(open_dataset(phantoms(5, "lable == \"normal\"")), Contains("did you mean 'label'?"));
}
