// An augment in two halves against itself in one: sample by sample in a loader worker.
#pragma once

#include <ATen/ATen.h>

#include <hearth/hearth.hpp>
#include <map>
#include <vector>

#include "host/cuda.hpp"

namespace hearth::test {

/// The CPU, and a GPU where there is one.
inline std::vector<c10::Device> devices() {
    std::vector<c10::Device> out = {c10::kCPU};
    if (host::cuda_devices() > 0) out.emplace_back(c10::kCUDA, 0);
    return out;
}

/// The key of the i-th image of a batch.
inline RandomKey key_of(std::int64_t i) {
    return {.seed = 5, .epoch = 2, .sample = static_cast<std::uint64_t>(i), .stream = 1};
}

/// draw() for each of `images` [B, C, H, W], render() for all of them on `device`.
inline Tensors in_halves(const DeviceAugment& augment, const at::Tensor& images, c10::Device device) {
    std::map<std::string, std::vector<at::Tensor>> rows;
    for (std::int64_t i = 0; i < images.size(0); ++i) {
        Random random(key_of(i));
        const auto drawn = augment.draw({{"image", images[i]}}, random);
        for (const auto& name : augment.drawn()) rows[name].push_back(drawn[name]);
    }
    Tensors drawn, out;
    for (const auto& [name, list] : rows) drawn.set(name, at::stack(list).to(device));
    for (const auto& [name, view] : augment.render({{"image", images.to(device)}}, drawn))
        out.set(name, view.cpu());
    return out;
}

/// sample() for each of `images`, a view's batch axis at `axis`.
inline Tensors one_by_one(const Augment& augment, const at::Tensor& images, std::int64_t axis = 0) {
    std::map<std::string, std::vector<at::Tensor>> rows;
    for (std::int64_t i = 0; i < images.size(0); ++i) {
        Random random(key_of(i));
        for (const auto& [name, view] : augment.sample({{"image", images[i]}}, random))
            rows[name].push_back(view);
    }
    Tensors out;
    for (const auto& [name, list] : rows) out.set(name, at::stack(list, axis));
    return out;
}

}  // namespace hearth::test
