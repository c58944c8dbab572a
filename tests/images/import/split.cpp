#include "images/import/split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "images/import/sets.hpp"
#include "images/manifest.hpp"

namespace images_split {

using namespace hearth;
using namespace hearth::images;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// 300 patients with one to four films; one patient in five has nodules, one in twenty an effusion as well.
Imported example() {
    Imported set{{"nodule", "effusion"}, {}};
    for (int p = 0; p < 300; ++p) {
        for (int film = 0; film <= p % 4; ++film) {
            const bool nodule = p % 5 == 0, effusion = p % 20 == 0;
            set.films.push_back({.file = fmt::format("/data/{}-{}.png", p, film),
                                 .patient = fmt::format("P{}", p),
                                 .labels = {nodule ? "1" : "0", effusion ? "1" : "0"}});
        }
    }
    return set;
}

std::map<std::string, double> share_of(const Imported& set, std::size_t label) {
    std::map<std::string, double> positive, all;
    for (const Film& film : set.films) {
        all[film.split] += 1;
        positive[film.split] += film.labels[label] == "1" ? 1 : 0;
    }
    for (auto& [split, count] : positive) count /= all[split];
    return positive;
}

}  // namespace

TEST_CASE("a split keeps patients together and gives every part its share of films and of each label") {
    Imported set = example();
    split_by_patient(set, {.val = 0.1, .test = 0.2}, 7);
    std::map<std::string, std::set<std::string>> splits_of;
    std::map<std::string, double> films;
    for (const Film& film : set.films) {
        splits_of[film.patient].insert(film.split);
        films[film.split] += 1;
    }
    for (const auto& [patient, splits] : splits_of) CHECK(splits.size() == 1);
    const auto total = static_cast<double>(set.films.size());
    CHECK(films["train"] / total == Approx(0.7).margin(0.02));
    CHECK(films["val"] / total == Approx(0.1).margin(0.02));
    CHECK(films["test"] / total == Approx(0.2).margin(0.02));
    std::map<std::string, std::set<std::string>> patients;
    for (const Film& film : set.films) patients[film.split].insert(film.patient);
    for (const auto& [split, members] : patients)  // parts do not differ in films a patient
        CHECK(films[split] / static_cast<double>(members.size()) == Approx(2.5).margin(0.35));
    for (const auto& [split, share] : share_of(set, 0)) CHECK(share == Approx(0.2).margin(0.03));
    for (const auto& [split, share] : share_of(set, 1)) CHECK(share == Approx(0.02).margin(0.015));
}

TEST_CASE("the same seed gives the same split, whatever the order of the films; another seed another one") {
    const auto splits = [](std::uint64_t seed, bool reversed) {
        Imported set = example();
        if (reversed) std::reverse(set.films.begin(), set.films.end());
        split_by_patient(set, {}, seed);
        std::map<std::string, std::string> by_file;
        for (const Film& film : set.films) by_file[film.file.string()] = film.split;
        return by_file;
    };
    CHECK(splits(1, false) == splits(1, true));
    CHECK(splits(1, false) != splits(2, false));
}

TEST_CASE("films without a label get no split, unless no film has one") {
    Imported set{{"label"}, {}};
    for (int i = 0; i < 20; ++i)
        set.films.push_back(
            {.file = fmt::format("/{}.png", i), .labels = {i < 10 ? "normal" : ""}, .split = "old"});
    split_by_patient(set, {.val = 0, .test = 0.5}, 0);
    CHECK(std::count_if(set.films.begin(), set.films.end(), [](const Film& f) { return f.split == "test"; }) ==
          5);
    CHECK(std::count_if(set.films.begin(), set.films.end(), [](const Film& f) { return f.split.empty(); }) ==
          10);
    for (Film& film : set.films) film.labels = {""};
    split_by_patient(set, {.val = 0, .test = 0.5}, 0);
    CHECK(std::count_if(set.films.begin(), set.films.end(), [](const Film& f) { return f.split == "test"; }) ==
          10);
}

TEST_CASE("validation films are held out of the training films of an official split") {
    Imported set = example();
    for (std::size_t i = 0; i < set.films.size(); ++i) set.films[i].split = i < 500 ? "train" : "test";
    hold_out_val(set, 0.2, 3);
    const auto count = [&](const std::string& split) {
        return std::count_if(set.films.begin(), set.films.end(),
                             [&](const Film& f) { return f.split == split; });
    };
    CHECK(count("val") == Approx(100).margin(10));
    CHECK(count("test") == static_cast<std::ptrdiff_t>(set.films.size()) - 500);
    CHECK_THAT(message_of<DataError>([&] { hold_out_val(set, 0.2, 3); }),
               Contains("in the split 'val' already"));
}

TEST_CASE("a manifest is written with paths relative to its folder, and reads back") {
    const TemporaryFolder folder;
    Imported set{{"Lung Opacity", "note"}, {}};
    set.films.push_back({.file = folder / "set/a, b.png", .patient = "P1", .labels = {"1", "he said \"x\""}});
    set.films.push_back({.file = "/elsewhere/c.png", .patient = "P2", .labels = {"", ""}});
    const auto file = folder / "lists/manifest.csv";
    write_manifest(set, file);
    CHECK_THAT(folder.read("lists/manifest.csv"), Contains("\"../set/a, b.png\",P1,1,\"he said \"\"x\"\"\"\n"));
    const Manifest read = read_manifest(file);
    CHECK(read.columns == std::vector<std::string>{"path", "patient", "Lung Opacity", "note"});
    CHECK(read.rows[0].path == (folder / "set/a, b.png").string());
    CHECK(read.rows[0].cells[3] == "he said \"x\"");
    CHECK(read.rows[1].path == "/elsewhere/c.png");
    CHECK_THAT(message_of<DataError>([&] { write_manifest(set, file); }), Contains("exists already"));
}

}  // namespace images_split
