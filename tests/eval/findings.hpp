// Films with two findings that may hold at once, some unknown, and a recipe that reads them.
#pragma once

#include <fmt/format.h>

#include <opencv2/imgcodecs.hpp>

#include "train/support.hpp"

namespace hearth::test {

/// `count` films of 16 x 16 beside a manifest: "left" brightens the left half, "top" the upper one. Two films
/// are of one patient; two thirds of the patients train. Every seventh film says nothing about "top" and every
/// eleventh is uncertain of it.
inline void write_findings(const TemporaryFolder& folder, int count) {
    std::string table = "path,patient,split,left,top\n";
    cv::RNG random(7);
    for (int i = 0; i < count; ++i) {
        const int patient = i / 2;
        const bool left = i % 2 == 1, top = patient % 2 == 1;
        cv::Mat film(16, 16, CV_8U);
        random.fill(film, cv::RNG::UNIFORM, 40, 120);
        if (left) film(cv::Rect(0, 0, 8, 16)) += 80;
        if (top) film(cv::Rect(0, 0, 16, 8)) += 80;
        const auto name = fmt::format("{:03}.png", i);
        cv::imwrite((folder / name).string(), film);
        table +=
            fmt::format("{},{},{},{},{}\n", name, patient, patient % 3 == 0 ? "test" : "train", left ? 1 : 0,
                        i % 7 == 0    ? ""
                        : i % 11 == 0 ? "-1"
                        : top         ? "1"
                                      : "0");
    }
    folder.write("films.csv", table);
}

/// A transformer of four tokens and its follower, evaluated by both findings.
inline const std::string findings_recipe = R"(schema = 1
name = "findings"
[data]
source = "films.csv"
where = 'split == "train"'
size = 16
workers = 1
label = "left"
[networks.student]
backbone = { use = "vit", patch = 8, dim = 48, depth = 1, heads = 3 }
[networks.student.heads]
classify = { use = "linear", out = 2 }
[networks.teacher]
follows = "student"
heads = []
[[pass]]
network = "student"
view = "image"
[[pass]]
network = "teacher"
view = "image"
[[loss]]
use = "cross-entropy"
[train]
epochs = 1
batch = 8
device = "cpu"
threads = 1
[eval]
train_where = 'split == "train"'
test_where = 'split == "test"'
label = "left, top"
k = 5
)";

/// The films and the recipe in a folder of their own.
struct Findings {
    TemporaryFolder folder;
    recipe::Recipe recipe;

    explicit Findings(const std::vector<std::string>& overrides = {}, int films = 90) {
        write_findings(folder, films);
        recipe = recipe::load(folder.write("recipe.toml", findings_recipe), overrides);
    }
    plan::Plan built(std::uint64_t seed = 0) const {
        at::manual_seed(seed);
        auto plan = plan::Plan::build(recipe, with_parts());
        plan.train(false);
        return plan;
    }
};

}  // namespace hearth::test
