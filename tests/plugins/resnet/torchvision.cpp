// The backbone resnet against torchvision's resnet18 and resnet50: names, outputs, gradients, running
// statistics. tools/resnet_reference.py wrote the expected numbers, in double precision with the weights of
// fill().
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/plugins.hpp"

using namespace hearth;
using at::Tensor;
using nlohmann::json;

namespace {

constexpr std::int64_t batch = 4, height = 75, width = 50;
const std::vector<std::string> depths = {"18", "50"};

const json& reference() {
    static const json stored =
        json::parse(std::ifstream(HEARTH_TEST_SOURCE_DIR "/tests/plugins/resnet/torchvision.json"));
    return stored;
}

/// Numbers in [-1, 1): a hash of (tensor, place), as noise() in tools/resnet_reference.py.
Tensor noise(std::uint64_t tensor, at::IntArrayRef shape) {
    auto out = at::empty(shape, at::kDouble);
    auto* value = out.data_ptr<double>();
    for (std::int64_t i = 0; i < out.numel(); ++i) {
        auto x = (static_cast<std::uint64_t>(i) + tensor * 0x9E3779B1U) & 0xFFFFFFFFU;
        for (int round = 0; round < 2; ++round) x = ((x ^ (x >> 16U)) * 0x45D9F3BU) & 0xFFFFFFFFU;
        value[i] = static_cast<double>(x ^ (x >> 16U)) / 2147483648.0 - 1;
    }
    return out;
}

std::map<std::string, Tensor> state_of(const torch::nn::Module& module) {
    std::map<std::string, Tensor> state;
    for (const auto& item : module.named_parameters()) state[item.key()] = item.value();
    for (const auto& item : module.named_buffers()) state[item.key()] = item.value();
    return state;
}

/// The names in the order of torchvision's state_dict.
std::vector<std::string> names_of(const std::string& depth) {
    std::ifstream file(HEARTH_TEST_SOURCE_DIR "/tests/plugins/resnet/torchvision.json");
    const auto ordered = nlohmann::ordered_json::parse(file);
    std::vector<std::string> names;
    for (const auto& [name, shape] : ordered.at(depth).at("state").items()) names.push_back(name);
    return names;
}

std::shared_ptr<Backbone> resnet(const std::string& depth) {
    Symbols symbols;
    symbols.bind("C", 3);
    symbols.bind("H", height);
    symbols.bind("W", width);
    return test::make<Backbone>("resnet",
                                {{"depth", std::int64_t{std::stoi(depth)}},
                                 {"mean", std::vector<double>{0.485, 0.456, 0.406}},
                                 {"std", std::vector<double>{0.229, 0.224, 0.225}}},
                                symbols);
}

void fill(const torch::nn::Module& module, const std::string& depth) {
    const at::NoGradGuard no_grad;
    auto state = state_of(module);
    std::uint64_t number = 0;
    for (const auto& name : names_of(depth)) {
        auto& tensor = state.at(name);
        auto u = noise(number++, tensor.sizes());
        if (name.ends_with("num_batches_tracked")) continue;
        if (tensor.dim() == 4)
            u *= std::sqrt(6 / static_cast<double>(tensor[0].numel()));
        else if (name.ends_with("weight") || name.ends_with("running_var"))
            u = 1 + u / 4;
        else
            u /= 4;
        tensor.copy_(u);
    }
}

Tensor image() {
    return (noise(9999, {batch, 3, height, width}) + 1) / 2;
}

/// Largest difference from the stored numbers, relative to the largest number of the whole tensor.
double error(const Tensor& found, const json& expected) {
    const auto shape = expected.at("shape").get<std::vector<std::int64_t>>();
    REQUIRE(found.sizes() == at::IntArrayRef(shape));
    const auto flat = found.detach().to(at::kDouble).contiguous().view(-1);
    const auto values = expected.at("values").get<std::vector<double>>();
    const auto step = std::max<std::int64_t>(1, flat.numel() / 32);
    const auto scale = expected.at("scale").get<double>();
    double worst = std::abs(flat.abs().max().item<double>() - scale);
    for (std::size_t i = 0; i < values.size(); ++i)
        worst = std::max(worst, std::abs(flat[static_cast<std::int64_t>(i) * step].item<double>() - values[i]));
    return worst / scale;
}

}  // namespace

TEST_CASE("parameters and buffers have torchvision's names and shapes") {
    for (const auto& depth : depths) {
        INFO(depth);
        std::map<std::string, std::vector<std::int64_t>> found;
        for (const auto& [name, tensor] : state_of(*resnet(depth))) found[name] = tensor.sizes().vec();
        CHECK(found ==
              reference().at(depth).at("state").get<std::map<std::string, std::vector<std::int64_t>>>());
    }
}

TEST_CASE("running statistics: the outputs are torchvision's") {
    for (const auto& depth : depths) {
        const auto net = resnet(depth);
        fill(*net, depth);
        net->eval();
        const at::NoGradGuard no_grad;
        const auto single = net->forward({{"image", image().to(at::kFloat)}}, {});
        net->to(at::kDouble);
        fill(*net, depth);
        const auto exact = net->forward({{"image", image()}}, {});
        for (const auto& [name, expected] : reference().at(depth).at("eval").items()) {
            INFO(depth << " " << name);
            CHECK(error(single[name], expected) < 1e-5);
            CHECK(error(exact[name], expected) < 1e-10);
        }
    }
}

TEST_CASE("statistics of the batch: outputs, gradients and running statistics are torchvision's") {
    for (const auto& depth : depths) {
        const auto net = resnet(depth);
        fill(*net, depth);
        const auto& expected = reference().at(depth).at("train");
        const auto single = net->forward({{"image", image().to(at::kFloat)}}, {});
        for (const auto& [name, tensor] : single) {
            if (name.starts_with("pixel_")) continue;  // options, not features
            INFO(depth << " " << name << " in fp32");
            CHECK(error(tensor, expected.at(name)) < 1e-4);  // the last norms divide by statistics of 24 pixels
        }

        net->to(at::kDouble);
        fill(*net, depth);
        const auto exact = net->forward({{"image", image()}}, {});
        Tensor total = at::zeros({}, at::kDouble);
        for (const auto& [name, tensor] : exact) total = total + tensor.square().mean();
        total.backward();
        auto found = state_of(*net);
        for (const auto& [name, tensor] : exact) found[name] = tensor;
        for (const auto& item : net->named_parameters())
            found["gradient of " + item.key()] = item.value().grad();
        for (const auto& [name, values] : expected.items()) {
            INFO(depth << " " << name);
            CHECK(error(found.at(name), values) < 1e-9);
        }
        CHECK(found.at("bn1.num_batches_tracked").item<std::int64_t>() == 2);
    }
}
