// The precision of losses: what at_least_float changes and leaves, and where autocast is off.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include <catch2/catch.hpp>
#include <hearth/precision.hpp>

using namespace hearth;

TEST_CASE("narrow floats and integers become float; float and double stay the same tensor") {
    for (const auto narrow : {at::kBFloat16, at::kHalf, at::kLong, at::kBool})
        CHECK(at_least_float(at::ones({2}, narrow)).scalar_type() == at::kFloat);
    for (const auto wide : {at::kFloat, at::kDouble}) {
        const auto x = at::ones({2}, wide);
        CHECK(at_least_float(x).is_same(x));
        CHECK(at_least_float(wide) == wide);
    }
    CHECK(at_least_float(at::kBFloat16) == at::kFloat);
}

TEST_CASE("at_least_float passes the gradient on in the type of its argument") {
    const auto x = at::ones({2}, at::kBFloat16).requires_grad_();
    at_least_float(x).square().sum().backward();
    CHECK(x.grad().scalar_type() == at::kBFloat16);
    CHECK(at::equal(x.grad(), at::full({2}, 2, at::kBFloat16)));
}

TEST_CASE("inside FullPrecision a product is computed in fp32, outside autocast goes on") {
    const auto a = at::ones({2, 2});
    at::autocast::set_autocast_enabled(at::kCPU, true);
    CHECK(at::mm(a, a).scalar_type() == at::kBFloat16);
    {
        const FullPrecision exact;
        CHECK(at::mm(a, a).scalar_type() == at::kFloat);
        {
            const FullPrecision nested;
            CHECK(at::mm(a, a).scalar_type() == at::kFloat);
        }
        CHECK(at::mm(a, a).scalar_type() == at::kFloat);
    }
    CHECK(at::mm(a, a).scalar_type() == at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::clear_cache();
    { const FullPrecision exact; }
    CHECK_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
}
