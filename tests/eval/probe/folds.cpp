// Cross-validation of probes: who is answered for by which fit, and what comes of it.
#include "eval/probe/folds.hpp"

#include <ATen/ATen.h>

#include <map>
#include <set>

#include "eval/findings.hpp"
#include "eval/probe/evaluate.hpp"

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

constexpr Task binary = {.classes = 2, .several = false};

/// Rows [i]: row i is of patient i / 2 and says its number.
FeatureSet numbered(std::int64_t rows) {
    FeatureSet set;
    set.x = at::arange(rows, at::kFloat).unsqueeze(1);
    for (std::int64_t i = 0; i < rows; ++i) {
        set.labels.push_back(static_cast<int>(i / 2 % 2));
        set.patients.push_back(static_cast<int>(i / 2));
    }
    return set;
}

/// Answers with the number of each row; writes down how often a row was held out and with whom it was fitted.
struct Watching {
    std::map<int, int> held;
    bool divided = false;
    int fits = 0;
    Answers operator()(const FeatureSet& train, const FeatureSet& test) {
        ++fits;
        const std::set<int> fitted(train.patients.begin(), train.patients.end());
        for (std::size_t i = 0; i < test.patients.size(); ++i) {
            ++held[static_cast<int>(test.x[static_cast<std::int64_t>(i)].item<float>())];
            divided = divided || fitted.contains(test.patients[i]);
        }
        Answers out;
        out.probabilities = test.x.to(at::kDouble).repeat({1, 2});
        out.thresholds = {20.5};
        out.l2 = {fits == 1 ? 1e-4 : 1.0};
        return out;
    }
};

}  // namespace

TEST_CASE("every row is answered for once, in its place, by a fit without its patient") {
    const auto set = numbered(40);
    Watching watching;
    const auto answers = cross_validated(set, binary, 4, 7, std::ref(watching));
    CHECK(watching.fits == 4);
    CHECK_FALSE(watching.divided);
    REQUIRE(watching.held.size() == 40);
    for (const auto& [row, times] : watching.held) {
        INFO(row);
        CHECK(times == 1);
    }
    const auto both = at::stack({answers.probabilities.select(1, 1), set.x.select(1, 0).to(at::kDouble)});
    CHECK(at::corrcoef(both)[0][1].item<double>() > 0.7);  // ten rows a fold
    CHECK(answers.thresholds.front() == Approx(20.5).margin(4));
    CHECK(answers.l2.front() == Approx(1e-1).epsilon(1e-9));  // of 1e-4, 1, 1, 1
}

TEST_CASE("each fold's answers keep their order and get the distribution of all") {
    const auto set = numbered(40);
    int fold = 0;
    std::map<int, std::vector<double>> rows_of_fold;
    const auto answers = cross_validated(set, binary, 4, 7, [&](const FeatureSet&, const FeatureSet& test) {
        for (const double row : numbers_of(test.x)) rows_of_fold[fold].push_back(row);
        Answers out;  // every fit answers from a range of its own
        out.probabilities = (test.x.to(at::kDouble) / 100 + fold).repeat({1, 2});
        out.thresholds = {fold + 0.195};
        ++fold;
        return out;
    });
    const auto ones = numbers_of(answers.probabilities.select(1, 1));
    for (const auto& [f, rows] : rows_of_fold) {
        INFO(f);
        double mean = 0;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const auto row = static_cast<std::size_t>(rows[i]);
            mean += ones[row] / static_cast<double>(rows.size());
            if (i > 0) CHECK(ones[row] > ones[static_cast<std::size_t>(rows[i - 1])]);
        }
        CHECK(mean == Approx(1.7).margin(0.1));  // of 0 to 3.39; as answered 0.2, 1.2, 2.2 and 3.2
    }
}

TEST_CASE("a fit that knows nothing but how frequent a class is has an AUC of 0.5, not less") {
    FeatureSet set;
    constexpr std::int64_t rows = 101;  // no five folds share its classes evenly
    set.x = at::zeros({rows, 1});
    for (int i = 0; i < rows; ++i) {
        set.labels.push_back(i % 7 < 3 ? 1 : 0);
        set.patients.push_back(i);
    }
    const auto answers =
        cross_validated(set, binary, 5, 1, [](const FeatureSet& train, const FeatureSet& test) {
            const auto ones = std::count(train.labels.begin(), train.labels.end(), 1);
            Answers out;
            out.probabilities =
                at::full({test.x.size(0), 2},
                         static_cast<double>(ones) / static_cast<double>(train.labels.size()), at::kDouble);
            out.thresholds = {0.5};
            return out;
        });
    CHECK(selection_auc(answers.probabilities, binary, set.labels) == Approx(0.5));
}

TEST_CASE("more folds than patients are refused") {
    Watching watching;
    CHECK_THROWS_AS(cross_validated(numbered(6), binary, 5, 0, std::ref(watching)), DataError);
}

TEST_CASE("an evaluation in folds tests every film once, and finds what there is") {
    const Findings films({"eval.folds=5", "eval.train_where=", "eval.test_where=", "eval.overlap=true"});
    const auto plan = films.built();
    const auto result = evaluate(films.recipe, with_parts(), plan, *films.recipe.eval, c10::kCPU);
    CHECK(result.train_images == 90);
    CHECK(result.test_images == 90);
    CHECK(result.test_patients == 45);
    CHECK(result.predicted == "left, top");
    CHECK(result.folds == 5);
    for (const auto& score : result.scores) {
        INFO(score.model << " " << score.classifier);
        CHECK(score.probabilities.size() == 180);
        CHECK(score.auc.value > 0.8);
        CHECK(score.class_auc.size() == 2);
    }
    CHECK_THAT(result.protocol,
               Contains("; 5 folds by patient: each image's answer is that of the fit without"));
}

TEST_CASE("labels that say nothing are not found by folds") {
    Findings films({"eval.folds=5", "eval.train_where=", "eval.test_where=", "eval.label=noise",
                    "eval.positive=1", "eval.overlap=true"},
                   0);
    std::string table = "path,patient,noise\n";
    write_findings(films.folder, 120);
    for (int i = 0; i < 120; ++i) table += fmt::format("{:03}.png,{},{}\n", i, i / 2, i * 7919 % 13 % 2);
    films.folder.write("films.csv", table);
    films.recipe.data.where = "";
    const auto plan = films.built();
    const auto result = evaluate(films.recipe, with_parts(), plan, *films.recipe.eval, c10::kCPU);
    for (const auto& score : result.scores) {
        INFO(score.model << " " << score.classifier << " " << score.auc.value);
        CHECK(score.auc.value == Approx(0.5).margin(0.2));
    }
}

TEST_CASE("what is opened before training for an evaluation in folds is what is tested at the end") {
    const std::vector<std::string> folds = {"eval.folds=5",
                                            "eval.train_where=", "eval.test_where=", "eval.overlap=true"};
    const Findings films(folds);
    const auto [train, test] = open_evaluated(films.recipe, *films.recipe.eval);
    CHECK(train.images->size() == 90);
    CHECK(test.images->size() == 90);
    REQUIRE(test.notes.size() == 1);
    CHECK_THAT(test.notes[0], Contains("60 of 90 test images are known from the images of [data]"));
    const Findings few(folds, 8);
    CHECK_THROWS_WITH(open_evaluated(few.recipe, *few.recipe.eval),
                      Contains("found 4 patients, expected at least one for each of 5 folds"));
    const Findings split;
    CHECK(open_evaluated(split.recipe, *split.recipe.eval).second.images->size() == 30);
}

TEST_CASE("a probe while training holds out the first fold") {
    const Findings films({"eval.folds=5", "eval.train_where=", "eval.test_where=", "eval.overlap=true"});
    const auto [train, test] = open_splits(films.recipe, *films.recipe.eval);
    CHECK(train.images->size() + test.images->size() == 90);
    CHECK(test.images->size() == 18);
    for (const int patient : test.labels.patients)
        CHECK(std::count(train.labels.patients.begin(), train.labels.patients.end(), patient) == 0);
}
