// The loss cross-entropy against values worked out by hand, against loops, and against ATen's.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "support/autocast.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

std::shared_ptr<Loss> cross_entropy(const Changes& changes = {}, const Symbols& symbols = {}) {
    return test::make<Loss>("cross-entropy", changes, symbols);
}

Tensor labels(const std::vector<std::int64_t>& values) {
    return at::tensor(values, at::kLong);
}

double term(const LossOutput& out, const std::string& name) {
    for (const auto& [found, value] : out.terms)
        if (found == name) return value.item<double>();
    FAIL("no term " + name);
    return 0;
}

/// Rows of probabilities 1/2, 1/4, 1/4 and 1/8, 1/8, 3/4: logarithms that are easy to write down.
Tensor rows() {
    return at::tensor({0.5, 0.25, 0.25, 0.125, 0.125, 0.75}, at::kDouble).view({2, 3}).log();
}

const double ln2 = std::log(2.0), ln4 = std::log(4.0), ln8 = std::log(8.0), ln4_3 = std::log(4.0 / 3.0);

struct Case {
    Tensor logits = at::empty({0});
    Tensor label = at::empty({0});
};

/// Eight samples of four classes, three of them without a label.
Case random_case() {
    at::manual_seed(4);
    return {at::randn({8, 4}, at::kDouble) * 3, labels({0, 3, -1, 2, 2, -1, 1, -1})};
}

}  // namespace

TEST_CASE("the loss is the mean negative logarithm of the label's probability") {
    const auto out = cross_entropy()->forward({{"logits", rows() + 7}, {"label", labels({0, 1})}}, {});
    CHECK(out.total.item<double>() == Approx((ln2 + ln8) / 2));
    CHECK(out.per_sample[0].item<double>() == Approx(ln2));
    CHECK(out.per_sample[1].item<double>() == Approx(ln8));
    CHECK(term(out, "cross_entropy") == Approx((ln2 + ln8) / 2));
    CHECK(term(out, "accuracy") == 0.5);  // the second row is largest at class 2
}

TEST_CASE("equal logits give ln K") {
    const auto out =
        cross_entropy()->forward({{"logits", at::full({5, 14}, 3.0)}, {"label", labels({0, 5, 13, 1, 2})}}, {});
    CHECK(out.total.item<double>() == Approx(std::log(14.0)));
}

TEST_CASE("a sample without a label counts for nothing") {
    auto logits = rows().requires_grad_();
    const auto out = cross_entropy()->forward({{"logits", logits}, {"label", labels({-1, 2})}}, {});
    CHECK(out.total.item<double>() == Approx(ln4_3));
    CHECK(out.per_sample[0].item<double>() == 0);
    CHECK(term(out, "accuracy") == 1);
    out.total.backward();
    CHECK(logits.grad()[0].abs().max().item<double>() == 0);
    CHECK(logits.grad()[1][2].item<double>() == Approx(0.75 - 1));
    CHECK(logits.grad()[1][0].item<double>() == Approx(0.125));
}

TEST_CASE("a batch without labels: 0, a gradient of zeros, and terms that are no number") {
    for (const Changes& changes : {Changes{}, Changes{{"label_smoothing", Schedule(0.1)},
                                                      {"class_weights", std::vector<double>{1, 2, 3}}}}) {
        auto logits = rows().requires_grad_();
        const auto out = cross_entropy(changes)->forward({{"logits", logits}, {"label", labels({-1, -1})}}, {});
        CHECK(out.total.item<double>() == 0);
        for (const std::string name : {"cross_entropy", "accuracy"}) CHECK(std::isnan(term(out, name)));
        out.total.backward();
        REQUIRE(logits.grad().defined());
        CHECK(logits.grad().abs().max().item<double>() == 0);
    }
}

TEST_CASE("label smoothing spreads its share over all classes") {
    const auto loss = cross_entropy({{"label_smoothing", Schedule(0.3)}});
    const auto out = loss->forward({{"logits", rows()}, {"label", labels({0, -1})}}, {});
    // q = 0.8, 0.1, 0.1 for the first row
    CHECK(out.total.item<double>() == Approx(0.8 * ln2 + 0.2 * ln4));
    const auto all = cross_entropy({{"label_smoothing", Schedule(1.0)}});
    const auto row = [&](std::int64_t label) {
        return all->forward({{"logits", rows()}, {"label", labels({label, -1})}}, {}).total.item<double>();
    };
    CHECK(row(0) == Approx(row(2)));
}

TEST_CASE("class weights: each sample counts by the weight of its class") {
    const auto loss = cross_entropy({{"class_weights", std::vector<double>{1, 3, 0.5}}});
    const auto out = loss->forward({{"logits", rows()}, {"label", labels({0, 1})}}, {});
    CHECK(out.total.item<double>() == Approx((ln2 + 3 * ln8) / 4));
    CHECK(out.per_sample[1].item<double>() == Approx(3 * ln8));
    const auto same = cross_entropy({{"class_weights", std::vector<double>{5, 5, 5}}});
    CHECK(same->forward({{"logits", rows()}, {"label", labels({0, 1})}}, {}).total.item<double>() ==
          Approx((ln2 + ln8) / 2));
}

TEST_CASE("smoothing, weights and missing labels together: as ATen, and as the equation") {
    const auto [logits, label] = random_case();
    const std::vector<double> weights = {0.5, 2, 1, 4};
    const double smoothing = 0.2;
    const auto loss = cross_entropy({{"label_smoothing", Schedule(smoothing)}, {"class_weights", weights}});
    const auto out = loss->forward({{"logits", logits}, {"label", label}}, {});
    const auto expected = at::cross_entropy_loss(logits, label, at::tensor(weights, at::kDouble),
                                                 at::Reduction::Mean, -1, smoothing);
    CHECK(std::abs(out.total.item<double>() - expected.item<double>()) < 1e-12);

    double sum = 0, norm = 0;
    for (std::int64_t i = 0; i < 8; ++i) {
        const auto own = label[i].item<std::int64_t>();
        if (own < 0) continue;
        double partition = 0;
        for (std::int64_t k = 0; k < 4; ++k) partition += std::exp(logits[i][k].item<double>());
        double each = 0;
        for (std::int64_t k = 0; k < 4; ++k) {
            const double q = (k == own ? 1 - smoothing : 0) + smoothing / 4;
            each -=
                weights[static_cast<std::size_t>(k)] * q * (logits[i][k].item<double>() - std::log(partition));
        }
        CHECK(std::abs(out.per_sample[i].item<double>() - each) < 1e-12);
        sum += each;
        norm += weights[static_cast<std::size_t>(own)];
    }
    CHECK(std::abs(out.total.item<double>() - sum / norm) < 1e-12);
}

TEST_CASE("the gradient agrees with finite differences") {
    const auto [logits, label] = random_case();
    const auto loss =
        cross_entropy({{"label_smoothing", Schedule(0.1)}, {"class_weights", std::vector<double>{1, 2, 3, 4}}});
    const auto target = label;
    CHECK(test::gradient_error(
              [&](const Tensor& x) {
                  return loss->forward({{"logits", x}, {"label", target}}, {}).total;
              },
              logits, 32) < 1e-7);
}

TEST_CASE("large logits stay finite; bf16 logits are summed in fp32") {
    const auto huge = at::tensor({-1e4F, 1e4F, 0.0F, 1e4F, -1e4F, 0.0F}).view({2, 3});
    const auto out = cross_entropy()->forward({{"logits", huge}, {"label", labels({0, 0})}}, {});
    CHECK(out.total.item<double>() == Approx(1e4));

    const auto [logits, label] = random_case();
    const auto half = logits.to(at::kBFloat16);
    const auto single = test::in_bf16([&] {
        return cross_entropy()->forward({{"logits", half}, {"label", label}}, {});
    });
    CHECK(single.total.scalar_type() == at::kFloat);
    const auto exact = cross_entropy()->forward({{"logits", half.to(at::kDouble)}, {"label", label}}, {});
    CHECK(single.total.item<double>() == Approx(exact.total.item<double>()).epsilon(1e-6));
}

TEST_CASE("terms and per_sample carry no gradient") {
    const auto [logits, label] = random_case();
    const auto out =
        cross_entropy()->forward({{"logits", logits.clone().requires_grad_()}, {"label", label}}, {});
    CHECK(out.total.requires_grad());
    CHECK_FALSE(out.per_sample.requires_grad());
    for (const auto& [name, value] : out.terms) {
        INFO(name);
        CHECK_FALSE(value.requires_grad());
        CHECK(value.dim() == 0);
    }
}

TEST_CASE("labels that are no class are refused, with what to do") {
    const auto run = [](const std::vector<std::int64_t>& label) {
        return cross_entropy()->forward({{"logits", rows()}, {"label", labels(label)}}, {});
    };
    CHECK_THROWS_AS(run({0, 3}), RecipeError);
    CHECK_THROWS_AS(run({-2, 0}), RecipeError);
    CHECK_THROWS_WITH(run({0, 3}), Catch::Contains("found label 3, expected 0 to 2"));
    CHECK_NOTHROW(run({2, -1}));
}

TEST_CASE("options out of range, and weights for another number of classes, are refused") {
    const auto& schema = test::registry().find(Kind::loss, "cross-entropy").schema();
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
    CHECK_FALSE(schema.find("label_smoothing")->check(Schedule(1.5)).empty());
    CHECK_FALSE(schema.find("class_weights")->check(std::vector<double>{1, 0}).empty());
    const Changes two = {{"class_weights", std::vector<double>{1, 2}}};
    Symbols symbols;
    symbols.bind("K", 3);
    CHECK_THROWS_AS(cross_entropy(two, symbols), RecipeError);
    CHECK_THROWS_AS(cross_entropy(two)->forward({{"logits", rows()}, {"label", labels({0, 1})}}, {}),
                    RecipeError);
    symbols.bind("K", 2);
    CHECK_NOTHROW(cross_entropy(two, symbols));
}

TEST_CASE("the label port is of whole numbers") {
    const auto& type = test::registry().find(Kind::loss, "cross-entropy");
    const auto ports = type.reads(test::options(type));
    REQUIRE(ports.size() == 2);
    CHECK(ports[1].name == "label");
    CHECK(ports[1].dtype == "int64");
    CHECK(to_string(ports[1].shape) == "B");
}
