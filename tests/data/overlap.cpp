// What two parts of the data have in common: by file, by link, by content, by patient.
#include "data/overlap.hpp"

#include <catch2/catch.hpp>
#include <filesystem>

#include "support/temporary_folder.hpp"

using namespace hearth::data;
using hearth::test::TemporaryFolder;

namespace {

/// A folder with tables; the files need not be images, since nothing is decoded.
struct Films {
    TemporaryFolder folder;
    std::vector<std::shared_ptr<const Dataset>> kept;

    /// The rows of a table "path,patient" + newline + `rows`.
    Part part(const std::string& table, const std::string& rows, const std::string& place = "here") {
        kept.push_back(open_dataset(
            {.source = folder.write(table, "path,patient\n" + rows).string(), .where = "", .size = 8}));
        return {*kept.back(), "patient", place};
    }
};

}  // namespace

TEST_CASE("parts of other films and patients have nothing in common") {
    Films films;
    for (const auto* name : {"a.png", "b.png", "c.png"}) films.folder.write(name, std::string("film ") + name);
    const auto found =
        overlap(films.part("train.csv", "a.png,P1\nb.png,P2\n"), films.part("test.csv", "c.png,P3\n"));
    CHECK_FALSE(found.any());
    CHECK(found.of == 1);
    CHECK(found.text().empty());
}

TEST_CASE("the same file is found under any name that leads to it") {
    Films films;
    films.folder.write("a.png", "film a");
    films.folder.write("b.png", "film b");
    std::filesystem::create_symlink(films.folder / "a.png", films.folder / "link.png");
    std::filesystem::create_hard_link(films.folder / "b.png", films.folder / "hard.png");
    const auto found =
        overlap(films.part("train.csv", "a.png,P1\nb.png,P2\n"),
                films.part("test.csv", "./a.png,P3\nlink.png,P4\nhard.png,P5\nmissing.png,P6\n"));
    CHECK(found.images == 3);
    CHECK(found.of == 4);
    CHECK(found.files.count == 3);
    CHECK(found.contents.count == 0);
    CHECK(found.patients.count == 0);
}

TEST_CASE("a file of the same bytes is found, one of the same size is not taken for it") {
    Films films;
    const std::string bytes(20000, 'x');
    auto other_end = bytes;
    other_end.back() = 'y';
    films.folder.write("a.png", bytes);
    films.folder.write("copy.png", bytes);
    films.folder.write("other.png", other_end);
    films.folder.write("short.png", "x");
    const auto found = overlap(films.part("train.csv", "a.png,P1\n"),
                               films.part("test.csv", "copy.png,P2\nother.png,P3\nshort.png,P4\n"));
    CHECK(found.images == 1);
    CHECK(found.files.count == 0);
    REQUIRE(found.contents.count == 1);
    CHECK_THAT(found.text(), Catch::StartsWith("1 file of the same content (") &&
                                 Catch::Contains("copy.png like ") && Catch::EndsWith("a.png)"));
}

TEST_CASE("patients are compared within a place, and a row without one is nobody's") {
    Films films;
    for (int i = 0; i < 9; ++i) films.folder.write(std::to_string(i) + ".png", "film " + std::to_string(i));
    const std::string train = "0.png,P1\n1.png,P2\n2.png,\n", test = "3.png,P2\n4.png,P2\n5.png,P1\n6.png,\n";
    const auto found = overlap(films.part("train.csv", train), films.part("test.csv", test));
    CHECK(found.images == 3);
    CHECK(found.patients.count == 2);
    CHECK(found.text() == "2 same patients (P2, P1)");
    CHECK_FALSE(overlap(films.part("train.csv", train), films.part("test.csv", test, "elsewhere")).any());
    CHECK(overlap(films.part("train.csv", "0.png,007\n"), films.part("test.csv", "1.png,007\n")).text() ==
          "1 same patient (007)");
}

TEST_CASE("at most three examples are named") {
    Films films;
    std::string rows;
    for (int i = 0; i < 5; ++i) {
        films.folder.write(std::to_string(i) + ".png", "film " + std::to_string(i));
        rows += std::to_string(i) + ".png,P" + std::to_string(i) + "\n";
    }
    const auto found = overlap(films.part("train.csv", rows), films.part("test.csv", rows));
    CHECK(found.images == 5);
    CHECK(found.files.examples.size() == 3);
    CHECK_THAT(found.text(), Catch::StartsWith("5 same files (") &&
                                 Catch::EndsWith(", ..), 5 same patients (P0, P1, P2, ..)"));
}

TEST_CASE("generated films are the same by seed and number") {
    const auto phantoms = open_dataset({.source = "phantom", .where = "", .size = 8, .phantom_count = 4});
    const auto one = Part{*phantoms, "patient", "phantom 0"};
    CHECK(overlap(one, one).files.count == 4);
    CHECK_FALSE(overlap(one, {*phantoms, "patient", "phantom 1"}).any());
}

TEST_CASE("a film that is there under two patients is found within a part") {
    Films films;
    films.folder.write("a.png", "film a");
    films.folder.write("copy.png", "film a");
    films.folder.write("b.png", "film b");
    const auto repeats = [&](const std::string& rows) {
        const auto part = films.part("all.csv", rows);
        std::vector<int> numbers;
        for (std::int64_t i = 0; i < part.images.size(); ++i)
            numbers.push_back(part.images.cell(i, "patient")->back());
        return repeated(part, numbers);
    };
    CHECK_FALSE(repeats("a.png,P1\ncopy.png,P1\nb.png,P2\n").any());
    const auto found = repeats("a.png,P1\ncopy.png,P2\na.png,P3\nb.png,P4\n");
    CHECK(found.images == 2);
    CHECK(found.files.count == 1);
    CHECK(found.contents.count == 1);
}
