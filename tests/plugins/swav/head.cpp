// Prototypes of unit length, and their cosines.
#include <catch2/catch.hpp>

#include "cases.hpp"
#include "support/autocast.hpp"

namespace swav_head {

using namespace hearth;
using namespace hearth::test;

namespace {

std::shared_ptr<Head> prototypes(std::int64_t out, std::int64_t width) {
    Symbols symbols;
    symbols.bind("D", width);
    return make<Head>("prototypes", {{"out", out}}, symbols);
}

}  // namespace

TEST_CASE("rows of the prototypes have length 1 when they are made and before each step") {
    const auto head = prototypes(7, 5);
    auto& weight = head->named_parameters()["weight"];
    CHECK(distance(weight.detach().norm(2, 1), at::ones({7})) < 1e-6);
    const auto before = weight.detach().clone();
    weight.detach().mul_(at::arange(1, 8).unsqueeze(1));  // an optimiser's step
    CHECK(weight.detach()[6].norm().item<double>() == Approx(7));
    head->before_step({});
    CHECK(distance(weight.detach().norm(2, 1), at::ones({7})) < 1e-6);
    CHECK(distance(weight.detach(), before) < 1e-6);
    CHECK(weight.requires_grad());
}

TEST_CASE("scores are cosines, and the prototypes are handed out with their gradient") {
    const auto head = prototypes(6, 4);
    head->to(at::kDouble);
    head->before_step({});
    const auto z = directions({3, 4}, 1).requires_grad_();
    const auto out = head->forward({{"embedding", z}}, {});
    const auto weight = head->named_parameters()["weight"];
    for (int b = 0; b < 3; ++b)
        for (int k = 0; k < 6; ++k)
            CHECK(out["scores"][b][k].item<double>() == Approx(z[b].dot(weight[k]).item<double>()));
    CHECK(out["scores"].abs().max().item<double>() <= 1 + 1e-12);
    CHECK(out["prototypes"].is_same(weight));
    out["scores"].sum().backward();
    CHECK(distance(z.grad()[0], weight.detach().sum(0)) < 1e-12);
    CHECK(distance(weight.grad()[0], z.detach().sum(0)) < 1e-12);
}

TEST_CASE("scores stay fp32 under autocast") {
    const auto head = prototypes(6, 8);
    const auto z = directions({3, 8}, 1).to(at::kFloat);
    const auto exact = head->forward({{"embedding", z}}, {})["scores"];
    const auto mixed = in_bf16([&] { return head->forward({{"embedding", z}}, {}); })["scores"];
    CHECK(mixed.scalar_type() == at::kFloat);
    CHECK(at::equal(mixed, exact));
}

}  // namespace swav_head
