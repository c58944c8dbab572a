#include "conformance/inputs.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>

namespace hearth::conformance {
namespace {

using at::Tensor;

bool says(const Port& port, const char* phrase) {
    return port.help.find(phrase) != std::string::npos;
}

/// A rectangle in three of four samples: some have no spot at all.
Tensor make_spots(at::IntArrayRef sizes, const at::Generator& random) {
    auto spots = at::zeros(sizes);
    if (spots.dim() < 3) return at::rand(sizes, random);
    for (std::int64_t i = 0; i < spots.size(0); ++i) {
        if (i % 4 == 3) continue;
        auto image = spots[i];
        const auto height = image.size(-2), width = image.size(-1);
        image = image.narrow(-2, height / 4 * (i % 2), std::max<std::int64_t>(1, height / 2))
                    .narrow(-1, width / 4, std::max<std::int64_t>(1, width / 2));
        image.copy_(at::rand(image.sizes(), random));
    }
    return spots;
}

/// Smooth, as films are, with a little noise.
Tensor make_pixels(at::IntArrayRef sizes, const at::Generator& random) {
    const auto noise = at::rand(sizes, random);
    if (sizes.size() != 4) return noise;
    const auto coarse = at::rand({sizes[0], sizes[1], 4, 4}, random);
    const auto smooth = at::upsample_bilinear2d(coarse, {sizes[2], sizes[3]}, /*align_corners=*/false);
    return smooth * 0.9 + noise * 0.1;
}

Tensor make_order(at::IntArrayRef sizes, const at::Generator& random) {
    return at::rand(sizes, random).argsort(std::int64_t{-1});
}

Tensor make_index(at::IntArrayRef sizes) {
    auto shape = std::vector<std::int64_t>(sizes.size(), 1);
    shape[0] = sizes[0];
    return at::arange(sizes[0], at::kLong).view(shape).expand(sizes).contiguous();
}

Tensor make_values(Values values, at::IntArrayRef sizes, const at::Generator& random) {
    switch (values) {
        case Values::normal:
            return at::randn(sizes, random);
        case Values::pixels:
            return make_pixels(sizes, random);
        case Values::unit: {
            const auto x = at::randn(sizes, random);
            return x / x.norm(2, -1, /*keepdim=*/true);
        }
        case Values::distribution:
            return at::randn(sizes, random).softmax(-1);
        case Values::positive:
            return at::rand(sizes, random) + 0.5;
        case Values::spots:
            return make_spots(sizes, random);
        case Values::binary:
            return (at::rand(sizes, random) < 0.5).to(at::kFloat);
        case Values::labels:
            return at::randint(-1, 2, sizes, random);
        case Values::order:
            return make_order(sizes, random);
        case Values::index:
            return make_index(sizes);
    }
    return {};
}

at::ScalarType type_of(const Port& port) {
    if (port.dtype == "int64") return at::kLong;
    return port.dtype == "bool" ? at::kBool : at::kFloat;
}

}  // namespace

const std::vector<Sizes>& sizes_to_try() {
    static const std::vector<Sizes> sizes = {{32, 8}, {64, 16}, {96, 16}, {224, 16}};
    return sizes;
}

Symbols numbers_for(const Ports& reads, const Sizes& sizes, const std::map<std::string, std::int64_t>& given) {
    const auto edge = given.contains("H") ? given.at("H") : sizes.edge;
    const auto channels = given.contains("C") ? given.at("C") : 1;
    const auto rows = std::max<std::int64_t>(1, edge / sizes.patch);
    const std::map<std::string, std::int64_t> usual = {{"C", channels},
                                                       {"H", edge},
                                                       {"W", edge},
                                                       {"L", rows * rows},
                                                       {"N", std::max<std::int64_t>(1, rows * rows / 4)},
                                                       {"P", channels * sizes.patch * sizes.patch},
                                                       {"D", 16},
                                                       {"K", 5},
                                                       {"G", 2},
                                                       {"V", 3},
                                                       {"Z", 8},
                                                       {"h", 4},
                                                       {"w", 4}};
    Symbols numbers;
    std::int64_t next = 6;  // for what is not usual: a number of its own, so that a mix-up shows
    for (const auto& port : reads)
        for (const auto& dim : port.shape) {
            const auto& name = dim.text();
            if (dim.known() || name == "B" || numbers.bound(name)) continue;
            if (const auto found = given.find(name); found != given.end())
                numbers.bind(name, found->second);
            else if (const auto known = usual.find(name); known != usual.end())
                numbers.bind(name, known->second);
            else
                numbers.bind(name, next++);
        }
    return numbers;
}

Values values_of(const Port& port) {
    if (port.dtype == "bool") return Values::binary;
    if (port.dtype == "int64") {
        if (port.name == "index") return Values::index;
        const bool order = says(port, "indices") || port.name == "keep" || port.name == "restore";
        return order ? Values::order : Values::labels;
    }
    if (port.name.ends_with(".std") || port.name.ends_with("_std")) return Values::positive;
    if (says(port, "[0, 1]") || port.name == "image") return Values::pixels;
    if (says(port, ">= 0")) return Values::spots;
    if (says(port, "1 where") || says(port, "1 inside")) return Values::binary;
    if (says(port, "unit length")) return Values::unit;
    return says(port, "distribution") ? Values::distribution : Values::normal;
}

Tensor make_tensor(const Port& port, Values values, at::IntArrayRef sizes, std::uint64_t seed) {
    const at::NoGradGuard no_grad;
    return make_values(values, sizes, at::make_generator<at::CPUGeneratorImpl>(seed)).to(type_of(port));
}

std::int64_t batch_axis(const Shape& shape) {
    const auto found = std::ranges::find(shape, Dim("B"));
    return found == shape.end() ? -1 : found - shape.begin();
}

}  // namespace hearth::conformance
