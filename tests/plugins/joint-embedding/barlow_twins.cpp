// Barlow Twins: the cross-correlation against a loop.
#include <cmath>

#include "cases.hpp"
#include "support/autocast.hpp"

namespace joint_barlow_twins {

using namespace hearth;
using namespace hearth::test;

namespace {

std::shared_ptr<Loss> barlow_twins(double lambda, std::int64_t width) {
    return loss_of("barlow-twins", {{"off_diagonal", lambda}}, width);
}

/// Eq. 1 and 2, one pair of coordinates after the other; eps as in batch normalisation.
double reference(const at::Tensor& first, const at::Tensor& second, double lambda) {
    const auto n = first.size(0), width = first.size(1);
    const auto coordinate = [&](const at::Tensor& views, std::int64_t i) {
        std::vector<double> values;
        double mean = 0, var = 0;
        for (std::int64_t b = 0; b < n; ++b) values.push_back(views[b][i].item<double>());
        for (const double value : values) mean += value / static_cast<double>(n);
        for (const double value : values) var += (value - mean) * (value - mean) / static_cast<double>(n);
        for (double& value : values) value = (value - mean) / std::sqrt(var + 1e-5);
        return values;
    };
    double sum = 0;
    for (std::int64_t i = 0; i < width; ++i)
        for (std::int64_t j = 0; j < width; ++j) {
            const auto a = coordinate(first, i), b = coordinate(second, j);
            double c = 0;
            for (std::size_t k = 0; k < a.size(); ++k) c += a[k] * b[k] / static_cast<double>(n);
            sum += i == j ? (1 - c) * (1 - c) : lambda * c * c;
        }
    return sum;
}

}  // namespace

TEST_CASE("barlow-twins is eq. 1 of eq. 2") {
    const auto first = embeddings(7, 4, 1), second = embeddings(7, 4, 2);
    const auto out = barlow_twins(0.3, 4)->forward(two_views(first, second), {});
    CHECK(out.total.item<double>() == Approx(reference(first, second, 0.3)).epsilon(1e-10));
    CHECK(term(out, "barlow_twins") == out.total.item<double>());
}

TEST_CASE(
    "equal views whose coordinates are uncorrelated cost nothing, coordinates that repeat cost lambda each") {
    // Columns of a Hadamard matrix: mean 0, variance 1, at right angles.
    const auto h = at::tensor({1, 1, 1, -1, 1, -1, 1, -1, -1, -1, -1, 1}, at::kDouble).view({4, 3});
    const auto loss = barlow_twins(0.25, 3);
    const auto good = loss->forward(two_views(h, h), {});
    CHECK(good.total.item<double>() < 1e-8);
    CHECK(term(good, "correlation") == Approx(1).epsilon(1e-4));
    CHECK(term(good, "redundancy") < 1e-12);
    const auto repeated = h.slice(1, 0, 1).expand({4, 3}).contiguous();
    const auto bad = loss->forward(two_views(repeated, repeated), {});
    CHECK(bad.total.item<double>() == Approx(6 * 0.25).epsilon(1e-4));
    CHECK(term(bad, "redundancy") == Approx(1).epsilon(1e-4));
    // Views that are opposites: each coordinate costs 4.
    CHECK(loss->forward(two_views(h, -h), {}).total.item<double>() == Approx(12).epsilon(1e-4));
}

TEST_CASE("scale and shift of a coordinate do not matter, and embeddings that are all alike cost D") {
    const auto first = embeddings(6, 4, 1), second = embeddings(6, 4, 2);
    const auto loss = barlow_twins(0.1, 4);
    const auto of = [&](const at::Tensor& a, const at::Tensor& b) {
        return loss->forward(two_views(a, b), {}).total.item<double>();
    };
    CHECK(of(first * 50 - 3, second) == Approx(of(first, second)).epsilon(1e-3));
    CHECK(of(second, first) == Approx(of(first, second)).epsilon(1e-12));
    CHECK(of(at::ones({6, 4}, at::kDouble), at::ones({6, 4}, at::kDouble)) == 4);
    const auto alone = answer(*loss, embeddings(1, 4, 1), embeddings(1, 4, 2));
    CHECK(alone.out.total.item<double>() == 4);
    CHECK(distance(alone.first, at::zeros({1, 4})) == 0);
}

TEST_CASE("the gradient of barlow-twins is that of central differences, by both views") {
    const auto first = embeddings(5, 4, 1), second = embeddings(5, 4, 2);
    const auto loss = barlow_twins(0.2, 4);
    CHECK(gradient_error([&](const at::Tensor& x) { return loss->forward(two_views(x, second), {}).total; },
                         first) < 1e-6);
    CHECK(gradient_error([&](const at::Tensor& x) { return loss->forward(two_views(first, x), {}).total; },
                         second) < 1e-6);
}

TEST_CASE("two processes correlate as one with the whole batch") {
    check_two_processes("barlow-twins", {{"off_diagonal", 0.2}}, embeddings(6, 4, 1), embeddings(6, 4, 2));
}

TEST_CASE("barlow-twins correlates bf16 embeddings in fp32") {
    const auto first = embeddings(6, 4, 1).to(at::kBFloat16), second = embeddings(6, 4, 2).to(at::kBFloat16);
    const auto out = in_bf16([&] { return barlow_twins(0.2, 4)->forward(two_views(first, second), {}); });
    CHECK(out.total.scalar_type() == at::kFloat);
    CHECK(out.total.item<double>() ==
          Approx(reference(first.to(at::kDouble), second.to(at::kDouble), 0.2)).epsilon(1e-4));
}

}  // namespace joint_barlow_twins
