// The loader sets bad images aside.
#include <catch2/catch.hpp>

#include "data/numbers.hpp"
#include "support/temporary_folder.hpp"

namespace data_bad_images {

using namespace hearth;
using namespace hearth::data;
using namespace hearth::images;
using namespace hearth::test;
using Catch::Matchers::Contains;

TEST_CASE("a bad image is set aside once, with its reason, and replaced the same way in every run") {
    const auto run = [](std::int64_t workers, std::vector<Quarantined>& bad) {
        Loader loader(numbers(20, {3, 11}), {.batch = 4, .workers = workers, .max_bad = 0.1}, add_noise,
                      image_and_noise);
        auto batches = epoch_of(loader, 0);
        for (auto& batch : epoch_of(loader, 1)) batches.push_back(batch);
        bad = loader.quarantine();
        return batches;
    };
    std::vector<Quarantined> bad, bad_of_four;
    const auto batches = run(1, bad);
    CHECK(batches.size() == 10);
    CHECK(same(run(4, bad_of_four), batches));
    REQUIRE(bad.size() == 2);
    CHECK(bad_of_four.size() == 2);
    CHECK(bad[0].index == 3);
    CHECK(bad[0].name == "image3");
    CHECK_THAT(bad[0].reason, Contains("image3") && Contains("empty (0 bytes)"));
    CHECK(bad[1].index == 11);

    const auto met = indices(batches);
    CHECK(met.size() == 40);
    CHECK(std::count(met.begin(), met.end(), 3) == 0);
    CHECK(std::count(met.begin(), met.end(), 11) == 0);
}

TEST_CASE("the replacement of a bad image is the next one of the epoch's order") {
    Loader loader(numbers(6, {2}), {.batch = 6, .workers = 1, .shuffle = false, .max_bad = 0.5}, nullptr,
                  {"image"});
    CHECK(indices(epoch_of(loader, 0)) == Indices{0, 1, 3, 3, 4, 5});
}

TEST_CASE("files that are unreadable, truncated, empty or absurd are named with their reason") {
    const TemporaryFolder folder;
    for (int i = 0; i < 20; ++i)
        save_png(folder / ("good" + std::to_string(i) + ".png"), cv::Mat(16, 16, CV_32F, cv::Scalar(0.5)));
    const auto whole = folder.read("good0.png");
    folder.write("empty.png", "");
    folder.write("text.png", "this is no image");
    folder.write("truncated.png", whole.substr(0, whole.size() - 12));
    save_png(folder / "tiny.png", cv::Mat(4, 4, CV_32F, cv::Scalar(0.5)));
    auto absurd = whole;  // its header says 2^24 + 16 pixels a side
    absurd[16] = absurd[20] = 1;
    folder.write("absurd.png", absurd);

    DatasetRequest request;
    request.source = folder.path().string();
    request.size = 16;
    Loader loader(open_dataset(request), {.batch = 5, .workers = 3, .max_bad = 0.2}, nullptr, {"image"});
    CHECK(epoch_of(loader, 0).size() == 5);
    CHECK(epoch_of(loader, 1).size() == 5);
    std::map<std::string, std::string> reasons;
    for (const auto& bad : loader.quarantine())
        reasons[std::filesystem::path(bad.name).filename().string()] = bad.reason;
    REQUIRE(reasons.size() == 5);
    CHECK_THAT(reasons["empty.png"], Contains("empty (0 bytes)"));
    CHECK_THAT(reasons["text.png"], Contains("expected PNG, JPEG, TIFF or DICOM"));
    CHECK_THAT(reasons["truncated.png"], Contains("truncated"));
    CHECK_THAT(reasons["tiny.png"], Contains("found 4 x 4 pixels"));
    CHECK_THAT(reasons["absurd.png"], Contains("found 16777232 x 16777232 pixels"));
}

TEST_CASE("images that show next to nothing are used, and named once") {
    const TemporaryFolder folder;
    cv::Mat film(16, 16, CV_32F, cv::Scalar(0.5));
    film.rowRange(0, 8).setTo(0.9);
    save_png(folder / "a.png", film);
    save_png(folder / "b.png", cv::Mat(16, 16, CV_32F, cv::Scalar(0)));
    DatasetRequest request;
    request.source = folder.path().string();
    request.size = 16;
    Loader loader(open_dataset(request), {.batch = 2, .workers = 1, .cache = false}, nullptr, {"image"});
    CHECK(epoch_of(loader, 0).size() == 1);
    CHECK(epoch_of(loader, 1).size() == 1);
    CHECK(loader.quarantine().empty());
    const auto flat = loader.flat();
    REQUIRE(flat.size() == 1);
    CHECK_THAT(flat[0].name, Contains("b.png"));
    CHECK(flat[0].reason == "all pixels are 0.000");
}

TEST_CASE("more bad images than allowed end the run with exit code 3 and the last reason") {
    Loader loader(numbers(20, {0, 1, 2}), {.batch = 20, .workers = 2, .max_bad = 0.1}, nullptr, {"image"});
    loader.begin(0);
    Tensors batch;
    try {
        loader.next(batch);
        FAIL("expected a DataError");
    } catch (const DataError& error) {
        CHECK(error.code() == ExitCode::data);
        CHECK_THAT(error.what(),
                   Contains("found 3 unreadable images of 20, expected at most 10 % (data.max_bad)") &&
                       Contains("empty (0 bytes)"));
    }
}

TEST_CASE("exactly as many bad images as allowed do not end the run") {
    Loader loader(numbers(20, {0, 1}), {.batch = 20, .workers = 2, .max_bad = 0.1}, nullptr, {"image"});
    CHECK(epoch_of(loader, 0).size() == 1);
}

TEST_CASE("a data set without a single readable image is an error each time, however much is allowed") {
    Loader loader(numbers(4, {0, 1, 2, 3}), {.batch = 2, .workers = 2, .max_bad = 1}, nullptr, {"image"});
    Tensors batch;
    for (int epoch = 0; epoch < 3; ++epoch) {
        loader.begin(epoch);
        CHECK_THROWS_AS(loader.next(batch), DataError);
    }
    CHECK(loader.quarantine().size() == 4);
}

}  // namespace data_bad_images
