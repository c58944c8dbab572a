// Features of what a mask marks.
#include "eval/probe/regions.hpp"

#include <ATen/ATen.h>

#include "eval/findings.hpp"
#include "eval/probe/evaluate.hpp"
#include "eval/probe/suitable.hpp"

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::vector<std::string> by_region = {"eval.label=bright", "eval.positive=1", "eval.region=region",
                                            "eval.features=mean"};

/// Two rows a film: the bright half (1) and the other (0), each with its mask. Every image of a class has an
/// image of the other with the same pixels, so that only the region can tell.
void write_places(const TemporaryFolder& folder, int films, const std::string& broken = "") {
    write_findings(folder, films);
    std::string table = "path,patient,split,bright,region\n";
    for (int i = 1; i < films; i += 2)  // those whose left half is bright
        for (const int left : {1, 0})
            table += fmt::format("{:03}.png,{},{},{},{}\n", i, i / 2, i / 2 % 3 == 0 ? "test" : "train", left,
                                 !broken.empty() && i == 1 ? broken
                                 : left                    ? "rle:relative:16x16:0 128"
                                                           : "rle:relative:16x16:128 128");
    folder.write("films.csv", table);
}

struct Places : Findings {
    explicit Places(std::vector<std::string> overrides = by_region, const std::string& broken = "")
        : Findings(overrides) {
        write_places(folder, 90, broken);
    }
};

/// Images whose patches of 8 have the values 0, 1, 2, 3; tokens are those values.
at::Tensor patches() {
    return at::arange(4, at::kFloat).view({1, 1, 2, 2}).repeat_interleave(8, 2).repeat_interleave(8, 3);
}

}  // namespace

TEST_CASE("probes of regions tell places of the same films apart, those of whole films do not") {
    const Places places;
    const auto plan = places.built();
    const auto result = evaluate(places.recipe, with_parts(), plan, *places.recipe.eval, c10::kCPU);
    for (const auto& score : result.scores) {
        INFO(score.model << " " << score.classifier);
        CHECK(score.auc.value > 0.95);
    }
    CHECK_THAT(result.protocol, Contains("frozen mean token of what 'region' marks of 'student'"));

    const Places whole({"eval.label=bright", "eval.positive=1", "eval.features=mean"});
    for (const auto& score :
         evaluate(whole.recipe, with_parts(), whole.built(), *whole.recipe.eval, c10::kCPU).scores) {
        INFO(score.model << " " << score.classifier);
        CHECK(score.auc.value == Approx(0.5).margin(1e-9));  // equal features, equal answers
    }
}

TEST_CASE("a region's features are the mean of its tokens by how much of each is inside") {
    const Findings films;
    const auto plan = films.built();
    const auto image = at::rand({1, 1, 16, 16});
    const auto tokens = plan.features("student", image, {})["tokens"][0];
    const auto extract_at = region_tokens(plan, "student", {});
    auto mask = at::zeros({1, 1, 16, 16});
    mask.slice(3, 0, 8).slice(2, 0, 8).fill_(1);  // all of token 0
    CHECK(at::allclose(extract_at(image, mask)[0], tokens[0]));
    mask.slice(3, 8, 16).slice(2, 0, 4).fill_(1);  // and half of token 1
    CHECK(at::allclose(extract_at(image, mask)[0], (tokens[0] + tokens[1] / 2) / 1.5, 1e-5, 1e-6));
}

TEST_CASE("the floor of regions sees the region and nothing around it") {
    const auto pixels = region_pixels(6, 3);
    auto mask = at::zeros({1, 1, 16, 16});
    mask.slice(3, 8, 16).slice(2, 0, 8).fill_(1);
    auto image = patches(), other = patches();
    other.slice(3, 0, 8).fill_(9);  // outside
    const auto seen = pixels(image, mask);
    CHECK(seen.sizes() == at::IntArrayRef({1, 6}));
    CHECK(at::equal(pixels(other, mask), seen));
    other.slice(3, 8, 9).slice(2, 0, 1).fill_(9);  // one pixel inside
    CHECK_FALSE(at::equal(pixels(other, mask), seen));
}

TEST_CASE("regions that are not there are refused before the training") {
    const auto refused = [](const Places& places) {
        const auto plan = places.built();
        check_readable(places.recipe, plan);
        check_data(places.recipe, *places.recipe.eval, open_splits(places.recipe, *places.recipe.eval), plan);
    };
    CHECK_NOTHROW(refused(Places()));
    CHECK_NOTHROW(refused(Places(by_region, "none")));  // two rows of many
    Places nowhere;
    const auto replace_all = [&](const std::string& now) {
        std::string table = nowhere.folder.read("films.csv");
        for (const std::string old : {"rle:relative:16x16:0 128", "rle:relative:16x16:128 128"})
            for (auto at = table.find(old); at != std::string::npos; at = table.find(old, at + now.size()))
                table.replace(at, old.size(), now);
        nowhere.folder.write("films.csv", table);
    };
    replace_all("none");
    CHECK_THROWS_WITH(refused(nowhere),
                      Contains("region: found no labelled image with something inside its mask of column "
                               "'region'") &&
                          Contains("column 'region' marks nothing"));
    CHECK_THROWS_WITH(
        refused(Places({"eval.label=bright", "eval.positive=1", "eval.region=regoin", "eval.features=mean"})),
        Contains("region: found no column 'regoin'"));
}

TEST_CASE("rows whose region cannot be used are left out and noted, repeated films are none here") {
    for (const auto& [broken, why] : std::vector<std::pair<std::string, std::string>>{
             {"none", "column 'region' marks nothing"}, {"gone.png", "gone.png: "}}) {
        const Places places(by_region, broken);
        const auto result =
            evaluate(places.recipe, with_parts(), places.built(), *places.recipe.eval, c10::kCPU);
        CHECK(result.test_images == 28);
        REQUIRE(result.notes.size() == 1);
        CHECK_THAT(result.notes[0], Contains("2 test images have no mask that can be used, and what needs one "
                                             "leaves them out: ") &&
                                        Contains("001.png") && Contains(why));
    }
}
