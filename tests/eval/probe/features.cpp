// Labels as a data set gives them, and features that stay with their label.
#include "eval/probe/features.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <mutex>

#include "eval/memory_dataset.hpp"
#include "eval/probe/batches.hpp"
#include "support/thread_comm.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

using Ints = std::vector<int>;
using Texts = std::vector<std::string>;

recipe::LabelledSpec spec(const std::string& positive = "", const std::string& negative = "") {
    recipe::LabelledSpec made;
    made.label = "finding";
    made.positive = positive;
    made.negative = negative;
    made.origin = {"a.toml", 9, 1};
    return made;
}

MemoryDataset findings(Texts cells) {
    return MemoryDataset({{"finding", std::move(cells)}});
}

recipe::DataSpec data_spec(double max_bad = 0) {
    recipe::DataSpec data;
    data.size = 8;
    data.workers = 2;
    data.max_bad = max_bad;
    return data;
}

/// [mean, mean] of each image.
at::Tensor means(const at::Tensor& images) {
    return images.mean({1, 2, 3}).unsqueeze(1).repeat({1, 2});
}

LabelledSet labelled(std::int64_t images, std::set<std::int64_t> broken = {}) {
    LabelledSet set;
    Texts cells;
    for (std::int64_t i = 0; i < images; ++i) {
        set.labels.of.push_back(static_cast<int>(i % 3) - 1);  // every third image has no label
        set.labels.patients.push_back(static_cast<int>(1000 + i));
        cells.emplace_back();
    }
    set.images = std::make_shared<MemoryDataset>(MemoryDataset::Columns{{"finding", cells}}, std::move(broken));
    return set;
}

/// The image each row is of, by its value; label and patient must be that image's.
Ints images_of(const FeatureSet& rows, const LabelledSet& set) {
    Ints out;
    for (std::int64_t i = 0; i < rows.x.size(0); ++i) {
        const int image = static_cast<int>(std::lround(rows.x[i][0].item<double>() * 100));
        CHECK(rows.labels.at(static_cast<std::size_t>(i)) == set.labels.of.at(static_cast<std::size_t>(image)));
        CHECK(rows.patients.at(static_cast<std::size_t>(i)) == 1000 + image);
        out.push_back(image);
    }
    return out;
}

}  // namespace

TEST_CASE("with positive values the task is binary: those are 1, all others 0, empty cells have no label") {
    const auto labels =
        read_labels(findings({"normal", "pneumonia", "", "covid", "nodule"}), spec("pneumonia, covid"), {});
    CHECK(labels.of == Ints{0, 1, -1, 1, 0});
    CHECK(labels.classes == Texts{"not pneumonia, covid", "pneumonia, covid"});
}

TEST_CASE("with negative values too, what is neither has no label") {
    const auto labels =
        read_labels(findings({"normal", "pneumonia", "", "nodule"}), spec("pneumonia", "normal"), {});
    CHECK(labels.of == Ints{0, 1, -1, -1});
    CHECK(labels.classes == Texts{"normal", "pneumonia"});
}

TEST_CASE("without positive values each value is a class, in alphabetical order") {
    const auto labels = read_labels(findings({"nodule", "effusion", "", "normal", "nodule"}), spec(), {});
    CHECK(labels.classes == Texts{"effusion", "nodule", "normal"});
    CHECK(labels.of == Ints{1, 0, -1, 2, 1});
}

TEST_CASE("a test split is numbered as the training split, and a class unknown there has no label") {
    const auto labels = read_labels(findings({"normal", "mass", "effusion"}), spec(), {"effusion", "normal"});
    CHECK(labels.of == Ints{1, -1, 0});
    CHECK(labels.unseen == std::map<std::string, std::int64_t>{{"mass", 1}});
}

TEST_CASE("a column that is not there is an error with its name and where it was asked for") {
    CHECK_THAT(message_of<RecipeError>([] {
                   read_labels(MemoryDataset(MemoryDataset::Columns{{"label", {"a"}}}), spec(), {});
               }),
               Contains("a.toml:9") && Contains("label: found no column 'finding'"));
    auto written = spec();
    written.written["label"] = {"argument 'eval.label=finding'", 0, 0};
    CHECK_THAT(message_of<RecipeError>([&] {
                   read_labels(MemoryDataset(MemoryDataset::Columns{{"findings", {"a"}}}), written, {});
               }),
               Contains("argument 'eval.label=finding': label: found no column 'finding', expected one of") &&
                   Contains("(did you mean 'findings'?)"));
}

TEST_CASE("a class without images, and a column with one class, are errors") {
    CHECK_THAT(message_of<RecipeError>([] {
                   read_labels(findings({"normal", "nodule"}), spec("covid"), {});
               }),
               Contains("no image of class 'covid'"));
    CHECK_THAT(message_of<RecipeError>([] {
                   read_labels(findings({"covid", "covid"}), spec("covid"), {});
               }),
               Contains("no image of class 'not covid'"));
    CHECK_THAT(message_of<RecipeError>([] {
                   read_labels(findings({"normal", "normal"}), spec(), {});
               }),
               Contains("has 1 class(es), expected at least 2"));
}

TEST_CASE("a test split may lack a class") {
    CHECK(read_labels(findings({"a"}), spec(), {"a", "b"}).of == Ints{0});
    CHECK(read_labels(findings({"normal"}), spec("covid"), {"not covid", "covid"}).of == Ints{0});
}

TEST_CASE("images of one patient share a number; without a patient each image has its own") {
    const MemoryDataset with({{"finding", {"a", "b", "a", "b", "a"}}, {"patient", {"p7", "p3", "p7", "", ""}}});
    const auto ids = read_labels(with, spec(), {}).patients;
    CHECK(ids[0] == ids[2]);
    CHECK(std::set<int>(ids.begin(), ids.end()).size() == 4);
    const auto without = read_labels(findings({"a", "b", "a"}), spec(), {}).patients;
    CHECK(std::set<int>(without.begin(), without.end()).size() == 3);
}

TEST_CASE("features keep their label and patient, and images without a label are left out") {
    const auto set = labelled(70);  // more than one batch
    const auto rows = extract(set, data_spec(), 0, means);
    Ints expected;
    for (int i = 0; i < 70; ++i)
        if (i % 3 != 0) expected.push_back(i);
    CHECK(images_of(rows, set) == expected);
    CHECK(rows.x.sizes() == at::IntArrayRef({static_cast<std::int64_t>(expected.size()), 2}));
}

TEST_CASE("an unreadable image is left out, and what is read in its place is not counted twice") {
    const auto set = labelled(30, {4, 5, 29});
    Ints expected;
    for (int i = 0; i < 30; ++i)
        if (i % 3 != 0 && i != 4 && i != 5 && i != 29) expected.push_back(i);
    const auto rows = extract(set, data_spec(), 0, means);  // however small max_bad is
    CHECK(images_of(rows, set) == expected);
    REQUIRE(rows.odd.unreadable.size() == 3);
    CHECK(unreadable_note(rows.odd.unreadable, "test") ==
          "3 test images cannot be read and are left out: image 4, image 5, image 29");
    CHECK(unreadable_note({rows.odd.unreadable.front()}, "test") ==
          "1 test image cannot be read and is left out: image 4");
    CHECK(rows.odd.flat.size() == expected.size());  // each image of this set has one value
    CHECK_THAT(
        notes_on_odd({.flat = {{4, "d.png", "all pixels are 0"}}}, "test").at(0),
        Catch::Matchers::Contains("1 test image is blank or nearly and is used: d.png (all pixels are 0)"));
    CHECK(notes_on_odd({}, "test").empty());
    CHECK(unreadable_note({}, "test").empty());
}

TEST_CASE("a set of which no image can be read says so") {
    CHECK_THROWS_AS(extract(labelled(3, {0, 1, 2}), data_spec(), 0, means), NothingReadable);
}

TEST_CASE("a limit takes that many images, the same ones every time, from all of the set") {
    const auto set = labelled(95);
    const auto first = images_of(extract(set, data_spec(), 10, means), set);
    CHECK(first.size() == 10);
    CHECK(std::set<int>(first.begin(), first.end()).size() == 10);
    CHECK(*std::max_element(first.begin(), first.end()) > 30);
    CHECK(images_of(extract(set, data_spec(), 10, means), set) == first);
    CHECK(extract(set, data_spec(), 1000, means).x.size(0) == 63);
}

TEST_CASE("several processes each extract a part, and all get what one has, bit for bit and batch by batch") {
    std::mutex mutex;
    std::int64_t seen = 0;
    // The second number tells how many images the batch had.
    const Extractor extractor = [&](const at::Tensor& images) {
        const std::lock_guard lock(mutex);
        seen += images.size(0);
        return at::stack({images.mean({1, 2, 3}), at::full({images.size(0)}, images.size(0))}, 1);
    };
    for (const std::set<std::int64_t>& broken : {std::set<std::int64_t>{}, {4, 5, 63, 64, 127, 199}})
        for (const std::int64_t images : {9, 200})
            for (const std::int64_t limit : {0, 10, 70, 1000}) {
                const auto set = labelled(images, broken);
                const auto alone = extract(set, data_spec(), limit, extractor);
                for (const int world : {2, 3}) {
                    INFO(images << " images, limit " << limit << ", " << world << " processes");
                    seen = 0;
                    std::vector<FeatureSet> found(static_cast<std::size_t>(world));
                    run_ranks(world, [&](const Comm& comm) {
                        found[static_cast<std::size_t>(comm.rank())] =
                            extract(set, data_spec(), limit, extractor, c10::kCPU, comm);
                    });
                    CHECK(seen == alone.x.size(0));  // none of them twice
                    for (const auto& rows : found) {
                        CHECK(at::equal(rows.x, alone.x));
                        CHECK(rows.labels == alone.labels);
                        CHECK(rows.patients == alone.patients);
                    }
                }
            }
    CHECK_THROWS_AS(run_ranks(2,
                              [&](const Comm& comm) {
                                  extract(labelled(3, {0, 1, 2}), data_spec(), 0, extractor, c10::kCPU, comm);
                              }),
                    NothingReadable);
}

TEST_CASE("no gradient is kept of features") {
    auto weight = at::ones({2}).set_requires_grad(true);
    const auto rows =
        extract(labelled(9), data_spec(), 0, [&](const at::Tensor& images) { return means(images) * weight; });
    CHECK_FALSE(rows.x.requires_grad());
}

TEST_CASE("the floor is a fixed linear map of the pixels") {
    at::manual_seed(1);
    const auto x = at::rand({4, 1, 8, 8}), y = at::rand({4, 1, 8, 8});
    const auto floor = pixel_projection(6, 3);
    CHECK(floor(x).sizes() == at::IntArrayRef({4, 6}));
    CHECK(at::allclose(floor(x + y), floor(x) + floor(y), 1e-4, 1e-5));
    at::manual_seed(2);
    CHECK(at::equal(pixel_projection(6, 3)(x), floor(x)));
    CHECK_FALSE(at::equal(pixel_projection(6, 4)(x), floor(x)));
}

TEST_CASE("features of a backbone are its cls, the mean of its tokens, or both") {
    TrainingRun run(tiny_demo());
    at::manual_seed(0);
    const auto plan = plan::Plan::build(run.recipe, with_parts());
    const auto image = at::rand({2, 1, 32, 32});
    const at::NoGradGuard no_grad;
    CHECK(backbone_network(plan, "", "here") == "student");
    const auto of = [&](const std::string& which) {
        return backbone_features(plan, "student", which, {})(image);
    };
    const auto out = plan.features("student", image, {});
    CHECK(at::equal(of("cls"), out["cls"]));
    CHECK(at::equal(of("mean"), out["tokens"].mean(1)));
    CHECK(at::equal(of("cls+mean"), at::cat({out["cls"], out["tokens"].mean(1)}, 1)));
    CHECK(at::equal(of(""), of("cls+mean")));  // what a backbone says that says nothing
    CHECK(features_of(plan, "student", "") == "cls+mean");
    CHECK(features_of(plan, "student", "mean") == "mean");
}

TEST_CASE("features that a backbone does not write are an error that names them") {
    TrainingRun run(linear_map);
    const auto plan = plan::Plan::build(run.recipe, with_parts());
    CHECK_THAT(message_of<RecipeError>([&] {
                   backbone_features(plan, "student", "mean", {})(at::rand({1, 1, 16, 16}));
               }),
               Contains("features = \"mean\"") && Contains("'student'"));
}
