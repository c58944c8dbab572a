// Probes of several labels: each label as by itself, over the rows where it is known.
#include "eval/probe/multilabel.hpp"

#include <ATen/ATen.h>

#include <cmath>

#include "eval/findings.hpp"
#include "eval/metrics/metrics.hpp"
#include "eval/probe/classifiers.hpp"
#include "eval/probe/evaluate.hpp"
#include "runs/compare.hpp"

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::runs;
using namespace hearth::test;

namespace {

constexpr Task three_labels = {.classes = 3, .several = true};

/// Gaussian rows with three labels, each along an axis of its own. Label 1 is known for two rows of three,
/// label 2 for every other. Two rows in a row are of one patient.
FeatureSet labelled_rows(std::int64_t rows, double distance) {
    FeatureSet set;
    set.x = at::randn({rows, 8});
    for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t c = 0; c < 3; ++c) {
            const int label = static_cast<int>((i * (c + 3) / 4 + c) % 2);
            set.x[i][c] += distance * label;
            set.labels.push_back((c == 1 && i % 3 == 0) || (c == 2 && i % 2 == 0) ? -1 : label);
        }
        set.patients.push_back(static_cast<int>(i / 2));
    }
    return set;
}

/// The rows where a label is known, as a set of two classes.
FeatureSet one_label(const FeatureSet& set, std::size_t c) {
    FeatureSet out;
    std::vector<at::Tensor> rows;
    for (std::size_t i = 0; i < set.patients.size(); ++i) {
        const int label = set.labels[3 * i + c];
        if (label < 0) continue;
        rows.push_back(set.x[static_cast<std::int64_t>(i)]);
        out.labels.push_back(label);
        out.patients.push_back(set.patients[i]);
    }
    out.x = at::stack(rows);
    return out;
}

using Rows = std::vector<std::vector<double>>;

Rows centred_unit_rows(const at::Tensor& x, const at::Tensor& train) {
    Rows out;
    for (std::int64_t i = 0; i < x.size(0); ++i) {
        std::vector<double> row;
        double squares = 0;
        for (std::int64_t d = 0; d < x.size(1); ++d) {
            double mean = 0;
            for (std::int64_t j = 0; j < train.size(0); ++j) mean += train[j][d].item<double>();
            row.push_back(x[i][d].item<double>() - mean / static_cast<double>(train.size(0)));
            squares += row.back() * row.back();
        }
        for (double& value : row) value /= std::sqrt(squares);
        out.push_back(row);
    }
    return out;
}

/// Votes for label c of one test row, in double precision.
double naive_votes(const std::vector<double>& row, const Rows& train, const FeatureSet& set, std::size_t c,
                   std::size_t k) {
    std::vector<std::pair<double, int>> neighbours;
    for (std::size_t j = 0; j < train.size(); ++j) {
        const int label = set.labels[3 * j + c];
        double similarity = 0;
        for (std::size_t d = 0; d < row.size(); ++d) similarity += row[d] * train[j][d];
        if (label >= 0) neighbours.emplace_back(similarity, label);
    }
    std::sort(neighbours.rbegin(), neighbours.rend());
    double all = 0, ones = 0;
    for (std::size_t n = 0; n < std::min(k, neighbours.size()); ++n) {
        all += std::exp(neighbours[n].first / 0.07);
        ones += neighbours[n].second * std::exp(neighbours[n].first / 0.07);
    }
    return ones / all;
}

}  // namespace

TEST_CASE("a linear probe of several labels gives each what it gets alone, on the rows where it is known") {
    at::manual_seed(1);
    const auto train = labelled_rows(200, 1.5), test = labelled_rows(60, 1.5);
    const auto answers = linear_answers(train, test, three_labels, 3);
    REQUIRE(answers.probabilities.sizes() == at::IntArrayRef({60, 3}));
    for (std::size_t c = 0; c < 3; ++c) {
        INFO(c);
        const auto alone = linear_probe(one_label(train, c), test, 2, 3);
        CHECK(at::equal(answers.probabilities.select(1, static_cast<std::int64_t>(c)),
                        alone.probabilities.select(1, 1)));
        CHECK(answers.thresholds[c] == alone.threshold);
        CHECK(answers.l2[c] == alone.l2);
        CHECK(label_auc(numbers_of(answers.probabilities), 3, test.labels)[c] > 0.7);
    }
}

TEST_CASE("k-NN of several labels votes as a loop over the known neighbours does") {
    at::manual_seed(2);
    const auto train = labelled_rows(40, 1), test = labelled_rows(12, 1);
    const auto votes = knn_answers(train, test, three_labels, 5).probabilities;
    const auto known = centred_unit_rows(train.x, train.x), asked = centred_unit_rows(test.x, train.x);
    for (std::size_t i = 0; i < asked.size(); ++i)
        for (std::size_t c = 0; c < 3; ++c)
            CHECK(votes[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(c)].item<double>() ==
                  Approx(naive_votes(asked[i], known, train, c, 5)).epsilon(1e-4));
}

TEST_CASE("k-NN of several labels gives each what it gets alone where all are known") {
    at::manual_seed(3);
    auto train = labelled_rows(40, 1);
    for (int& label : train.labels) label = std::max(label, 0);
    const auto test = labelled_rows(10, 1);
    const auto votes = knn_answers(train, test, three_labels, 7).probabilities;
    for (std::size_t c = 0; c < 3; ++c)
        CHECK(at::equal(votes.select(1, static_cast<std::int64_t>(c)),
                        knn(one_label(train, c), test, 2, 7).select(1, 1)));
}

TEST_CASE("of a label that no training row knows, a probe says one half") {
    at::manual_seed(4);
    auto train = labelled_rows(30, 1);
    for (std::size_t i = 1; i < train.labels.size(); i += 3) train.labels[i] = -1;
    const auto test = labelled_rows(5, 1);
    const auto half = at::full({5}, 0.5, at::kDouble);
    CHECK(at::equal(linear_answers(train, test, three_labels, 0).probabilities.select(1, 1), half));
    CHECK(at::equal(knn_answers(train, test, three_labels, 3).probabilities.select(1, 1), half));
}

TEST_CASE("an evaluation of several labels has the mean AUC and each label's, with intervals by patient") {
    const Findings films({"eval.probe=linear, knn, attentive"});
    const auto plan = films.built();
    const auto evaluation = evaluate(films.recipe, with_parts(), plan, *films.recipe.eval, c10::kCPU);
    CHECK(evaluation.several);
    CHECK(evaluation.classes == std::vector<std::string>{"left", "top"});
    CHECK(evaluation.labels.size() == 2 * evaluation.patients.size());
    REQUIRE(evaluation.scores.size() == 9);
    for (const auto& score : evaluation.scores) {
        INFO(score.classifier << " " << score.model);
        CHECK(score.probabilities.size() == evaluation.labels.size());
        REQUIRE(score.class_auc.size() == 2);
        const auto each = label_auc(score.probabilities, 2, evaluation.labels);
        for (std::size_t c = 0; c < 2; ++c) {
            CHECK(score.class_auc[c].value == Approx(each[c]).epsilon(1e-12));
            CHECK(score.class_auc[c].low <= score.class_auc[c].value);
            CHECK(score.class_auc[c].value <= score.class_auc[c].high);
        }
        CHECK(score.auc.value == Approx((each[0] + each[1]) / 2).epsilon(1e-12));
        CHECK((score.auc.low <= score.auc.value && score.auc.value <= score.auc.high));
        CHECK(score.thresholds.size() == 2);
        CHECK(score.class_l2.size() == (score.classifier == "linear" ? 2 : 0));
        CHECK((score.learning_rate > 0) == (score.classifier == "attentive"));
    }
    CHECK(find_score(evaluation, "linear", "trained")->auc.value > 0.7);  // 0.5: nothing found
    REQUIRE(evaluation.differences.size() == 6);
    for (const auto& difference : evaluation.differences) {
        if (difference.baseline != "untrained") continue;
        CHECK(difference.auc.value == 0);  // nothing was trained
        CHECK(difference.auc.p_value == 1);
    }
    const auto text = to_json(evaluation).dump();
    CHECK(to_json(evaluation_from_json(nlohmann::json::parse(text))).dump() == text);
    CHECK(to_json(evaluate(films.recipe, with_parts(), plan, *films.recipe.eval, c10::kCPU)).dump() == text);

    const auto rows = compare(evaluation, evaluation);
    REQUIRE(rows.size() == 9);  // of each probe two labels and the mean
    CHECK(rows[0].positive == "left");
    CHECK(rows[2].positive == "macro");
    CHECK(rows[2].delong.first == evaluation.scores[0].auc.value);
}

TEST_CASE("the probe while training gives the means of the evaluation's k-NN") {
    const Findings films;
    const auto plan = films.built();
    const auto splits = open_splits(films.recipe, *films.recipe.eval);
    const auto values = quick_probe(films.recipe, *films.recipe.eval, splits, plan, {});
    const auto evaluation = evaluate(films.recipe, with_parts(), plan, *films.recipe.eval, c10::kCPU);
    const auto& score = *find_score(evaluation, "knn", "trained");
    REQUIRE(values.size() == 2);
    CHECK(values[0].second == Approx(score.auc.value).epsilon(1e-12));
    CHECK(values[1].second == Approx(score.accuracy).epsilon(1e-12));
}

TEST_CASE("what is uncertain or blank counts as the recipe says, or not at all") {
    const auto known = [](const std::vector<std::string>& overrides) {
        const Findings films(overrides);
        const auto labels = open_splits(films.recipe, *films.recipe.eval).second.labels.of;
        return std::count_if(labels.begin(), labels.end(), [](int label) { return label >= 0; });
    };
    const auto ignored = known({}), all = known({"eval.blank=zeros", "eval.uncertain=ones"});
    CHECK(ignored < known({"eval.blank=zeros"}));
    CHECK(known({"eval.blank=zeros"}) < all);
    CHECK(all == 60);
}

TEST_CASE("a follower's features are read where the recipe names it") {
    const Findings films({"eval.network=teacher"});
    auto plan = films.built();
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : plan.state())
        if (name.starts_with("teacher.") && tensor.is_floating_point()) tensor.normal_(0, 0.2);
    auto of_student = *films.recipe.eval;
    of_student.network = "";
    const auto teacher = evaluate(films.recipe, with_parts(), plan, *films.recipe.eval, c10::kCPU);
    const auto student = evaluate(films.recipe, with_parts(), plan, of_student, c10::kCPU);
    CHECK(find_score(teacher, "knn", "trained")->probabilities !=
          find_score(student, "knn", "trained")->probabilities);
    CHECK(find_score(teacher, "knn", "untrained")->probabilities ==
          find_score(student, "knn", "untrained")->probabilities);  // it starts as a copy
    CHECK_THAT(teacher.protocol, Catch::Matchers::Contains("of 'teacher'"));
}
