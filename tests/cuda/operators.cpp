// The operators of hearth/fused.hpp: their formulas in double precision, and what libhearth_cuda.so would make of
// tensors, with the kernels as loops of the host. Here those stand for the CPU's.
#include "cuda/operators.hpp"

#include <ATen/autocast_mode.h>
#include <torch/autograd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <hearth/error.hpp>
#include <hearth/fused.hpp>

#include "cuda/host_twin.hpp"
#include "cuda/support.hpp"
#include "support/autocast.hpp"
#include "support/gradients.hpp"

using namespace hearth;
using namespace hearth::test;
using at::Tensor;

namespace {

constexpr double eps = 1e-6;

void use_kernels() {
    static const auto library = [] {
        auto made = std::make_unique<torch::Library>(torch::Library::IMPL, "hearth_kernels",
                                                     c10::DispatchKey::CPU, __FILE__, __LINE__);
        cuda::register_kernels(*made);
        return made;
    }();
}

/// Kernels that `work` starts.
int started(const std::function<void()>& work) {
    use_kernels();
    const int before = launches();
    work();
    return launches() - before;
}

struct Block {
    Tensor x, branch, scale, gain, bias;
};

Block numbers_of_a_block(at::ScalarType type) {
    at::manual_seed(5);
    return {numbers({3, 4, 24}).requires_grad_(), numbers({3, 4, 24}, type).requires_grad_(),
            at::tensor({1.25F, 0.0F, 1.25F}), (numbers({24}) + 1).requires_grad_(),
            numbers({24}).requires_grad_()};
}

/// The same in double precision.
Block doubled(const Block& block) {
    const auto leaf = [](const Tensor& t) { return exact(t.detach()).requires_grad_(); };
    return {leaf(block.x), leaf(block.branch), exact(block.scale), leaf(block.gain), leaf(block.bias)};
}

std::vector<Tensor> inputs(const Block& b) {
    return {b.x, b.branch, b.gain, b.bias};
}

/// Of sum(a * 1, 2, ..) + sum(b * 1, 2, ..).
std::vector<Tensor> gradients(const Tensor& a, const Tensor& b, const std::vector<Tensor>& of) {
    Tensor total = at::zeros({}, at::kDouble);
    for (const auto& t : {a, b})
        if (t.defined())
            total = total + (exact(t) * at::linspace(-1, 1, t.numel(), at::kDouble).view_as(t)).sum();
    return torch::autograd::grad({total}, of, {}, std::nullopt, false, /*allow_unused=*/true);
}

fused::Normed plain(const Block& b) {
    const auto sum = b.x + b.branch * b.scale.view({-1, 1, 1});
    return {sum, at::layer_norm(sum, {24}, b.gain, b.bias, eps)};
}

}  // namespace

TEST_CASE("the operators' formulas have the gradients of their values") {
    const auto b = doubled(numbers_of_a_block(at::kFloat));
    const auto value = [](const fused::Normed& n) { return (n.sum.sin() + n.out.square()).sum(); };
    const auto added = [&](const Tensor& x, const Tensor& branch, const Tensor& gain) {
        return value(fused::add_norm(x, branch, b.scale, gain, b.bias, eps, at::kDouble));
    };
    CHECK(gradient_error([&](const Tensor& x) { return added(x, b.branch, b.gain); }, b.x.detach()) < 1e-7);
    CHECK(gradient_error([&](const Tensor& t) { return added(b.x, t, b.gain); }, b.branch.detach()) < 1e-7);
    CHECK(gradient_error([&](const Tensor& t) { return added(b.x, b.branch, t); }, b.gain.detach()) < 1e-7);
    CHECK(gradient_error(
              [&](const Tensor& x) { return fused::norm(x, b.gain, b.bias, eps, at::kDouble).square().sum(); },
              b.x.detach()) < 1e-7);
    const auto weight = exact(numbers({7, 24})), bias = exact(numbers({7}));
    const auto mlp = [](const Tensor& x, const Tensor& w, const Tensor& c) {
        return fused::linear_gelu(x, w, c).square().sum();
    };
    CHECK(gradient_error([&](const Tensor& x) { return mlp(x, weight, bias); }, b.x.detach()) < 1e-7);
    CHECK(gradient_error([&](const Tensor& w) { return mlp(b.x.detach(), w, bias); }, weight) < 1e-7);
    CHECK(gradient_error([&](const Tensor& c) { return mlp(b.x.detach(), weight, c); }, bias) < 1e-7);
}

TEST_CASE("a residual addition and the norm after it are one kernel, and three with their gradients") {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
        INFO(type);
        const auto b = numbers_of_a_block(type), reference = doubled(b);
        const double close = type == at::kFloat ? 6e-6 : rounding<cuda::bf16>;
        fused::Normed found;
        CHECK(started([&] { found = fused::add_norm(b.x, b.branch, b.scale, b.gain, b.bias, eps, type); }) ==
              1);
        const auto expected = plain(reference);
        CHECK(found.sum.scalar_type() == at::kFloat);
        CHECK(found.out.scalar_type() == type);
        CHECK(distance(found.sum, expected.sum) < 1e-6);
        CHECK(distance(found.out, expected.out) < close);
        std::vector<Tensor> grads;
        CHECK(started([&] { grads = gradients(found.sum, found.out, inputs(b)); }) == 2);
        const auto right = gradients(expected.sum, expected.out, inputs(reference));
        for (std::size_t i = 0; i < grads.size(); ++i) {
            INFO("input " << i);
            CHECK(grads[i].scalar_type() == inputs(b)[i].scalar_type());
            CHECK(distance(grads[i], right[i]) < close);
        }
    }
}

TEST_CASE("a sum or a norm that nobody reads has no part in the gradient") {
    const auto b = numbers_of_a_block(at::kFloat), reference = doubled(b);
    const auto expected = plain(reference);
    const auto ours = [&] { return fused::add_norm(b.x, b.branch, b.scale, b.gain, b.bias, eps, at::kFloat); };
    use_kernels();
    const auto of_sum = gradients(ours().sum, {}, inputs(b)),
               right_sum = gradients(expected.sum, {}, inputs(reference));
    CHECK(distance(of_sum[0], right_sum[0]) < 1e-6);
    CHECK(distance(of_sum[1], right_sum[1]) < 1e-6);
    CHECK_FALSE(of_sum[2].defined());
    const auto of_out = gradients({}, ours().out, inputs(b)),
               right_out = gradients({}, plain(reference).out, inputs(reference));
    for (std::size_t i = 0; i < of_out.size(); ++i) CHECK(distance(of_out[i], right_out[i]) < 1e-5);
}

TEST_CASE("a norm alone is one kernel, of tensors that lie in memory in any order") {
    at::manual_seed(6);
    const auto x = numbers({4, 24, 3}).transpose(1, 2).requires_grad_();
    const auto gain = numbers({24}).requires_grad_(), bias = numbers({24}).requires_grad_();
    const auto x_ = exact(x.detach()).requires_grad_(), gain_ = exact(gain.detach()).requires_grad_();
    Tensor out;
    CHECK(started([&] { out = fused::norm(x, gain, bias, eps, at::kBFloat16); }) == 1);
    const auto expected = at::layer_norm(x_, {24}, gain_, exact(bias), eps);
    CHECK(distance(out, expected) < rounding<cuda::bf16>);
    const auto grads = gradients(out, {}, {x, gain}), right = gradients(expected, {}, {x_, gain_});
    CHECK(distance(grads[0], right[0]) < 1e-2);
    CHECK(distance(grads[1], right[1]) < 1e-2);
}

TEST_CASE("what no kernel takes is computed by the formula") {
    const auto b = doubled(numbers_of_a_block(at::kFloat));
    CHECK(started([&] { fused::add_norm(b.x, b.branch, b.scale, b.gain, b.bias, eps, at::kDouble); }) == 0);
    const auto f = numbers_of_a_block(at::kFloat);
    CHECK(started([&] {
              const auto out = fused::norm(f.x, f.gain, f.bias, eps, at::kHalf);
              CHECK(out.scalar_type() == at::kHalf);
              gradients(out, {}, {f.x});
          }) == 0);
    const auto wide = cuda::widest_norm + 1;
    CHECK(started([&] {
              fused::norm(at::ones({2, wide}), at::ones({wide}), at::ones({wide}), eps, at::kFloat);
          }) == 0);
    CHECK(started([&] {  // a branch of another type than what is written
              fused::add_norm(f.x, f.branch, {}, f.gain, f.bias, eps, at::kBFloat16);
          }) == 0);
}

TEST_CASE("empty tensors start no kernel, and parameters then have gradients of 0") {
    const auto x = at::empty({0, 4, 24}).requires_grad_(), gain = at::ones({24}).requires_grad_();
    CHECK(started([&] {
              const auto out = fused::norm(x, gain, at::zeros({24}), eps, at::kFloat);
              CHECK(at::equal(gradients(out, {}, {gain})[0], at::zeros({24})));
          }) == 0);
}

TEST_CASE("a layer with GELU has its gradients, and that of its bias in fp32") {
    at::manual_seed(8);
    const auto x = numbers({2, 5, 16}).requires_grad_(), weight = numbers({40, 16}).requires_grad_(),
               bias = numbers({40}).requires_grad_();
    const std::vector<Tensor> ours = {x, weight, bias};
    std::vector<Tensor> reference;
    for (const auto& t : ours) reference.push_back(exact(t.detach()).requires_grad_());
    const auto expected = at::gelu(at::linear(reference[0], reference[1], reference[2]));
    const auto right = gradients(expected, {}, reference);
    for (const bool mixed : {false, true}) {
        INFO(mixed);
        const auto forward = [&] { return fused::linear_gelu(x, weight, bias); };
        use_kernels();
        const auto y = mixed ? in_bf16(forward) : forward();
        CHECK(y.scalar_type() == (mixed ? at::kBFloat16 : at::kFloat));
        CHECK(distance(y, expected) < (mixed ? 1e-2 : 1e-5));
        std::vector<Tensor> grads;
        CHECK(started([&] { grads = gradients(y, {}, ours); }) == 2);
        for (std::size_t i = 0; i < 3; ++i) {
            CHECK(grads[i].scalar_type() == at::kFloat);
            CHECK(distance(grads[i], right[i]) < (mixed ? 2e-2 : 1e-5));
        }
    }
}

TEST_CASE("a second derivative is refused with a word of what to do") {
    const auto b = numbers_of_a_block(at::kFloat);
    use_kernels();
    const auto out = fused::norm(b.x, b.gain, b.bias, eps, at::kFloat);
    CHECK_THROWS_WITH(torch::autograd::grad({out.sum()}, {b.x}, {}, true, /*create_graph=*/true),
                      Catch::Matchers::Contains("hearth_kernels::norm has no second derivative"));
}

TEST_CASE("crops of a batch are one call, of films and rows that lie in memory in any order") {
    at::manual_seed(9);
    const auto box = at::tensor({3.0F, 4.0F, 17.0F, 20.0F, 1.0F, 1.1F, 0.8F, 1.0F, 0.6F, 0.2F});
    const auto rows = box.expand({2, 3, 10}) + at::arange(6).view({2, 3, 1}) * at::eye(1, 10);
    const auto film = at::rand({2, 1, 30, 40});
    for (const auto& images :
         {film, film.expand({2, 3, 30, 40}), film.transpose(2, 3).contiguous().transpose(2, 3)})
        for (const auto& crops : {rows, rows.transpose(0, 2).contiguous().transpose(0, 2)})
            for (const auto kind : {fused::Interpolation::bicubic, fused::Interpolation::bilinear}) {
                Tensor out;
                const auto render = [&] { out = fused::crops(images, crops, 12, kind, 0.5); };
                const auto expected = fused::crops(exact(images), exact(crops), 12, kind, 0.5);
                CHECK(started(render) == 1);
                CHECK(out.is_contiguous());
                CHECK(out.sizes() == at::IntArrayRef({3, 2, images.size(1), 12, 12}));
                CHECK(distance(out, expected) < rounding<float>);
                CHECK(started([&] { in_bf16([&] { return render(), 0; }); }) == 1);
                CHECK(distance(out, expected) < rounding<float>);
            }
}

TEST_CASE("crops that no kernel takes are the formula's, in fp32 under autocast too") {
    const auto rows = at::tensor({0.0F, 0.0F, 8.0F, 9.0F, 0.0F, 1.0F, 1.0F, 0.0F, 1.0F}).expand({2, 1, 9});
    const auto bytes = at::randint(2, {2, 1, 8, 9}, at::kByte);
    const auto crops = [](const Tensor& images, const Tensor& of) {
        return fused::crops(images, of, 4, fused::Interpolation::bicubic, 0.5);
    };
    CHECK(
        started([&] {
            const auto expected = crops(exact(bytes), exact(rows));
            CHECK(distance(crops(bytes, rows), expected) < 1e-6);
            CHECK(distance(in_bf16([&] { return crops(bytes, rows); }), expected) < 1e-6);
            CHECK(expected.scalar_type() == at::kDouble);
            CHECK(crops(bytes, rows.to(at::kBFloat16)).scalar_type() == at::kFloat);
            const auto film = bytes.to(at::kFloat);
            CHECK(crops(film.slice(0, 0, 0), rows.slice(0, 0, 0)).sizes() == at::IntArrayRef({1, 0, 1, 4, 4}));
            CHECK(crops(film, rows.slice(1, 0, 0)).sizes() == at::IntArrayRef({0, 2, 1, 4, 4}));
            CHECK_THROWS_WITH(crops(film, rows.slice(2, 0, 8)),
                              Catch::Matchers::Contains("found images [2, 1, 8, 9], crops [2, 1, 8], size 4; "
                                                        "expected [B, C, H, W], [B, K, 9 or more]"));
            CHECK_THROWS_WITH(crops(film, rows.slice(0, 0, 1)), Catch::Matchers::Contains("found images"));
        }) == 0);
}

TEST_CASE("crops are refused where a gradient would be recorded") {
    use_kernels();
    const auto film = at::rand({1, 1, 8, 8}).requires_grad_(), rows = at::ones({1, 1, 9});
    const auto crops = [&](const Tensor& images, const Tensor& of) {
        return fused::crops(images, of, 4, fused::Interpolation::bicubic, 0.5);
    };
    CHECK_THROWS_WITH(crops(film, rows), Catch::Matchers::Contains("hearth_kernels::crops has no gradient"));
    CHECK_THROWS_WITH(crops(film.detach(), rows.detach().requires_grad_()),
                      Catch::Matchers::Contains("hearth_kernels::crops has no gradient"));
    const at::NoGradGuard no_grad;
    CHECK_FALSE(crops(film, rows).requires_grad());
}
