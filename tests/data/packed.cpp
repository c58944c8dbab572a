// Packed caches: made once, mapped afterwards, and never trusted when damaged.
#include "data/packed.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <hearth/error.hpp>
#include <thread>

#include "images/phantom/phantom.hpp"
#include "support/temporary_folder.hpp"

namespace data_packed {

using namespace hearth;
using namespace hearth::data;
using namespace hearth::images;
using Catch::Matchers::Contains;
using test::TemporaryFolder;

namespace {

constexpr int size = 24;
constexpr std::int64_t count = 6;

/// Six films in a folder, one of which is no image.
struct Films {
    TemporaryFolder folder;
    std::shared_ptr<const Dataset> dataset;
    PackRequest request;

    Films() {
        const auto manifest = write_phantoms(folder / "films", count, {.size = size, .seed = 5});
        std::ofstream(manifest.rows[4].path) << "no image";
        request = {
            .folder = folder / "cache", .size = size, .identity = "stretch", .workers = 2, .progress = {}};
        open();
    }
    void open() {
        DatasetRequest files;
        files.source = (folder / "films/manifest.csv").string();
        files.size = size;
        dataset = open_dataset(files);
    }
    std::shared_ptr<const Dataset> pack() const { return packed(dataset, request); }
    std::filesystem::path file() const { return packed_file(*dataset, request); }
};

double largest_difference(const cv::Mat& a, const cv::Mat& b) {
    return cv::norm(a, b, cv::NORM_INF);
}

/// How many images were decoded to make the file, by what progress was told; 0: the file was there.
std::int64_t made_of(Films& films) {
    std::int64_t all = 0;
    films.request.progress = [&](std::int64_t, std::int64_t images, const auto&) { all = images; };
    films.pack();
    return all;
}

void flip_bit(const std::filesystem::path& file, std::streamoff at) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(at);
    const char byte = static_cast<char>(stream.get() ^ 1);
    stream.seekp(at);
    stream.put(byte);
}

}  // namespace

TEST_CASE("packed images are the images, to half a step of 8 bit") {
    const Films films;
    const auto all = films.pack();
    REQUIRE(all->size() == count);
    for (const std::int64_t i : {0, 1, 2, 3, 5}) {
        CHECK(largest_difference(all->load(i), films.dataset->load(i)) <= 0.5 / 255 + 1e-6);
        CHECK(all->name(i) == films.dataset->name(i));
        CHECK(all->cell(i, "label") == films.dataset->cell(i, "label"));
    }
    CHECK(all->mask(0, "mask").has_value() == films.dataset->mask(0, "mask").has_value());
}

TEST_CASE("an image that cannot be decoded keeps its own error, and is read once it can be") {
    Films films;
    const auto all = films.pack();
    CHECK_THROWS_WITH(all->load(4), Contains(films.dataset->name(4)));
    std::filesystem::copy_file(films.dataset->name(0), films.dataset->name(4),
                               std::filesystem::copy_options::overwrite_existing);
    CHECK(largest_difference(all->load(4), films.dataset->load(0)) == 0);
}

TEST_CASE("the file is made once, and anew when a film or the size changed") {
    Films films;
    CHECK(made_of(films) == count);
    CHECK(made_of(films) == 0);
    const auto before = films.file();
    std::filesystem::last_write_time(films.dataset->name(2),
                                     std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
    CHECK(films.file() != before);
    CHECK(made_of(films) == count);
    films.request.size = 12;
    CHECK(films.file() != before);
}

TEST_CASE("films that are drawn are told apart by the identity") {
    DatasetRequest phantoms;
    phantoms.source = "phantom";
    phantoms.size = size;
    phantoms.phantom_count = 3;
    const auto drawn = open_dataset(phantoms);
    const TemporaryFolder folder;
    const PackRequest one{folder.path(), size, "phantom 0", 1, {}},
        two{folder.path(), size, "phantom 1", 1, {}};
    CHECK(packed_file(*drawn, one) != packed_file(*drawn, two));
    CHECK(largest_difference(packed(drawn, one)->load(2), drawn->load(2)) <= 0.5 / 255 + 1e-6);
}

TEST_CASE("a flipped bit is found by the checksum of its image, and spoils no other") {
    const Films films;
    films.pack();
    const auto file = films.file();
    flip_bit(file, static_cast<std::streamoff>(std::filesystem::file_size(file)) - 1);
    const auto all = films.pack();
    CHECK_NOTHROW(all->load(0));
    CHECK_THROWS_WITH(all->load(5), Contains("the checksum of image 5") && Contains("delete it"));
}

TEST_CASE("a file cut short is made anew") {
    Films films;
    films.pack();
    std::filesystem::resize_file(films.file(), std::filesystem::file_size(films.file()) / 2);
    CHECK(made_of(films) == count);
    CHECK_NOTHROW(films.pack()->load(5));
}

TEST_CASE("two that want the same file at once make it once") {
    Films films;
    std::atomic<int> made = 0;
    films.request.progress = [&](std::int64_t done, std::int64_t, const auto&) { made += done == 0; };
    std::thread other([&] { films.pack(); });
    films.pack();
    other.join();
    CHECK(made == 1);
}

TEST_CASE("a folder that cannot be made is named") {
    Films films;
    films.folder.write("taken", "a file");
    films.request.folder = films.folder / "taken/cache";
    CHECK_THROWS_WITH(films.pack(), Contains("taken/cache") && Contains("data.cache_folder"));
}

}  // namespace data_packed
