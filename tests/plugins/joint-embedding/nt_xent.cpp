// NT-Xent: values against a loop, and what must not change it.
#include <cmath>

#include "cases.hpp"
#include "support/autocast.hpp"

namespace joint_nt_xent {

using namespace hearth;
using namespace hearth::test;

namespace {

std::shared_ptr<Loss> nt_xent(double tau, std::int64_t width) {
    return loss_of("nt-xent", {{"temperature", Schedule(tau)}}, width);
}

double total(const at::Tensor& first, const at::Tensor& second, double tau) {
    return nt_xent(tau, first.size(1))->forward(two_views(first, second), {}).total.item<double>();
}

/// Eq. 1 of SimCLR, one exponential after the other.
double reference(const at::Tensor& first, const at::Tensor& second, double tau) {
    const auto n = first.size(0);
    const auto all = at::cat({first, second});
    double sum = 0;
    for (std::int64_t i = 0; i < 2 * n; ++i) {
        const auto weight = [&](std::int64_t k) {
            const double cosine = all[i].dot(all[k]).item<double>() /
                                  (all[i].norm().item<double>() * all[k].norm().item<double>());
            return std::exp(cosine / tau);
        };
        double others = 0;
        for (std::int64_t k = 0; k < 2 * n; ++k)
            if (k != i) others += weight(k);
        sum -= std::log(weight((i + n) % (2 * n)) / others);
    }
    return sum / static_cast<double>(2 * n);
}

}  // namespace

TEST_CASE("nt-xent is eq. 1, per_sample averages to it") {
    const auto first = embeddings(5, 6, 1), second = embeddings(5, 6, 2);
    const auto out = nt_xent(0.3, 6)->forward(two_views(first, second), {});
    CHECK(out.total.item<double>() == Approx(reference(first, second, 0.3)).epsilon(1e-12));
    CHECK(out.per_sample.sizes() == at::IntArrayRef({5}));
    CHECK(out.per_sample.mean().item<double>() == Approx(out.total.item<double>()).epsilon(1e-12));
    CHECK_FALSE(out.per_sample.requires_grad());
    CHECK(term(out, "nt_xent") == out.total.item<double>());
}

TEST_CASE("two images whose views are equal and at right angles cost ln(1 + 2 exp(-1/t))") {
    const auto e = at::eye(2, at::kDouble);
    CHECK(total(e, e, 1) == Approx(std::log(1 + 2 * std::exp(-1.0))).epsilon(1e-12));
    CHECK(total(e, e, 1) == Approx(0.551445).epsilon(1e-6));
    CHECK(total(e, e, 0.1) == Approx(9.0796e-5).epsilon(1e-5));
    CHECK(term(nt_xent(1, 2)->forward(two_views(e, e), {}), "accuracy") == 1);
    CHECK(term(nt_xent(1, 2)->forward(two_views(e, e.flip(0)), {}), "accuracy") == 0);
}

TEST_CASE("views that are all alike cost ln(2N - 1)") {
    const auto same = at::ones({4, 3}, at::kDouble);
    CHECK(total(same, same, 0.1) == Approx(std::log(7.0)).epsilon(1e-12));
}

TEST_CASE("a single image costs nothing and has a gradient of zero") {
    const auto found = answer(*nt_xent(0.1, 4), embeddings(1, 4, 1), embeddings(1, 4, 2));
    CHECK(found.out.total.item<double>() == 0);
    CHECK(distance(found.first, at::zeros({1, 4})) == 0);
    CHECK(distance(found.second, at::zeros({1, 4})) == 0);
}

TEST_CASE("lengths, the order of the views and the order of the images do not matter") {
    const auto first = embeddings(4, 5, 1), second = embeddings(4, 5, 2);
    const auto expected = total(first, second, 0.2);
    const auto lengths = at::tensor({0.1, 3.0, 1.0, 20.0}, at::kDouble).unsqueeze(1);
    CHECK(total(first * lengths, second, 0.2) == Approx(expected).epsilon(1e-12));
    CHECK(total(second, first, 0.2) == Approx(expected).epsilon(1e-12));
    const auto order = at::tensor({2, 0, 3, 1}, at::kLong);
    CHECK(total(first.index_select(0, order), second.index_select(0, order), 0.2) ==
          Approx(expected).epsilon(1e-12));
    CHECK(total(first.index_select(0, order), second, 0.2) != Approx(expected).epsilon(1e-3));
}

TEST_CASE("the gradient of nt-xent is that of central differences, by both views") {
    const auto first = embeddings(3, 4, 1), second = embeddings(3, 4, 2);
    const auto loss = nt_xent(0.5, 4);
    CHECK(gradient_error([&](const at::Tensor& x) { return loss->forward(two_views(x, second), {}).total; },
                         first) < 1e-7);
    CHECK(gradient_error([&](const at::Tensor& x) { return loss->forward(two_views(first, x), {}).total; },
                         second) < 1e-7);
}

TEST_CASE("a view is pushed away also as the negative of other images") {
    const auto first = embeddings(3, 4, 1);
    auto second = first.clone();
    const auto loss = nt_xent(0.5, 4);
    const auto of_image_0 = [&](const at::Tensor& x) {
        return loss->forward(two_views(first, x), {}).per_sample[0].item<double>();
    };
    const auto before = of_image_0(second);
    second[2] = first[0];  // image 2 now looks like image 0
    CHECK(of_image_0(second) > before + 0.1);
    CHECK(answer(*loss, first, second).second[2].abs().max().item<double>() > 1e-3);
}

TEST_CASE("two processes contrast as one with the whole batch") {
    check_two_processes("nt-xent", {{"temperature", Schedule(0.3)}}, embeddings(6, 4, 1), embeddings(6, 4, 2));
    check_two_processes("nt-xent", {{"temperature", Schedule(0.3)}}, embeddings(2, 4, 1), embeddings(2, 4, 2));
}

TEST_CASE("nt-xent compares bf16 embeddings in fp32") {
    const auto first = embeddings(3, 8, 1).to(at::kBFloat16), second = embeddings(3, 8, 2).to(at::kBFloat16);
    const auto out = in_bf16([&] { return nt_xent(0.1, 8)->forward(two_views(first, second), {}); });
    CHECK(out.total.scalar_type() == at::kFloat);
    CHECK(out.total.item<double>() ==
          Approx(reference(first.to(at::kDouble), second.to(at::kDouble), 0.1)).epsilon(1e-5));
}

}  // namespace joint_nt_xent
