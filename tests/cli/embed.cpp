// hearth embed: features of a small run as files, chosen rows, unreadable images.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/csv.hpp"
#include "cli/trained_box.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

TEST_CASE("the same features come out as safetensors and CSV, with path, patient and label") {
    const auto& box = TrainedBox::once();
    const auto outcome = box.run({"embed", "run", "films/manifest.csv", "-o", "all.safetensors", "--json"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(outcome.json()["images"] == 12);
    CHECK(outcome.json()["features"] == 96);  // cls and mean of 48
    const auto features = box.read("all.safetensors").find("features");
    REQUIRE(features.sizes() == at::IntArrayRef({12, 96}));
    CHECK(box.read("all.safetensors").metadata.at("hearth.features") == "cls+mean");

    REQUIRE(box.run({"embed", "run", "films/manifest.csv", "-o", "all.csv"}).code == 0);
    const auto rows = hearth::base::parse_csv(box.folder.read("all.csv"), "all.csv");
    REQUIRE(rows.size() == 13);
    CHECK(rows[0].fields[0] == "path");
    CHECK(rows[0].fields[2] == "label");
    CHECK(rows[1].fields[0] == "images/00000.png");
    CHECK(std::stof(rows[12].fields.back()) == features[11][95].item<float>());

    REQUIRE(box.run({"embed", "run", "films/manifest.csv", "-o", "all.npz"}).code == 0);
    CHECK_THAT(box.folder.read("all.npz"),
               Contains("features.npy") && Contains("patient.npy") && Contains("(12,96,)"));
}

TEST_CASE("features, rows and network can be chosen") {
    const auto& box = TrainedBox::once();
    REQUIRE(box.run({"embed", "run", "films/manifest.csv", "-o", "a.safetensors"}).code == 0);
    REQUIRE(box.run({"embed", "run", "films/manifest.csv", "--features", "cls", "--where", "split != \"train\"",
                     "--network", "student", "-o", "b.safetensors"})
                .code == 0);
    const auto all = box.read("a.safetensors").find("features"),
               some = box.read("b.safetensors").find("features");
    CHECK(some.size(0) < 12);
    CHECK(some.size(1) == 48);
    const auto paths = [&](const std::string& name) {
        return nlohmann::json::parse(box.read(name).metadata.at("path")).get<std::vector<std::string>>();
    };
    const auto every = paths("a.safetensors");
    const auto row = std::find(every.begin(), every.end(), paths("b.safetensors").front()) - every.begin();
    CHECK(
        at::allclose(some[0], all[row].slice(0, 0, 48), 1e-4, 1e-5));  // batches of other sizes round a little
    REQUIRE(
        box.run({"embed", "run", "films/manifest.csv", "--network", "teacher", "-o", "c.safetensors"}).code ==
        0);
    CHECK_FALSE(at::allclose(box.read("c.safetensors").find("features"), all));
}

TEST_CASE("unreadable images are left out and named, too many end it") {
    const auto& box = TrainedBox::once();
    box.folder.write("one-bad/broken.png", "no image");
    box.folder.write("half-bad/broken.png", "no image");
    for (int i = 0; i < 12; ++i) {
        const auto name = fmt::format("{:05}.png", i);
        const auto film = box.folder.read("films/images/" + name);
        box.folder.write("one-bad/" + name, film);
        if (i == 0) box.folder.write("half-bad/" + name, film);
    }
    const auto outcome = box.run({"embed", "run", "one-bad", "-o", "one-bad.csv"});
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains("one-bad.csv: 12 images, 96 features each; 1 unreadable image left out"));
    CHECK_THAT(outcome.err, Contains("left out: ") && Contains("broken.png"));
    const auto named = outcome.err.find("broken.png");
    CHECK(outcome.err.find("broken.png", named + 1) == std::string::npos);  // once
    CHECK(hearth::base::parse_csv(box.folder.read("one-bad.csv"), "one-bad.csv").size() == 13);

    CHECK(box.run({"embed", "run", "half-bad", "-o", "half-bad.csv"}).code == 3);  // data.max_bad is 0.2
    CHECK_FALSE(std::filesystem::exists(box.folder / "half-bad.csv"));
}

TEST_CASE("embed says what is wrong before it works") {
    const auto& box = TrainedBox::once();
    CHECK_THAT(box.run({"embed", "run", "films"}).err, Contains("found no --out"));
    CHECK_THAT(box.run({"embed", "run", "films", "-o", "x.h5"}).err,
               Contains("expected a file that ends in .npz"));
    CHECK_THAT(box.run({"embed", "run", "films/manifest.csv", "--columns", "sex", "-o", "x.csv"}).err,
               Contains("found no column 'sex'"));
    CHECK(box.run({"embed", "run", "films", "--network", "nobody", "-o", "x.csv"}).code == 2);
    CHECK(box.run({"embed", "nowhere", "films", "-o", "x.csv"}).code == 2);
}

TEST_CASE("a recipe gives the features of the networks as drawn") {
    const auto& box = TrainedBox::once();
    REQUIRE(box.run({"embed", "tiny.toml", "films/manifest.csv", "-o", "drawn.safetensors"}).code == 0);
    REQUIRE(box.run({"embed", "run", "films/manifest.csv", "-o", "trained.safetensors"}).code == 0);
    const auto drawn = box.read("drawn.safetensors").find("features");
    CHECK(drawn.sizes() == at::IntArrayRef({12, 96}));
    CHECK_FALSE(at::allclose(drawn, box.read("trained.safetensors").find("features")));
}
