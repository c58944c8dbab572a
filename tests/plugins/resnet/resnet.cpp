// The backbone resnet: sizes, ports, training and evaluation, initial weights, precision, options.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "support/autocast.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

std::shared_ptr<Backbone> resnet(Changes more = {}, std::int64_t channels = 1) {
    Changes changes = {{"depth", std::int64_t{18}}};
    changes.insert(changes.end(), more.begin(), more.end());
    at::manual_seed(1);
    return test::make<Backbone>("resnet", changes, test::image_symbols(channels, 64, 64));
}

Tensor images(std::int64_t channels = 1, std::int64_t height = 64, std::int64_t width = 64) {
    at::manual_seed(2);
    return at::rand({2, channels, height, width});
}

std::map<std::string, Tensor> copy_of_buffers(const torch::nn::Module& module) {
    std::map<std::string, Tensor> copies;
    for (const auto& item : module.named_buffers()) copies[item.key()] = item.value().clone();
    return copies;
}

bool equal(const std::map<std::string, Tensor>& a, const std::map<std::string, Tensor>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
        return x.first == y.first && at::equal(x.second, y.second);
    });
}

Context context_of(bool training) {
    Context context;
    context.training = training;
    return context;
}

}  // namespace

TEST_CASE("what it writes has the declared shapes, at even and at odd sizes") {
    const auto& type = test::registry().find(Kind::backbone, "resnet");
    struct Case {
        std::int64_t depth, height, width;
    };
    for (const auto& [depth, height, width] :
         {Case{18, 64, 96}, Case{18, 65, 63}, Case{18, 37, 101}, Case{18, 33, 32}, Case{50, 33, 65}}) {
        INFO(depth << " at " << height << " x " << width);
        const auto options = test::options(type, {{"depth", depth}});
        const auto symbols = test::image_symbols(1, height, width);
        const auto net = type.create_as<Backbone>(options, symbols);
        const at::NoGradGuard no_grad;
        const auto out = net->forward({{"image", images(1, height, width)}}, {});
        const auto ports = type.writes(options, symbols);
        REQUIRE(out.size() == ports.size());
        for (const auto& port : ports) {
            INFO(port.name);
            Symbols found;
            found.bind("B", 2);
            Shape produced;
            for (const auto size : out[port.name].sizes()) produced.emplace_back(size);
            CHECK(unify(port.shape, produced, found).empty());
            for (std::size_t i = 1; i < port.shape.size(); ++i) CHECK(port.shape[i].known());
        }
    }
}

TEST_CASE("ports are readable while the size is unknown, and rounded up when it is known") {
    const auto& type = test::registry().find(Kind::backbone, "resnet");
    const auto unknown = type.writes(test::options(type), {});
    REQUIRE(unknown.size() == 7);
    CHECK(unknown[0].name == "features.1");
    CHECK(to_string(unknown[0].shape) == "B 256 (H+3)/4 (W+3)/4");
    CHECK(to_string(unknown[3].shape) == "B 2048 (H+31)/32 (W+31)/32");
    CHECK(to_string(unknown[4].shape) == "B 2048");
    const auto known =
        type.writes(test::options(type, {{"depth", std::int64_t{18}}}), test::image_symbols(1, 225, 224));
    CHECK(to_string(known[0].shape) == "B 64 57 56");
    CHECK(to_string(known[1].shape) == "B 128 29 28");
    CHECK(to_string(known[2].shape) == "B 256 15 14");
    CHECK(to_string(known[3].shape) == "B 512 8 7");
}

TEST_CASE("cls is the mean of the last map") {
    const auto out = resnet()->forward({{"image", images()}}, {});
    CHECK(at::allclose(out["cls"], out["features.4"].mean({2, 3}), 1e-6, 1e-6));
    CHECK(out["features.1"].min().item<float>() >= 0);
}

TEST_CASE("every parameter gets a gradient that is not zero") {
    for (const std::int64_t depth : {18, 50}) {
        const auto net = resnet({{"depth", depth}});
        net->forward({{"image", images()}}, {})["cls"].square().sum().backward();
        for (const auto& item : net->named_parameters()) {
            INFO(depth << " " << item.key());
            REQUIRE(item.value().grad().defined());
            CHECK(item.value().grad().abs().max().item<float>() > 0);
        }
    }
}

TEST_CASE("running statistics move in training, and in nothing else") {
    const auto net = resnet();
    const auto initial = copy_of_buffers(*net);
    const auto run = [&](bool training) {
        return net->forward({{"image", images()}}, context_of(training))["cls"];
    };

    net->train();
    const auto by_running = run(false);  // a module in training mode, evaluated
    CHECK(equal(copy_of_buffers(*net), initial));
    net->eval();
    CHECK(at::equal(run(true), by_running));
    CHECK(at::equal(run(false), by_running));
    CHECK(equal(copy_of_buffers(*net), initial));

    net->train();
    CHECK_FALSE(at::allclose(run(true), by_running, 1e-2, 1e-2));
    const auto moved = copy_of_buffers(*net);
    for (const auto& [name, value] : moved) {
        INFO(name);
        CHECK_FALSE(at::equal(value, initial.at(name)));
    }
    for (const auto& [name, value] : moved)
        if (name.ends_with("num_batches_tracked")) CHECK(value.item<std::int64_t>() == 1);
}

TEST_CASE("running statistics: momentum 0.1, the variance unbiased") {
    const auto net = resnet({{"mean", std::vector<double>{0.3}}, {"std", std::vector<double>{0.2}}});
    net->forward({{"image", images()}}, {});
    auto state = net->named_buffers();
    const auto x =
        at::conv2d((images() - 0.3) / 0.2, net->named_parameters()["conv1.weight"], {}, {2, 2}, {3, 3});
    const std::vector<std::int64_t> pixels = {0, 2, 3};
    CHECK(at::allclose(state["bn1.running_mean"], 0.1 * x.mean(pixels), 1e-4, 1e-5));
    CHECK(at::allclose(state["bn1.running_var"], 0.9 + 0.1 * x.var(pixels, /*unbiased=*/true, false), 1e-4,
                       1e-5));
}

TEST_CASE("a sample's output depends on its neighbours in training only") {
    const auto net = resnet();
    auto other = images().clone();
    other[1] = at::rand({1, 64, 64});
    const auto first = [&](const Tensor& batch) { return net->forward({{"image", batch}}, {})["cls"][0]; };
    CHECK_FALSE(at::allclose(first(images()), first(other), 1e-3, 1e-3));
    net->eval();
    CHECK(at::allclose(first(images()), first(other), 1e-5, 1e-6));
}

TEST_CASE("one or three channels, any memory order") {
    for (const std::int64_t channels : {1, 3}) {
        const auto net = resnet({}, channels);
        net->eval();
        const auto image = images(channels);
        const auto out = net->forward({{"image", image}}, {});
        const auto turned = net->forward({{"image", image.contiguous(at::MemoryFormat::ChannelsLast)}}, {});
        const auto strided = net->forward({{"image", at::stack({image, image}, -1).select(-1, 0)}}, {});
        CHECK(out["features.1"].is_contiguous(at::MemoryFormat::ChannelsLast));
        for (const auto* name : {"features.1", "features.4", "cls"}) {
            CHECK(at::allclose(out[name], turned[name], 1e-5, 1e-5));
            CHECK(at::allclose(out[name], strided[name], 1e-5, 1e-5));
        }
        CHECK(net->named_parameters()["conv1.weight"].size(1) == channels);
    }
}

TEST_CASE("normalisation by channel") {
    const auto by_channel =
        resnet({{"mean", std::vector<double>{0.1, 0.2, 0.3}}, {"std", std::vector<double>{0.5, 0.6, 0.7}}}, 3);
    const auto plain = resnet({{"mean", std::vector<double>{0}}, {"std", std::vector<double>{1}}}, 3);
    const auto mean = at::tensor({0.1F, 0.2F, 0.3F}).view({1, 3, 1, 1});
    const auto std = at::tensor({0.5F, 0.6F, 0.7F}).view({1, 3, 1, 1});
    CHECK(at::allclose(by_channel->forward({{"image", images(3)}}, {})["cls"],
                       plain->forward({{"image", (images(3) - mean) / std}}, {})["cls"], 1e-4, 1e-5));
}

TEST_CASE("initial weights: variance 2 / fan_out, norms the identity, the same seed the same") {
    const auto net = resnet({{"depth", std::int64_t{50}}});
    auto parameters = net->named_parameters();
    for (const std::string name : {"conv1", "layer1.0.conv2", "layer3.0.conv1", "layer4.0.downsample.0"}) {
        INFO(name);
        const auto weight = parameters[name + ".weight"];
        const auto fan_out = weight.size(0) * weight.size(2) * weight.size(3);
        CHECK(weight.std().item<double>() ==
              Approx(std::sqrt(2.0 / static_cast<double>(fan_out))).epsilon(0.05));
        CHECK(std::abs(weight.mean().item<double>()) < 0.05 * weight.std().item<double>());
    }
    CHECK(at::equal(parameters["layer2.1.bn3.weight"], at::ones({512})));
    CHECK(at::equal(parameters["layer2.1.bn3.bias"], at::zeros({512})));
    CHECK(
        at::equal(resnet()->named_parameters()["conv1.weight"], resnet()->named_parameters()["conv1.weight"]));
}

TEST_CASE("zero_init_residual: every block starts as the identity") {
    for (const std::int64_t depth : {18, 50}) {
        const auto net = resnet({{"depth", depth}, {"zero_init_residual", true}});
        const std::string last = depth == 18 ? ".bn2.weight" : ".bn3.weight";
        std::size_t zeros = 0;
        for (const auto& item : net->named_parameters())
            if (item.key().starts_with("layer") && item.key().ends_with(last)) {
                CHECK(item.value().abs().max().item<float>() == 0);
                ++zeros;
            }
        CHECK(zeros == (depth == 18 ? 8 : 16));
    }
    const auto net = resnet({{"zero_init_residual", true}});
    auto parameters = net->named_parameters();
    const auto before = net->forward({{"image", images()}}, {})["features.1"];
    const at::NoGradGuard no_grad;
    parameters["layer1.1.conv1.weight"].fill_(7);  // inside a branch that nothing passes
    CHECK(at::equal(net->forward({{"image", images()}}, {})["features.1"], before));
}

TEST_CASE("bf16 autocast stays close to fp32, and the pooled vector is fp32") {
    const auto net = resnet();
    net->eval();
    const at::NoGradGuard no_grad;
    const auto exact = net->forward({{"image", images()}}, {})["cls"];
    const auto half = test::in_bf16([&] { return net->forward({{"image", images()}}, {})["cls"]; });
    CHECK(half.scalar_type() == at::kFloat);
    CHECK_FALSE(at::equal(exact, half));
    CHECK((exact - half).norm().item<double>() < 0.03 * exact.norm().item<double>());
}

TEST_CASE("options out of range, and a batch that has no statistics, are refused") {
    const auto& schema = test::registry().find(Kind::backbone, "resnet").schema();
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
    CHECK_FALSE(schema.find("depth")->check(std::int64_t{101}).empty());
    CHECK_FALSE(schema.find("std")->check(std::vector<double>{0}).empty());
    CHECK_THROWS_AS(resnet({{"depth", std::int64_t{34}}}), RecipeError);
    CHECK_THROWS_AS(resnet({{"mean", std::vector<double>{0, 0, 0}}}), RecipeError);
    CHECK_THROWS_AS(resnet({{"std", std::vector<double>{1, 1}}}, 3), RecipeError);

    const auto one = at::rand({1, 1, 32, 32});  // the last map has a single pixel
    CHECK_THROWS_AS(resnet()->forward({{"image", one}}, {}), RecipeError);
    CHECK(resnet()->forward({{"image", one}}, context_of(false))["cls"].isfinite().all().item<bool>());
    CHECK(resnet()->forward({{"image", at::rand({1, 1, 64, 64})}}, {})["cls"].isfinite().all().item<bool>());
}
