// Swapped prediction: codes and loss against the paper's algorithm entry by entry, what gets a gradient, ranks.
#include <catch2/catch.hpp>
#include <cmath>

#include "../../../plugins/common/sinkhorn.hpp"
#include "cases.hpp"

namespace swav_loss {

using namespace hearth;
using namespace hearth::test;

namespace {

at::Tensor cosines(std::int64_t views, std::int64_t batch, std::int64_t prototypes, std::uint64_t seed) {
    return at::matmul(directions({views, batch, 6}, seed), directions({prototypes, 6}, 99).t());
}

/// The loop over pairs, with codes that are given.
at::Tensor naive(const at::Tensor& large, const at::Tensor& small, const std::vector<at::Tensor>& codes) {
    auto views = large.unbind(0);
    if (small.defined())
        for (const auto& view : small.unbind(0)) views.push_back(view);
    auto sum = at::zeros({}, at::kDouble);
    for (std::size_t a = 0; a < codes.size(); ++a)
        for (std::size_t v = 0; v < views.size(); ++v)
            if (v != a) sum = sum - (codes[a] * (views[v] / 0.1).log_softmax(-1)).sum(-1).mean();
    return sum / static_cast<double>(codes.size() * (views.size() - 1));
}

std::vector<at::Tensor> codes_of(const at::Tensor& large) {
    std::vector<at::Tensor> out;
    for (const auto& view : large.unbind(0)) out.push_back(naive_codes(view.detach()));
    return out;
}

Tensors in(const at::Tensor& large, const at::Tensor& small) {
    Tensors made{{"scores", large}};
    if (small.defined()) made.set("local_scores", small);
    return made;
}

}  // namespace

TEST_CASE("the loss is the paper's, entry by entry") {
    for (const std::int64_t views : {2, 3})
        for (const std::int64_t locals : {0, 4}) {
            INFO(views << " large, " << locals << " small");
            const auto large = cosines(views, 5, 4, 1);
            const auto small = locals > 0 ? cosines(locals, 5, 4, 2) : at::Tensor();
            const auto out = swapped(views, locals, 4, 6)->forward(in(large, small), {});
            CHECK(out.total.item<double>() ==
                  Approx(naive(large, small, codes_of(large)).item<double>()).epsilon(1e-12));
            CHECK(out.per_sample.mean().item<double>() == Approx(out.total.item<double>()));
            CHECK_FALSE(out.per_sample.requires_grad());
        }
}

TEST_CASE("equal scores have uniform codes and cost ln K") {
    const auto same = at::full({2, 6, 5}, 0.3, at::kDouble);
    const auto out = swapped(2, 2, 5, 6)->forward(in(same, same), {});
    CHECK(out.total.item<double>() == Approx(std::log(5.0)));
    CHECK(term(out, "code_entropy") == Approx(std::log(5.0)));
    CHECK(term(out, "information") == Approx(0).margin(1e-12));
    CHECK(term(out, "prototype_use") == Approx(1));
}

TEST_CASE("two images on two prototypes are told apart by the first iteration") {
    const auto scores = at::eye(2, at::kDouble).unsqueeze(0);
    for (const std::int64_t iterations : {1, 3}) {
        const auto q = balance::sinkhorn(scores, 0.05, iterations, Comm::local())[0];
        CHECK(q[0][0].item<double>() == Approx(1 / (1 + std::exp(-20.0))).epsilon(1e-14));
        CHECK(q[1][0].item<double>() == Approx(std::exp(-20.0) / (1 + std::exp(-20.0))).epsilon(1e-9));
    }
}

TEST_CASE("a code sums to 1, and after many iterations each prototype has B/K") {
    const auto scores = cosines(2, 12, 4, 5);
    const auto few = balance::sinkhorn(scores, 0.05, 3, Comm::local());
    CHECK(distance(few.sum(-1), at::ones({2, 12})) < 1e-12);
    const auto many = balance::sinkhorn(scores, 0.2, 1000, Comm::local());
    CHECK(distance(many.sum(1), at::full({2, 4}, 3.0)) < 1e-6);
}

TEST_CASE("no gradient passes through the codes") {
    const auto large = cosines(2, 5, 4, 1).requires_grad_(), small = cosines(3, 5, 4, 2).requires_grad_();
    swapped(2, 3, 4, 6)->forward(in(large, small), {}).total.backward();
    const auto large2 = large.detach().clone().requires_grad_(),
               small2 = small.detach().clone().requires_grad_();
    naive(large2, small2, codes_of(large2)).backward();
    CHECK(distance(large.grad(), large2.grad()) < 1e-12);
    CHECK(distance(small.grad(), small2.grad()) < 1e-12);
}

TEST_CASE("a single large view has nothing to swap with") {
    Symbols symbols;
    symbols.bind("G", 1);
    symbols.bind("K", 4);
    CHECK_THROWS_WITH(make<Loss>("swapped-prediction", {}, symbols),
                      Catch::Matchers::Contains("found 1 large view and no local_scores, expected two views") &&
                          Catch::Matchers::Contains("raise global_crops"));
    const auto alone = cosines(1, 5, 4, 1), small = cosines(2, 5, 4, 2);
    CHECK(swapped(1, 2, 4, 6)->forward(in(alone, small), {}).total.item<double>() ==
          Approx(naive(alone, small, codes_of(alone)).item<double>()));
}

TEST_CASE("scores of any size in fp32 give a finite loss") {
    const auto large = (cosines(2, 5, 4, 1) * 1e4).to(at::kFloat);
    const auto out = swapped(2, 0, 4, 6)->forward(in(large, {}), {});
    CHECK(out.total.scalar_type() == at::kFloat);
    CHECK(out.total.isfinite().item<bool>());
}

TEST_CASE("two processes balance over all images: the loss and gradient of one") {
    const auto large = cosines(2, 6, 4, 1), small = cosines(3, 6, 4, 2);
    const auto step = [&](const Comm& comm, at::Tensor part, const at::Tensor& others) {
        Context context;
        context.comm = &comm;
        part = part.clone().requires_grad_();
        const auto out = swapped(2, 3, 4, 6)->forward(in(part, others), context);
        out.total.backward();
        return std::pair(out.total.item<double>(), part.grad());
    };
    const auto [expected, gradient] = step(Comm::local(), large, small);
    std::vector<double> losses(2);
    std::vector<at::Tensor> gradients(2);
    run_ranks(2, [&](const Comm& comm) {
        const auto from = 3 * comm.rank();
        const auto [loss, found] = step(comm, large.narrow(1, from, 3), small.narrow(1, from, 3));
        losses[comm.rank()] = loss, gradients[comm.rank()] = found;
    });
    CHECK((losses[0] + losses[1]) / 2 == Approx(expected).epsilon(1e-12));
    CHECK(distance(at::cat(gradients, 1) / 2, gradient) < 1e-12);
}

}  // namespace swav_loss
