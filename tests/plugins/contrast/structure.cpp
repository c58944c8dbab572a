// The structure-consistency loss against eq. 12 written as loops.
#include <catch2/catch.hpp>
#include <cmath>

#include "cases.hpp"

namespace contrast_structure {

using namespace hearth;
using namespace hearth::test;

namespace {

struct Reading {
    bool as_printed = false, positions = false, alignment = false;
    double temperature_student = 0.1, temperature = 0.1, clamp = 1e-8;
    Changes changes() const {
        return {{"as_printed", as_printed},
                {"average", std::string(positions ? "positions" : "tokens")},
                {"form", std::string(alignment ? "alignment" : "contrast")},
                {"temperature_student", Schedule(temperature_student)},
                {"temperature", Schedule(temperature)}};
    }
};

double naive(const Case& in, const Reading& reading) {
    const auto batch = in.logits.size(0), length = in.logits.size(1), clusters = in.logits.size(2);
    const auto z = in.logits.accessor<double, 3>();
    const auto c = in.prototypes.accessor<double, 2>();
    const auto abnormal = in.labels.accessor<bool, 2>();
    double all = 0, by_position = 0, tokens = 0;
    for (int j = 0; j < length; ++j) {
        double here = 0, count = 0;
        for (int i = 0; i < batch; ++i) {
            if (abnormal[i][j]) continue;
            std::vector<double> q(clusters);
            double sum = 0;
            for (int k = 0; k < clusters; ++k) sum += q[k] = std::exp(z[i][j][k] / reading.temperature_student);
            for (auto& entry : q) entry /= sum;
            const auto f = [&](int l) {
                double h = 0;
                for (int k = 0; k < clusters; ++k) h -= q[k] * std::log(std::max(c[l][k], reading.clamp));
                return std::exp((reading.as_printed ? h : -h) / reading.temperature);
            };
            double below = 0, aligned = 0;
            for (int l = 0; l < length; ++l) below += f(l);
            for (int k = 0; k < clusters; ++k) aligned -= c[j][k] * std::log(q[k]);
            here += reading.alignment ? aligned : -std::log(f(j) / below);
            count += 1;
        }
        all += here, tokens += count;
        if (count > 0) by_position += here / count / static_cast<double>(length);
    }
    return reading.positions ? by_position : tokens > 0 ? all / tokens : 0;
}

LossOutput structure(const Case& in, const Changes& changes = {}) {
    return make<Loss>("structure-contrast", changes)->forward(in.in(), Context{});
}

}  // namespace

TEST_CASE("structure loss equals eq. 12, in every reading") {
    const auto printed = GENERATE(false, true), positions = GENERATE(false, true);
    const auto alignment = GENERATE(false, true);
    const Reading reading{printed, positions, alignment, 0.13, 0.31};
    const auto in = example(3, 4, 5);
    CHECK(structure(in, reading.changes()).total.item<double>() == Approx(naive(in, reading)).epsilon(1e-10));
    const auto error = gradient_error(
        [&](const at::Tensor& x) {
            return structure({x, in.prototypes, in.labels}, reading.changes()).total;
        },
        in.logits);
    CHECK(error < 1e-8);
}

TEST_CASE("structure loss with one cluster or one position is finite") {
    const auto one_cluster = example(2, 4, 1), one_position = example(2, 1, 5);
    CHECK(structure(one_cluster).total.item<double>() == Approx(std::log(4.0)));
    CHECK(structure(one_position).total.item<double>() == Approx(0).margin(1e-12));
}

TEST_CASE("prototype entries of zero are clamped") {
    auto in = example(2, 4, 5);
    in.prototypes = at::one_hot(at::arange(4), 5).to(at::kDouble);
    CHECK(structure(in).total.item<double>() == Approx(naive(in, {})).epsilon(1e-10));
}

TEST_CASE("moving tokens toward their own prototypes lowers the structure loss, as printed it raises it") {
    const auto in = example(3, 9, 6);
    auto closer = in;
    closer.logits = in.logits + 0.02 * in.prototypes.log().unsqueeze(0);  // toward q = c
    for (const bool printed : {false, true}) {
        const auto before = structure(in, {{"as_printed", printed}}).total.item<double>();
        const auto after = structure(closer, {{"as_printed", printed}}).total.item<double>();
        CHECK((after < before) == !printed);
        CHECK(after != before);
    }
}

TEST_CASE("with a mask of zeros every token is normal") {
    auto in = example(3, 4, 5);
    in.labels.fill_(false);
    CHECK(structure(in).total.item<double>() == Approx(naive(in, {})).epsilon(1e-10));
}

TEST_CASE("with every token abnormal the structure loss and its gradient are exactly 0") {
    const auto positions = GENERATE("tokens", "positions");
    auto in = example(3, 4, 5);
    in.labels.fill_(true);
    in.logits.set_requires_grad(true);
    const auto out = structure(in, {{"threshold", std::string("zero")}, {"average", std::string(positions)}});
    out.total.backward();
    CHECK(out.total.item<double>() == 0);
    CHECK(in.logits.grad().eq(0).all().item<bool>());
    CHECK(out.per_sample.eq(0).all().item<bool>());
}

TEST_CASE("abnormal tokens get no gradient, prototypes neither") {
    auto in = example(3, 4, 5);
    in.logits.set_requires_grad(true), in.prototypes.set_requires_grad(true);
    structure(in).total.backward();
    CHECK(in.logits.grad().masked_select(in.labels.unsqueeze(-1)).eq(0).all().item<bool>());
    CHECK(in.logits.grad().abs().sum(-1).masked_select(in.labels.logical_not()).gt(0).all().item<bool>());
    CHECK(!in.prototypes.grad().defined());
}

TEST_CASE("per-sample values of the structure loss are means over the image") {
    const auto in = example(3, 4, 5);
    const auto out = structure(in);
    for (int i = 0; i < 3; ++i) {
        const Case alone{in.logits.narrow(0, i, 1), in.prototypes, in.labels.narrow(0, i, 1)};
        CHECK(out.per_sample[i].item<double>() == Approx(naive(alone, {})).epsilon(1e-10));
    }
    CHECK(!out.per_sample.requires_grad());
    CHECK(out.terms.at(0).first == "structure");
}

TEST_CASE("position_top1 is 1 where tokens sit on distinct prototypes") {
    auto in = example(2, 4, 5);
    in.prototypes = (at::eye(4, 5, at::kDouble) * 9).softmax(-1);
    in.logits = (at::eye(4, 5, at::kDouble)).unsqueeze(0).repeat({2, 1, 1});
    const auto terms = structure(in).terms;
    REQUIRE(terms.at(1).first == "position_top1");
    CHECK(terms.at(1).second.item<float>() == 1.0F);
}

TEST_CASE("two ranks give the structure gradient of the whole batch") {
    const auto average = GENERATE("tokens", "positions");
    const Changes changes = {{"average", std::string(average)}};
    auto in = example(4, 4, 5);
    const auto split = averaged_gradient("structure-contrast", changes, in, 2);
    in.logits.set_requires_grad(true);
    structure(in, changes).total.backward();
    CHECK(distance(split, in.logits.grad()) < 1e-14);
}

TEST_CASE("the structure loss is computed in fp32 under autocast") {
    auto in = example(3, 4, 5);
    const auto exact = structure(in).total.item<double>();
    in.logits = in.logits.to(at::kBFloat16);
    const Autocast autocast;
    const auto total = structure(in).total;
    CHECK(total.scalar_type() == at::kFloat);
    CHECK(total.item<double>() == Approx(exact).epsilon(0.02));
}

}  // namespace contrast_structure
