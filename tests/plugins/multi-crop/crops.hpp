// What both test files of multi-crop share: running it, option lists, and reading a box off a coordinate image.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "support/plugins.hpp"

namespace hearth::test {

using Changes = std::vector<std::pair<std::string, OptionValue>>;
using Numbers = std::vector<double>;

inline Tensors draw(const Augment& augment, const at::Tensor& image, const RandomKey& key = {}) {
    Random random(key);
    return augment.sample({{"image", image}}, random);
}

inline at::Tensor global(const Changes& changes, const at::Tensor& image, const RandomKey& key = {}) {
    return draw(*make<Augment>("multi-crop", changes), image, key)["global"];
}

/// One global crop of `size` and nothing but its place left to chance.
inline Changes plain(std::int64_t size) {
    return {{"global_crops", std::int64_t{1}},
            {"local_crops", std::int64_t{0}},
            {"global_size", size},
            {"flip", Schedule(0)},
            {"jitter", Schedule(0)},
            {"blur", Numbers{0}},
            {"solarise", Numbers{0}}};
}

/// The whole of a square image in one crop of `size`, unchanged but for what `more` asks for.
inline Changes whole(std::int64_t size, const Changes& more = {}) {
    auto changes = plain(size);
    changes.insert(changes.end(), {{"global_scale", Numbers{1, 1}}, {"ratio", Numbers{1, 1}}});
    changes.insert(changes.end(), more.begin(), more.end());
    return changes;
}

inline Changes with(Changes changes, const Changes& more) {
    changes.insert(changes.end(), more.begin(), more.end());
    return changes;
}

/// [2, height, width]: the x and the y of each pixel's centre, over 1000.
inline at::Tensor coordinates(std::int64_t height, std::int64_t width) {
    const auto x = (at::arange(width) + 0.5) / 1000, y = (at::arange(height) + 0.5) / 1000;
    return at::stack({x.unsqueeze(0).expand({height, width}), y.unsqueeze(1).expand({height, width})})
        .to(at::kFloat);
}

struct FoundBox {
    double top, left, height, width;
    bool flip;
};

/// Where a crop [2, S, S] of a coordinate image came from, to a few hundredths of a pixel: away from the border
/// ramps stay ramps (nearly so where they shrink, since the weights of a widened kernel are samples of it).
inline FoundBox find_box(const at::Tensor& crop) {
    const auto size = crop.size(1), near = size / 4, far = size - 1 - near;
    const auto span = [&](int channel, double& start, double& length) {
        const auto line = 1000 * (channel == 0 ? crop[0][size / 2] : crop[1].select(1, size / 2));
        const double a = line[near].item<double>(), b = line[far].item<double>();
        length = (b - a) / static_cast<double>(far - near) * static_cast<double>(size);
        start = (a + b) / 2 - std::abs(length) / 2;
        return length < 0;
    };
    FoundBox box{};
    box.flip = span(0, box.left, box.width);
    box.width = std::abs(box.width);
    span(1, box.top, box.height);
    return box;
}

}  // namespace hearth::test
