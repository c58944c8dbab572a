// The heads noise and interpolate: what they draw, by what it is keyed, and what they leave alone.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>

#include "support/plugins.hpp"

namespace wgan_draws {

using namespace hearth;
using at::Tensor;

namespace {

Tensor index_of(std::int64_t count, std::int64_t from = 0) {
    return at::arange(from, from + count, at::kLong);
}

Context at_draw(std::uint64_t draw, std::uint64_t seed = 0) {
    Context context;
    context.draw = draw;
    context.seed = seed;
    return context;
}

Tensor drawn(Head& head, const Tensor& index, const Context& context) {
    return head.forward({{"index", index}}, context)["noise"];
}

}  // namespace

TEST_CASE("noise is normal, or uniform between -1 and 1") {
    const auto normal = test::make<Head>("noise", {{"size", std::int64_t{50}}});
    const auto z = drawn(*normal, index_of(400), {});
    REQUIRE(z.sizes() == at::IntArrayRef({400, 50}));
    CHECK(z.scalar_type() == at::kFloat);
    CHECK(std::abs(z.mean().item<double>()) < 0.03);  // 4 deviations of a mean of 20000
    CHECK(z.std().item<double>() == Approx(1).epsilon(0.02));
    CHECK(z.abs().max().item<double>() > 3);
    const auto uniform =
        test::make<Head>("noise", {{"size", std::int64_t{50}}, {"distribution", std::string("uniform")}});
    const auto u = drawn(*uniform, index_of(400), {});
    CHECK(u.min().item<double>() < -0.99);
    CHECK(u.min().item<double>() >= -1);
    CHECK(u.max().item<double>() > 0.99);
    CHECK(u.max().item<double>() <= 1);
    CHECK(u.var().item<double>() == Approx(1.0 / 3).epsilon(0.03));
}

TEST_CASE("noise depends on seed, update and image, and not on the batch that the image is in") {
    const auto head = test::make<Head>("noise", {{"size", std::int64_t{8}}});
    const auto z = drawn(*head, index_of(6), at_draw(3));
    CHECK(at::equal(drawn(*head, index_of(6), at_draw(3)), z));
    CHECK(at::equal(drawn(*head, index_of(2, 4), at_draw(3)), z.slice(0, 4)));
    CHECK_FALSE(at::equal(drawn(*head, index_of(6), at_draw(4)), z));
    CHECK_FALSE(at::equal(drawn(*head, index_of(6), at_draw(3, 1)), z));
    CHECK_FALSE(at::equal(z[0], z[1]));
}

TEST_CASE("noise refuses what it does not know") {
    const auto& type = test::registry().find(Kind::head, "noise");
    const auto schema = type.schema();
    CHECK_FALSE(schema.find("size")->check(std::int64_t{0}).empty());
    CHECK(schema.find("distribution")->check(std::string("gauss")).find("gauss") != std::string::npos);
    CHECK(to_string(type.writes(test::options(type), {})[0].shape) == "B 128");
    CHECK(type.reads(test::options(type))[0].dtype == "int64");
}

TEST_CASE("interpolate takes one place on the line between the images of a pair") {
    const auto head = test::make<Head>("interpolate");
    const auto a = at::zeros({200, 2, 3, 3}), b = at::ones({200, 2, 3, 3});
    const auto place =
        head->forward({{"a", a}, {"b", b}, {"index", index_of(200)}}, {})["mixed"];  // a + t (b - a)
    CHECK(at::equal(place, place.slice(1, 0, 1).slice(2, 0, 1).slice(3, 0, 1).expand_as(place)));
    const auto t = place.flatten(1).select(1, 0);
    CHECK(t.min().item<double>() >= 0);
    CHECK(t.max().item<double>() <= 1);
    CHECK(t.mean().item<double>() == Approx(0.5).margin(0.08));
    CHECK(t.var().item<double>() == Approx(1.0 / 12).epsilon(0.2));

    at::manual_seed(1);
    const auto x = at::rand({4, 1, 5, 5}, at::kDouble), y = at::rand({4, 1, 5, 5}, at::kDouble);
    const auto mixed = head->forward({{"a", x}, {"b", y}, {"index", index_of(4)}}, {})["mixed"];
    const auto s = t.slice(0, 0, 4).to(at::kDouble).view({4, 1, 1, 1});
    CHECK(at::allclose(mixed, (1 - s) * x + s * y, 0, 1e-12));
    const auto other = head->forward({{"a", x}, {"b", y}, {"index", index_of(4)}}, at_draw(1))["mixed"];
    CHECK_FALSE(at::equal(other, mixed));
}

TEST_CASE("interpolate passes no gradient on, and the unit of b's pixels") {
    const auto head = test::make<Head>("interpolate");
    const auto a = at::rand({2, 1, 4, 4}).requires_grad_(), b = at::rand({2, 1, 4, 4}).requires_grad_();
    const Tensors in{{"a", a}, {"b", b}, {"index", index_of(2)}};
    const auto out = head->forward(in, {});
    CHECK_FALSE(out["mixed"].requires_grad());
    CHECK(at::equal(out["mixed.std"], at::ones({2, 1})));
    auto with_unit = in;
    with_unit.set("b.std", at::full({2, 1}, 0.5));
    CHECK(at::equal(head->forward(with_unit, {})["mixed.std"], at::full({2, 1}, 0.5)));
    const std::set<std::string> wanted = {"mixed"};
    Context context;
    context.wanted = &wanted;
    CHECK_FALSE(head->forward(in, context).has("mixed.std"));
    const auto& type = test::registry().find(Kind::head, "interpolate");
    for (const auto& port : type.reads(test::options(type))) CHECK(port.is_detached == (port.name != "index"));
}

}  // namespace wgan_draws
