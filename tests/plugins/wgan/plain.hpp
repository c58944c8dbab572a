// The networks of WGAN-GP and f-AnoGAN as their official code describes them, operation by operation: images in
// [-1, 1], pooling and repeating of pixels apart from the convolutions, normalisation by its formula.
#pragma once

#include <ATen/ATen.h>
#include <torch/autograd.h>
#include <torch/nn/module.h>

#include <map>
#include <string>

namespace hearth::test::plain {

using at::Tensor;
using Weights = std::map<std::string, Tensor>;

/// Copies of a module's parameters and buffers, by name.
inline Weights weights_of(const torch::nn::Module& module) {
    Weights out;
    for (const auto& item : module.named_parameters())
        out[item.key()] = item.value().detach().clone().requires_grad_();
    for (const auto& item : module.named_buffers()) out[item.key()] = item.value().detach().clone();
    return out;
}

inline Tensor convolve(const Weights& w, const std::string& name, const Tensor& x) {
    const auto bias = w.count(name + ".bias") != 0 ? w.at(name + ".bias") : Tensor();
    const auto& weight = w.at(name + ".weight");
    return at::conv2d(x, weight, bias, 1, weight.size(2) / 2);
}

inline Tensor linear(const Weights& w, const std::string& name, const Tensor& x) {
    return x.matmul(w.at(name + ".weight").t()) + w.at(name + ".bias");
}

/// The mean of 2 x 2 pixels.
inline Tensor pool(const Tensor& x) {
    const auto part = [&](std::int64_t row, std::int64_t column) {
        return x.slice(2, row, c10::nullopt, 2).slice(3, column, c10::nullopt, 2);
    };
    return (part(0, 0) + part(0, 1) + part(1, 0) + part(1, 1)) / 4;
}

/// Every pixel 2 x 2 times.
inline Tensor repeat(const Tensor& x) {
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3);
}

/// Over all of an image; or over the batch, its statistics or, in evaluation, those of the buffers.
inline Tensor normalise(const Weights& w, const std::string& name, const Tensor& x, bool training) {
    const bool batch = w.count(name + ".running_mean") != 0;
    const std::vector<std::int64_t> over =
        batch ? std::vector<std::int64_t>{0, 2, 3} : std::vector<std::int64_t>{1, 2, 3};
    const auto column = [&](const std::string& what) { return w.at(name + what).view({1, -1, 1, 1}); };
    const bool stored = batch && !training;
    const auto mean = stored ? column(".running_mean") : x.mean(over, true);
    const auto variance = stored ? column(".running_var") : (x - mean).square().mean(over, true);
    return (x - mean) / (variance + (batch ? 1e-3 : 1e-5)).sqrt() * column(".weight") + column(".bias");
}

inline Tensor block(const Weights& w, const std::string& name, const Tensor& x, bool halves, bool training) {
    const auto active = [&](const std::string& norm, const Tensor& of) {
        return at::relu(normalise(w, name + norm, of, training));
    };
    if (halves) {
        const auto y = convolve(w, name + ".conv1", active(".norm1", x));
        return pool(convolve(w, name + ".conv2", active(".norm2", y))) +
               convolve(w, name + ".shortcut", pool(x));
    }
    const auto y = convolve(w, name + ".conv1", repeat(active(".norm1", x)));
    return convolve(w, name + ".conv2", active(".norm2", y)) + convolve(w, name + ".shortcut", repeat(x));
}

/// u [B, C, S, S] in [-1, 1] -> [B, F]
inline Tensor trunk(const Weights& w, const Tensor& u, bool training) {
    auto x = convolve(w, "trunk.input", u);
    for (int i = 1; w.count("trunk.block" + std::to_string(i) + ".conv1.weight") != 0; ++i)
        x = block(w, "trunk.block" + std::to_string(i), x, /*halves=*/true, training);
    return x.reshape({x.size(0), -1});
}

inline Tensor score(const Weights& w, const Tensor& u) {
    return linear(w, "output", trunk(w, u, true)).reshape({-1});
}

inline Tensor encode(const Weights& w, const Tensor& u, bool training) {
    return linear(w, "output", trunk(w, u, training)).tanh();
}

/// z [B, Z] -> u [B, C, S, S] in [-1, 1]
inline Tensor generate(const Weights& w, const Tensor& z, bool training) {
    auto x = linear(w, "input", z);
    x = x.reshape({z.size(0), -1, 4, 4});
    for (int i = 1; w.count("block" + std::to_string(i) + ".conv1.weight") != 0; ++i)
        x = block(w, "block" + std::to_string(i), x, /*halves=*/false, training);
    return convolve(w, "output", at::relu(normalise(w, "norm", x, training))).tanh();
}

/// mean of (|| d D(u) / d u || - 1)^2
inline Tensor penalty(const Weights& critic, const Tensor& at_point) {
    const auto u = at_point.detach().requires_grad_();
    const auto gradient =
        torch::autograd::grad({score(critic, u).sum()}, {u}, {}, true, /*create_graph=*/true)[0];
    return (gradient.square().sum({1, 2, 3}).sqrt() - 1).square().mean();
}

}  // namespace hearth::test::plain
