// VICReg: its three terms against loops.
#include <algorithm>
#include <cmath>

#include "cases.hpp"
#include "support/autocast.hpp"

namespace joint_vicreg {

using namespace hearth;
using namespace hearth::test;

namespace {

std::shared_ptr<Loss> vicreg(double invariance, double variance, double covariance, std::int64_t width) {
    return loss_of("vicreg", {{"invariance", invariance}, {"variance", variance}, {"covariance", covariance}},
                   width);
}

struct Terms {
    double invariance = 0, variance = 0, covariance = 0;
};

/// Eq. 1 to 6, one number after the other.
Terms reference(const at::Tensor& x, const at::Tensor& y) {
    const auto n = x.size(0), width = x.size(1);
    Terms out;
    for (std::int64_t b = 0; b < n; ++b)
        for (std::int64_t j = 0; j < width; ++j)
            out.invariance +=
                std::pow(x[b][j].item<double>() - y[b][j].item<double>(), 2) / static_cast<double>(n * width);
    for (const auto& view : {x, y})
        for (std::int64_t i = 0; i < width; ++i)
            for (std::int64_t j = 0; j < width; ++j) {
                const double mean_i = view.select(1, i).mean().item<double>();
                const double mean_j = view.select(1, j).mean().item<double>();
                double c = 0;
                for (std::int64_t b = 0; b < n; ++b)
                    c += (view[b][i].item<double>() - mean_i) * (view[b][j].item<double>() - mean_j) /
                         static_cast<double>(n - 1);
                if (i == j)
                    out.variance += std::max(0.0, 1 - std::sqrt(c + 1e-4)) / static_cast<double>(2 * width);
                else
                    out.covariance += c * c / static_cast<double>(width);
            }
    return out;
}

}  // namespace

TEST_CASE("vicreg is the weighted sum of eq. 1 to 6") {
    const auto x = embeddings(7, 4, 1), y = embeddings(7, 4, 2);
    const auto expected = reference(x, y);
    const auto out = vicreg(3, 5, 7, 4)->forward(two_views(x, y), {});
    CHECK(term(out, "invariance") == Approx(expected.invariance).epsilon(1e-10));
    CHECK(term(out, "variance") == Approx(expected.variance).epsilon(1e-10));
    CHECK(term(out, "covariance") == Approx(expected.covariance).epsilon(1e-10));
    CHECK(expected.variance > 0.05);  // some coordinates vary less than they have to
    CHECK(out.total.item<double>() ==
          Approx(3 * expected.invariance + 5 * expected.variance + 7 * expected.covariance).epsilon(1e-10));
    CHECK(term(out, "vicreg") == out.total.item<double>());
}

TEST_CASE("the factors are the paper's unless a recipe says otherwise") {
    const auto x = embeddings(7, 4, 1), y = embeddings(7, 4, 2);
    const auto total = [&](const std::shared_ptr<Loss>& loss) {
        return loss->forward(two_views(x, y), {}).total.item<double>();
    };
    CHECK(total(loss_of("vicreg", {}, 4)) == total(vicreg(25, 25, 1, 4)));
}

TEST_CASE(
    "equal views that vary enough and are uncorrelated cost nothing, collapse costs 0.99 of the variance") {
    const auto h = at::tensor({1, 1, 1, -1, 1, -1, 1, -1, -1, -1, -1, 1}, at::kDouble).view({4, 3});
    const auto loss = vicreg(25, 25, 1, 3);
    CHECK(loss->forward(two_views(h, h), {}).total.item<double>() < 1e-20);
    const auto same = at::full({4, 3}, 2.5, at::kDouble);
    CHECK(loss->forward(two_views(same, same), {}).total.item<double>() == Approx(25 * 0.99).epsilon(1e-10));
    const auto alone = loss->forward(two_views(same.slice(0, 0, 1), same.slice(0, 0, 1)), {});
    CHECK(alone.total.item<double>() == Approx(25 * 0.99).epsilon(1e-10));
}

TEST_CASE("a shift of all embeddings, and which view is which, do not matter") {
    const auto x = embeddings(6, 4, 1), y = embeddings(6, 4, 2);
    const auto loss = vicreg(25, 25, 1, 4);
    const auto of = [&](const at::Tensor& a, const at::Tensor& b) {
        return loss->forward(two_views(a, b), {}).total.item<double>();
    };
    CHECK(of(x + 9, y + 9) == Approx(of(x, y)).epsilon(1e-9));
    CHECK(of(y, x) == Approx(of(x, y)).epsilon(1e-12));
}

TEST_CASE("the gradient of vicreg is that of central differences, by both views") {
    const auto x = embeddings(5, 4, 1), y = embeddings(5, 4, 2);
    const auto loss = vicreg(25, 25, 1, 4);
    CHECK(gradient_error([&](const at::Tensor& z) { return loss->forward(two_views(z, y), {}).total; }, x) <
          1e-6);
    CHECK(gradient_error([&](const at::Tensor& z) { return loss->forward(two_views(x, z), {}).total; }, y) <
          1e-6);
}

TEST_CASE("two processes have the three terms of one with the whole batch") {
    check_two_processes("vicreg", {}, embeddings(6, 4, 1), embeddings(6, 4, 2));
}

TEST_CASE("vicreg reads bf16 embeddings in fp32") {
    const auto x = embeddings(6, 4, 1).to(at::kBFloat16), y = embeddings(6, 4, 2).to(at::kBFloat16);
    const auto out = in_bf16([&] { return vicreg(1, 1, 1, 4)->forward(two_views(x, y), {}); });
    const auto expected = reference(x.to(at::kDouble), y.to(at::kDouble));
    CHECK(out.total.scalar_type() == at::kFloat);
    CHECK(out.total.item<double>() ==
          Approx(expected.invariance + expected.variance + expected.covariance).epsilon(1e-5));
}

}  // namespace joint_vicreg
