// The device that is not there: what it counts, and that it notices planted mistakes.
#include <ATen/ATen.h>
#include <torch/nn/modules/linear.h>

#include <catch2/catch.hpp>

#include "device/fake_cuda.hpp"

using namespace hearth::test;

TEST_CASE("operations on the device are counted, and not computed") {
    fake_cuda::install();
    const auto x = at::ones({4, 8}, fake_cuda::device);
    const fake_cuda::Counting counting;
    const auto y = at::matmul(x, x.t()).relu();
    CHECK(y.device() == fake_cuda::device);
    CHECK(y.sizes() == at::IntArrayRef({4, 4}));
    const auto counts = counting.now();
    CHECK(counts.kernels == 2);
    CHECK(counts.by_name.at("aten::mm").bytes == 4 * (32 + 32 + 16));
    CHECK(counts.by_name.at("aten::relu").bytes == 4 * (16 + 16));
    CHECK(counts.questions == 0);
    CHECK(counts.mixed.empty());
}

TEST_CASE("a tensor that was left on the CPU is noticed, a number there is none") {
    fake_cuda::install();
    const auto there = at::ones({3}, fake_cuda::device), here = at::ones({3});
    const fake_cuda::Counting counting;
    there.mul(2.0).add(at::scalar_tensor(1));
    CHECK(counting.now().mixed.empty());
    there.mul(here);
    CHECK(counting.now().mixed == std::set<std::string>{"aten::mul"});
}

TEST_CASE("what waits for the device is a question") {
    fake_cuda::install();
    const auto x = at::ones({3}, fake_cuda::device);
    const fake_cuda::Counting counting;
    CHECK(x.sum().item<float>() == 1);
    x.nonzero();
    x.cpu();
    const auto counts = counting.now();
    CHECK(counts.questions == 3);
    CHECK(counts.askers == std::set<std::string>{"aten::nonzero", "copy to the host", "item"});
    CHECK(counts.bytes_down == 4 + 12);
}

TEST_CASE("copies to the device are told by whether they wait") {
    fake_cuda::install();
    const auto x = at::ones({2, 5});
    const fake_cuda::Counting counting;
    x.to(fake_cuda::device, /*non_blocking=*/true);
    CHECK(counting.now().waits_up == 0);
    x.to(fake_cuda::device);
    CHECK(counting.now().waits_up == 1);
    CHECK(counting.now().bytes_up == 2 * 40);
    CHECK(counting.now().kernels == 0);
}

TEST_CASE("what a graph would keep as it was is told: numbers of the host, shapes, draws") {
    fake_cuda::install();
    const auto x = at::ones({3}, fake_cuda::device);
    const fake_cuda::Counting counting;
    x.add(2.5);
    x.slice(0, 0, 2).relu();
    at::empty({4}, fake_cuda::device).uniform_();
    const auto counts = counting.now();
    CHECK(counts.draws == std::set<std::string>{"aten::uniform_"});
    std::vector<std::string> shapes, numbers;
    for (const auto& call : counts.calls) {
        if (call.name == "aten::relu") shapes.push_back(call.shapes);
        if (call.name == "aten::uniform_") numbers.push_back(call.numbers);
    }
    CHECK(shapes == std::vector<std::string>{"[2]"});
    CHECK(numbers == std::vector<std::string>{"0 1 "});
}

TEST_CASE("a module is trained there: autograd, autocast and the update of its weights") {
    fake_cuda::install();
    torch::nn::Linear layer(8, 2);
    layer->to(fake_cuda::device);
    const auto x = at::ones({4, 8}, fake_cuda::device);
    const fake_cuda::Counting counting;
    layer(x).pow(2).mean().backward();
    CHECK(layer->weight.grad().device() == fake_cuda::device);
    CHECK(counting.now().mixed.empty());
    CHECK(counting.now().by_name.count("aten::addmm") == 1);
}
