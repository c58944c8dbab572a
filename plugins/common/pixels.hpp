// States the unit of pixels: what a backbone subtracts from an image and divides it by. A backbone says it in
// two ports, which decoders and losses of pixels read, so that a recipe gives mean and std once.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <hearth/hearth.hpp>
#include <string>
#include <utility>
#include <vector>

namespace hearth::pixels {

/// The options `mean` and `std` of a backbone: one value, or one a channel, for images in [0, 1].
class Unit {
  public:
    static void schema(Schema& schema) {
        schema.numbers("mean", {0.5}).doc("subtracted from the image: one value, or one a channel");
        schema.numbers("std", {0.25})
            .range(1e-3, 1e3)
            .doc("the image is then divided by it: one value, or one a channel");
    }
    /// What a backbone adds to its writes.
    static Ports ports() {
        return {Port("pixel_mean", "B C", "what was subtracted from the image, one value a channel").maybe(),
                Port("pixel_std", "B C", "what the image was then divided by, one value a channel").maybe()};
    }

    /// Throws RecipeError in the name of `who` where there are neither one value nor one a channel.
    Unit(const Options& options, std::int64_t channels, const char* who)
        : mean_(options.numbers("mean")), std_(options.numbers("std")) {
        for (const auto* values : {&mean_, &std_})
            if (values->size() != 1 && static_cast<std::int64_t>(values->size()) != channels)
                throw RecipeError(fmt::format("{}: mean and std have {} values, expected 1 or {} (channels)",
                                              who, values->size(), channels));
    }

    Normalization normalization() const { return {mean_, std_}; }

    /// pixels [.., C, h, w] in [0, 1] -> the same in units of std from the mean.
    at::Tensor normalise(const at::Tensor& pixels) const {
        if (mean_.size() == 1 && std_.size() == 1) return (pixels - mean_[0]) / std_[0];
        const auto by_channel = [&](const std::vector<double>& values) {
            return constants(values, pixels).view({-1, 1, 1});
        };
        return (pixels - by_channel(mean_)) / by_channel(std_);
    }

    /// Writes the two ports for an image [B, C, H, W], where somebody reads them.
    void write(const at::Tensor& image, const Context& context, Tensors& out) const {
        const auto by_sample = [&](const std::vector<double>& values) {
            return constants(values, image).expand({image.size(0), image.size(1)});
        };
        if (context.wants("pixel_mean")) out.set("pixel_mean", by_sample(mean_));
        if (context.wants("pixel_std")) out.set("pixel_std", by_sample(std_));
    }

  private:
    /// [values], or [1], made where `like` is: a copy from the host would wait for a GPU.
    static at::Tensor constants(const std::vector<double>& values, const at::Tensor& like) {
        std::vector<at::Tensor> all;
        for (const auto value : values) all.push_back(at::full({1}, value, like.options()));
        return all.size() == 1 ? all.front() : at::cat(all);
    }

    std::vector<double> mean_, std_;
};

/// What a head reads to know that unit.
inline Ports unit_reads() {
    return {Port("pixel_mean", "B C", "mean of the backbone's pixels; unconnected: 0").maybe(),
            Port("pixel_std", "B C", "what the backbone divides them by; unconnected: 1").maybe()};
}

/// pixel_mean and pixel_std [B, C] among the reads of a head, for an image [B, C, H, W].
inline std::pair<at::Tensor, at::Tensor> unit_of_backbone(const Tensors& in, const at::Tensor& image) {
    const auto read = [&](const char* port, double otherwise) {
        return in.has(port)
                   ? in[port]
                   : at::full({1, 1}, otherwise, image.options()).expand({image.size(0), image.size(1)});
    };
    return {read("pixel_mean", 0), read("pixel_std", 1)};
}

/// [B, C] -> [B, C, 1, ..], to go with a tensor of `dim` dimensions.
inline at::Tensor by_channel(const at::Tensor& values, std::int64_t dim) {
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(dim), 1);
    sizes[0] = values.size(0), sizes[1] = values.size(1);
    return values.reshape(sizes);
}

/// x [B, C, ..] in [0, 1] -> in the unit that `owner` ("restored") states in its ports `owner.mean` and
/// `owner.std`, mean 0 and std 1 where it states none. A difference of images has no mean to take off.
inline at::Tensor in_unit_of(const Tensors& in, const std::string& owner, at::Tensor x,
                             bool difference = false) {
    const auto mean = owner + ".mean", std = owner + ".std";
    if (!difference && in.has(mean)) x = x - by_channel(in[mean], x.dim());
    return in.has(std) ? x / by_channel(in[std], x.dim()) : x;
}

}  // namespace hearth::pixels
