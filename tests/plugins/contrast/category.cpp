// The category-consistency loss against eq. 14-16 written as loops.
#include <catch2/catch.hpp>
#include <cmath>

#include "cases.hpp"

namespace contrast_category {

using namespace hearth;
using namespace hearth::test;

namespace {

struct Reading {
    bool as_printed = false, self = false, batch = false;
    std::string prototype_term = "sum";
    double temperature_student = 0.1, temperature = 0.1;
    Changes changes() const {
        return {{"as_printed", as_printed},
                {"self_positive", self},
                {"average", std::string(batch ? "batch" : "anchors")},
                {"prototype_term", prototype_term},
                {"temperature_student", Schedule(temperature_student)},
                {"temperature", Schedule(temperature)}};
    }
};

/// `positives`: the logits from which the second argument of positive pairs is taken.
double naive(const Case& in, const Reading& reading, const at::Tensor& positives) {
    const auto batch = in.logits.size(0), length = in.logits.size(1), clusters = in.logits.size(2);
    const auto c = in.prototypes.accessor<double, 2>();
    const auto abnormal = in.labels.accessor<bool, 2>();
    const auto softmax = [&](const at::Tensor& logits, int i, int j) {
        const auto z = logits.accessor<double, 3>();
        std::vector<double> values(clusters);
        double sum = 0;
        for (int k = 0; k < clusters; ++k)
            sum += values[k] = std::exp(z[i][j][k] / reading.temperature_student);
        for (auto& value : values) value /= sum;
        return values;
    };
    const auto q = [&](int i, int j) { return softmax(in.logits, i, j); };
    const auto f = [&](const std::vector<double>& a, const std::vector<double>& b) {
        double h = 0;
        for (int k = 0; k < clusters; ++k) h -= a[k] * std::log(b[k]);
        return std::exp((reading.as_printed ? h : -h) / reading.temperature);
    };
    double sum = 0, anchors = 0;
    for (int j = 0; j < length; ++j) {
        std::vector<double> prototype(clusters);
        for (int k = 0; k < clusters; ++k) prototype[k] = std::max(c[j][k], 1e-8);
        for (int i = 0; i < batch; ++i) {
            double pos = 0, neg = 0, against = 0, others = 0, negatives = 0;
            for (int b = 0; b < batch; ++b) {
                if (abnormal[b][j]) {
                    neg += f(q(i, j), q(b, j));
                    against += f(q(b, j), prototype);
                    negatives += 1;
                } else if (b != i || reading.self) {
                    pos += f(q(i, j), softmax(positives, b, j));
                    others += 1;
                }
            }
            if (abnormal[i][j] || others == 0) continue;
            if (reading.prototype_term == "sum") neg += against;
            if (reading.prototype_term == "mean" && negatives > 0) neg += against / negatives;
            sum -= std::log(pos / (pos + neg));
            anchors += 1;
        }
    }
    if (reading.batch) return sum / static_cast<double>(length * batch);
    return anchors > 0 ? sum / anchors : 0;
}

double naive(const Case& in, const Reading& reading) {
    return naive(in, reading, in.logits);
}

LossOutput category(const Case& in, const Changes& changes = {}) {
    return make<Loss>("category-contrast", changes)->forward(in.in(), Context{});
}

}  // namespace

TEST_CASE("category loss equals eq. 14-16, in every reading") {
    const auto printed = GENERATE(false, true), self = GENERATE(false, true), batch = GENERATE(false, true);
    const std::string term = GENERATE("sum", "mean", "none");
    const Reading reading{printed, self, batch, term, 0.13, 0.31};
    const auto in = example(4, 4, 5);
    CHECK(category(in, reading.changes()).total.item<double>() == Approx(naive(in, reading)).epsilon(1e-10));
    const auto error = gradient_error(
        [&](const at::Tensor& x) {
            return category({x, in.prototypes, in.labels}, reading.changes()).total;
        },
        in.logits);
    CHECK(error < 1e-8);
}

TEST_CASE("stop_positive keeps the value and holds the second argument of positive pairs constant") {
    const auto in = example(4, 4, 5);
    const Reading reading{.temperature_student = 0.13, .temperature = 0.31};
    auto stop = reading.changes();
    stop.emplace_back("stop_positive", true);
    CHECK(category(in, stop).total.item<double>() == Approx(naive(in, reading)).epsilon(1e-10));

    auto leaf = in;
    leaf.logits = in.logits.clone().set_requires_grad(true);
    category(leaf, stop).total.backward();
    auto moved = in;
    moved.logits = in.logits.clone();
    double worst = 0;
    for (std::int64_t n = 0; n < in.logits.numel(); ++n) {
        auto entry = moved.logits.view(-1)[n];
        entry.add_(1e-5);
        const auto above = naive(moved, reading, in.logits);
        entry.sub_(2e-5);
        const auto below = naive(moved, reading, in.logits);
        entry.add_(1e-5);
        worst =
            std::max(worst, std::abs(leaf.logits.grad().view(-1)[n].item<double>() - (above - below) / 2e-5));
    }
    CHECK(worst < 1e-7);
}

TEST_CASE("without abnormal tokens there are no negatives: the category loss is 0 and finite") {
    auto in = example(3, 4, 5);
    in.labels.fill_(false);
    in.logits.set_requires_grad(true);
    const auto out = category(in);
    out.total.backward();
    CHECK(out.total.item<double>() == 0);
    CHECK(in.logits.grad().eq(0).all().item<bool>());
}

TEST_CASE("with every token abnormal the category loss and its gradient are exactly 0") {
    const std::string average = GENERATE("anchors", "batch"), term = GENERATE("sum", "mean", "none");
    auto in = example(3, 4, 5);
    in.labels.fill_(true);
    in.logits.set_requires_grad(true);
    const auto out =
        category(in, {{"threshold", std::string("zero")}, {"average", average}, {"prototype_term", term}});
    out.total.backward();
    CHECK(out.total.item<double>() == 0);
    CHECK(in.logits.grad().eq(0).all().item<bool>());
    CHECK(out.per_sample.eq(0).all().item<bool>());
}

TEST_CASE("a position with fewer than two normal tokens contributes nothing") {
    auto in = example(3, 4, 5);
    in.labels.fill_(true).select(1, 1).fill_(false);
    in.labels[2][1].fill_(true);   // position 1: two normal, one abnormal
    in.labels[0][3].fill_(false);  // position 3: a single normal token
    in.logits.set_requires_grad(true);
    const auto out = category(in, {{"threshold", std::string("zero")}});
    out.total.backward();
    CHECK(out.total.item<double>() == Approx(naive(in, {})).epsilon(1e-10));
    CHECK(in.logits.grad().select(1, 1).abs().sum(-1).gt(0).all().item<bool>());
    CHECK(in.logits.grad().select(1, 3).eq(0).all().item<bool>());
}

TEST_CASE("one image, one cluster, one position are finite") {
    auto alone = example(1, 4, 5);
    alone.logits.set_requires_grad(true);
    const auto out = category(alone);
    out.total.backward();
    CHECK(out.total.item<double>() == 0);
    CHECK(alone.logits.grad().eq(0).all().item<bool>());
    for (const auto& in : {example(3, 4, 1), example(3, 1, 5)})
        CHECK(category(in).total.item<double>() == Approx(naive(in, {})).epsilon(1e-10).margin(1e-12));
}

TEST_CASE("the category loss vanishes where lesions are told from normal tokens and is high where not") {
    auto in = example(4, 4, 5);
    const auto cluster = [](std::int64_t k) {
        return at::one_hot(at::full({1}, k, at::kLong), 5).to(at::kDouble);
    };
    in.prototypes = (cluster(0) * 9).softmax(-1).expand({4, 5});
    const auto told = at::where(in.labels.unsqueeze(-1), cluster(1), cluster(0));
    const auto mixed = cluster(0).expand_as(told);
    CHECK(category({told, in.prototypes, in.labels}).total.item<double>() < 1e-6);
    CHECK(category({mixed.contiguous(), in.prototypes, in.labels}).total.item<double>() > 0.2);
    CHECK(category({told, in.prototypes, in.labels}, {{"as_printed", true}}).total.item<double>() > 1);
}

TEST_CASE("per-sample values of the category loss are means over the image's anchors") {
    const auto in = example(4, 4, 5);
    const auto out = category(in);
    const auto counts = at::where(in.labels.logical_not().sum(0) >= 2, in.labels.logical_not(), false).sum(1);
    const auto total = (out.per_sample * counts).sum() / counts.sum();
    CHECK(total.item<double>() == Approx(naive(in, {})).epsilon(1e-10));
    CHECK(!out.per_sample.requires_grad());
    CHECK(out.terms.at(0).first == "category");
}

TEST_CASE("prototypes get no gradient from the category loss") {
    auto in = example(3, 4, 5);
    in.logits.set_requires_grad(true), in.prototypes.set_requires_grad(true);
    category(in).total.backward();
    CHECK(!in.prototypes.grad().defined());
}

TEST_CASE("two ranks give the category gradient of the whole batch") {
    const std::string average = GENERATE("anchors", "batch"), term = GENERATE("sum", "mean", "none");
    const bool stop = GENERATE(false, true);
    const Changes changes = {{"average", average}, {"prototype_term", term}, {"stop_positive", stop}};
    auto in = example(4, 4, 5);
    const auto split = averaged_gradient("category-contrast", changes, in, 2);
    in.logits.set_requires_grad(true);
    category(in, changes).total.backward();
    CHECK(distance(split, in.logits.grad()) < 1e-14);
}

TEST_CASE("the category loss is computed in fp32 under autocast") {
    auto in = example(3, 4, 5);
    const auto exact = category(in).total.item<double>();
    in.logits = in.logits.to(at::kBFloat16);
    const Autocast autocast;
    const auto total = category(in).total;
    CHECK(total.scalar_type() == at::kFloat);
    CHECK(total.item<double>() == Approx(exact).epsilon(0.02));
}

}  // namespace contrast_category
