// The kernel of GELU's gradient as a loop of the host, against ATen in double precision.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>

#include "cuda/host_twin.hpp"
#include "cuda/support.hpp"
#include "cuda/teams.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

template <class T>
void check_gelus() {
    for (const auto& [rows, width] : {std::pair<int, int>{1, 1}, {9, 48}, {4, 700}}) {
        at::manual_seed(width);
        const auto x = numbers({rows, width}, type_of<T>) * 3, grad = numbers({rows, width}, type_of<T>);
        const auto expected = at::gelu_backward(exact(grad), exact(x));
        for_each_team([&, r = rows, w = width](const char* team, const auto& run) {
            for (const int strips : {1, std::min(r, 4)}) {
                INFO(team << ": " << r << " x " << w << " in " << strips << " strips");
                const auto grad_x = at::full_like(x, NAN);
                const auto partial = at::full({1, strips, w}, NAN), sums = at::full({w}, NAN);
                all_blocks(cuda::GeluBackward<T>{.grad = grad.template const_data_ptr<T>(),
                                                 .x = x.template const_data_ptr<T>(),
                                                 .grad_x = grad_x.template mutable_data_ptr<T>(),
                                                 .partial = partial.template mutable_data_ptr<float>(),
                                                 .rows = r,
                                                 .strips = strips,
                                                 .width = w},
                           run);
                all_blocks(cuda::ColumnSums{partial.template const_data_ptr<float>(),
                                            sums.template mutable_data_ptr<float>(), 1, strips, w},
                           run);
                CHECK(distance(grad_x, expected) < rounding<T>);
                CHECK(distance(sums, expected.sum(0)) < rounding<float>);  // of what was not rounded
            }
        });
    }
}

}  // namespace

TEST_CASE("the gradient of GELU and of its bias are ATen's in double precision, in fp32") {
    check_gelus<float>();
}

TEST_CASE("the gradient of GELU and of its bias are ATen's in double precision, in bf16") {
    check_gelus<cuda::bf16>();
}

TEST_CASE("far from 0 the gradient of GELU is 0 or 1 and no NaN") {
    const auto x = at::tensor({-200.0F, -40.0F, 40.0F, 200.0F}), grad = at::ones({4}), grad_x = at::empty({4}),
               partial = at::empty({1, 1, 4});
    all_blocks(
        cuda::GeluBackward<float>{grad.const_data_ptr<float>(), x.const_data_ptr<float>(),
                                  grad_x.mutable_data_ptr<float>(), partial.mutable_data_ptr<float>(), 1, 1, 4},
        [](const auto& work) { work(cuda::Alone()); });
    CHECK(at::equal(grad_x, at::tensor({0.0F, 0.0F, 1.0F, 1.0F})));
}
