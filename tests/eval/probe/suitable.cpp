// What cannot be evaluated is refused before a run trains, with its place in the recipe.
#include "eval/probe/suitable.hpp"

#include "eval/findings.hpp"

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// Why a recipe of the films cannot be evaluated, "" where it can. `more` is put at the end of [eval].
std::string reason(const std::string& more, const std::vector<std::string>& overrides = {}) {
    TemporaryFolder folder;
    write_findings(folder, 90);
    try {
        const auto recipe = recipe::load(folder.write("a.toml", findings_recipe + more), overrides);
        auto plan = plan::Plan::build(recipe, with_parts());
        plan.train(false);
        check_readable(recipe, plan);
        check_data(recipe, *recipe.eval, open_splits(recipe, *recipe.eval), plan);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

const auto eval_line = std::count(findings_recipe.begin(), findings_recipe.end(), '\n');

/// "a.toml:LINE:1" of the n-th line after the recipe.
std::string place(int n) {
    return "a.toml:" + std::to_string(eval_line + n) + ":1: ";
}

}  // namespace

TEST_CASE("what can be evaluated is not refused") {
    CHECK(reason("") == "");
    CHECK(reason("probe = \"attentive\"\nnetwork = \"teacher\"\n") == "");
    CHECK(reason("size = 32\n") == "");
    CHECK(reason("head = \"student.logits\"\n") == "");
}

TEST_CASE("patch tokens of a backbone that writes none are refused") {
    const std::vector<std::string> resnet = {"networks.student.backbone={ use = \"resnet\", depth = 18 }",
                                             "data.size=32"};
    CHECK_THAT(
        reason("probe = \"attentive\"\n", resnet),
        Contains(place(1) + "probe = \"attentive\" reads patch tokens, and the backbone of 'student' writes "
                            "none; use linear or knn"));
    CHECK(reason("", resnet) == "");  // its own features are those that it has
    CHECK_THAT(reason("features = \"mean\"\n", resnet),
               Contains(place(1) + "features = \"mean\"") && Contains("writes neither cls nor tokens"));
}

TEST_CASE("a size that the backbone cannot read is refused") {
    CHECK_THAT(reason("size = 20\n"),
               Contains(place(1) + "no features of 'student' can be read from images of 20 x 20"));
}

TEST_CASE("logits that are not there, or are of another number of classes, are refused") {
    CHECK_THAT(reason("head = \"student.logit\"\n"),
               Contains(place(1) +
                        "head: no pass, head or loss writes 'student.logit' (did you mean 'student.logits'?)"));
    CHECK_THAT(
        reason("head = \"student.logits\"\n", {"networks.student.heads.classify.out=3"}),
        Contains(place(1) + "head: 'student.logits' has shape [B, 3], expected [B, 2]: one column for each of "
                            "left, top"));
}

TEST_CASE("a head that writes no mask is refused where masks are evaluated") {
    CHECK_THAT(reason("head = \"student.logits\"\nmask = \"left\"\n"),
               Contains(place(1) +
                        "head: 'student.logits' has shape 'B 2', expected 'B 1 H W', the log-odds of a mask"));
}

TEST_CASE("a column that is not there is refused") {
    CHECK_THAT(reason("", {"eval.label=left, bottom"}), Contains("found no column 'bottom'"));
    CHECK_THAT(reason("head = \"student.logits\"\nvalidation_where = 'split == \"validation\"'\n"),
               Contains("validation"));
}

TEST_CASE("a label that the training rows do not have both ways is refused") {
    TemporaryFolder folder;
    folder.write("a.toml", "");
    Labels labels;
    labels.classes = {"left", "top"};
    labels.several = true;
    labels.of = {1, 0, 0, -1, 1, 0};
    recipe::LabelledSpec spec;
    spec.written["label"] = {"a.toml", 7, 1};
    CHECK_THROWS_WITH(
        check_known(spec, labels),
        Contains("a.toml:7:1: label 'top' has 0 known positive and 2 known negative training rows"));
    labels.of[3] = 1;
    CHECK_NOTHROW(check_known(spec, labels));
}

TEST_CASE("without a trained network one has to be named") {
    CHECK_THAT(reason("", {"networks.student.frozen=true"}), Contains("trains"));
}
