// Which pairs count, against the loop over all of them, and what is refused.
#include <catch2/catch.hpp>

#include "cases.hpp"

namespace dino_pairs {

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr double student_temperature = 0.1, teacher_temperature = 0.04;

/// The terms of the loop, [teacher view][student view]: mean_b -sum_k P_a log p_v. Same-view pairs are 0.
std::vector<std::vector<at::Tensor>> naive_terms(const Case& sample, const at::Tensor& at_center) {
    auto views = sample.student.unbind(0);
    if (sample.local.defined())
        for (const auto& view : sample.local.unbind(0)) views.push_back(view);
    std::vector<std::vector<at::Tensor>> terms;
    for (std::int64_t a = 0; a < sample.teacher.size(0); ++a) {
        const auto p = ((sample.teacher[a] - at_center) / teacher_temperature).softmax(-1);
        auto& row = terms.emplace_back();
        for (std::int64_t v = 0; v < static_cast<std::int64_t>(views.size()); ++v)
            row.push_back(v == a ? at::zeros({}, at::kDouble)
                                 : -(p * (views[v] / student_temperature).log_softmax(-1)).sum(-1).mean());
    }
    return terms;
}

at::Tensor naive(const Case& sample, const at::Tensor& at_center) {
    auto sum = at::zeros({}, at::kDouble);
    double pairs = 0;
    const auto terms = naive_terms(sample, at_center);
    for (std::size_t a = 0; a < terms.size(); ++a)
        for (std::size_t v = 0; v < terms[a].size(); ++v)
            if (v != a) sum = sum + terms[a][v], pairs += 1;
    return sum / pairs;
}

/// The loss after a first step, so that the centre is not 0.
std::shared_ptr<Loss> warm_loss(const Case& sample) {
    auto loss = loss_for(sample);
    loss->forward(sample.in(), {});
    return loss;
}

Context evaluation() {
    Context context;
    context.training = context.learns = false;
    return context;
}

}  // namespace

TEST_CASE("loss and gradients equal the loop over pairs") {
    for (const auto& [global, local] :
         {std::pair<std::int64_t, std::int64_t>{2, 0}, {2, 3}, {3, 0}, {3, 2}, {4, 1}}) {
        INFO(global << " global and " << local << " local views");
        auto sample = example(global, local, 3, 7);
        const auto loss = warm_loss(sample);
        std::vector<at::Tensor> leaves = {sample.student.set_requires_grad(true)};
        if (local > 0) leaves.push_back(sample.local.set_requires_grad(true));
        const auto found = loss->forward(sample.in(), evaluation()).total,
                   expected = naive(sample, center(*loss));
        CHECK(found.item<double>() == Approx(expected.item<double>()).epsilon(1e-12));
        const auto a = torch::autograd::grad({found * 3}, leaves),
                   b = torch::autograd::grad({expected * 3}, leaves);
        for (std::size_t i = 0; i < leaves.size(); ++i) CHECK(distance(a[i], b[i]) < 1e-12);
    }
}

TEST_CASE("one global view teaches the local ones only") {
    auto sample = example(1, 2, 3, 7);
    sample.student.set_requires_grad(true);
    sample.local.set_requires_grad(true);
    const auto loss = warm_loss(sample);
    const auto found = loss->forward(sample.in(), evaluation()).total, expected = naive(sample, center(*loss));
    CHECK(found.item<double>() == Approx(expected.item<double>()).epsilon(1e-12));
    found.backward();
    CHECK_FALSE(sample.student.grad().defined());
    CHECK(sample.local.grad().abs().sum().item<double>() > 0);
}

TEST_CASE("gradients of the loss equal central differences") {
    const auto sample = example(2, 2, 2, 5);
    const auto loss = warm_loss(sample);
    const auto with = [&](bool local) {
        return [&, local](const at::Tensor& x) {
            auto moved = sample;
            (local ? moved.local : moved.student) = x;
            return loss->forward(moved.in(), evaluation()).total;
        };
    };
    CHECK(gradient_error(with(false), sample.student) < 1e-7);
    CHECK(gradient_error(with(true), sample.local) < 1e-7);
}

TEST_CASE("same-view pairs are skipped: global view 0 of the student is taught by teacher view 1 alone") {
    const auto sample = example(2, 1, 3, 7);
    auto moved = sample;
    moved.student = sample.student.clone();
    moved.student[0].add_(at::randn({3, 7}, at::kDouble));
    const auto loss = loss_for(sample);
    const auto zero = at::zeros({1, 7}, at::kDouble);
    const auto before = naive_terms(sample, zero), after = naive_terms(moved, zero);
    const auto change =
        loss->forward(moved.in(), evaluation()).total - loss->forward(sample.in(), evaluation()).total;
    CHECK(change.item<double>() == Approx(((after[1][0] - before[1][0]) / 4).item<double>()).epsilon(1e-9));
    // And the slope of view 0 does not know teacher view 0.
    const auto slope = [&](const Case& at_case) {
        auto leaf = at_case;
        leaf.student = at_case.student.clone().set_requires_grad(true);
        return torch::autograd::grad({loss->forward(leaf.in(), evaluation()).total}, {leaf.student})[0][0];
    };
    auto other = sample;
    other.teacher = sample.teacher.clone();
    other.teacher[0].add_(at::randn({3, 7}, at::kDouble));
    CHECK(at::equal(slope(other), slope(sample)));
}

TEST_CASE("no pair is a mistake of the recipe") {
    const auto sample = example(1, 0, 3, 7);
    CHECK_THROWS_WITH(loss_for(sample), Catch::Contains("found 1 global view and no local_logits"));
    CHECK_THROWS_AS(loss_for(sample), RecipeError);
    Symbols symbols;  // a size that only the data tells
    symbols.bind("K", 7);
    const auto loss = make<Loss>("dino", {}, symbols);
    CHECK_THROWS_AS(loss->forward(sample.in(), {}), RecipeError);
}

TEST_CASE("a second derivative is refused") {
    auto sample = example(2, 0, 3, 7);
    sample.student.set_requires_grad(true);
    const auto total = loss_for(sample)->forward(sample.in(), {}).total;
    CHECK_THROWS_WITH(torch::autograd::grad({total}, {sample.student}, {}, true, /*create_graph=*/true),
                      Catch::Contains("no second derivative"));
}

TEST_CASE("options out of range are refused") {
    const auto& schema = registry().find(Kind::loss, "dino").schema();
    CHECK_FALSE(schema.find("student_temperature")->check(Schedule(0.0)).empty());
    CHECK_FALSE(schema.find("teacher_temperature")->check(Schedule(-0.04)).empty());
    CHECK_FALSE(schema.find("centre_momentum")->check(Schedule(1.01)).empty());
    CHECK(schema.find("teacher_temperature")->may_schedule);
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
}

}  // namespace dino_pairs
