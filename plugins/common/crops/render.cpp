// Computes the horizontal and the vertical pass; see render.hpp.
#include "common/crops/render.hpp"

#include <algorithm>
#include <numeric>

#include "common/crops/kernels.hpp"

namespace hearth::crops {
namespace {

constexpr int block_columns = 16;     // of the crop, made before they are turned: a cache line of each row
constexpr float no_threshold = 2.0F;  // above every value

std::size_t area(int a, int b, int c = 1) {
    return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c);
}

}  // namespace

void Renderer::load(const float* planes, int channels, int height, int width) {
    channels_ = channels, width_ = width, pitch_ = padded(height) + lanes;
    source_.resize(area(channels, width, pitch_));
    for (int c = 0; c < channels; ++c)
        transpose(planes + area(c, height, width), width, height, width,
                  source_.data() + area(c, width, pitch_), pitch_);
    clamp(source_.data(), source_.size());
}

void Renderer::prepare(const Crop& crop, const Target& target) {
    const auto axis = [&](int length, Weights& weights) {
        if (crop.sigma <= 0) return resample(target.interpolation, length, target.size, weights);
        resample(target.interpolation, length, target.size, sharp_);
        blur(crop.sigma, sharp_, weights);
    };
    axis(crop.box.height, rows_);
    axis(crop.box.width, columns_);
    if (crop.flip) std::reverse(columns_.rows.begin(), columns_.rows.end());
}

void Renderer::horizontal(const Box& box, int size, int channel) {
    const int length = padded(box.height), pitch = padded(size);
    const float* plane = source_.data() + area(channel, width_, pitch_);
    float* out = middle_.data() + area(channel, box.height, pitch);
    for (int begin = 0; begin < size; begin += block_columns) {
        const int columns = std::min(block_columns, size - begin);
        for (int j = 0; j < columns; ++j) {
            const auto& row = columns_.rows[static_cast<std::size_t>(begin) + static_cast<std::size_t>(j)];
            combine(plane + area(box.left + row.first, pitch_) + box.top, pitch_,
                    columns_.values.data() + row.offset, row.count, length, block_.data() + area(j, length));
        }
        transpose(block_.data(), length, columns, box.height, out + begin, pitch);
    }
}

/// Of the crop before brightness and contrast: the vertical pass with the sums of its weights.
double Renderer::mean(const Box& box, int size) {
    sums_.assign(static_cast<std::size_t>(box.height), 0.0F);
    for (const auto& [first, count, offset] : rows_.rows)
        for (int k = 0; k < count; ++k)
            sums_[static_cast<std::size_t>(first) + static_cast<std::size_t>(k)] +=
                rows_.values[offset + static_cast<std::size_t>(k)];
    const int pitch = padded(size);
    double total = 0;
    for (int c = 0; c < channels_; ++c) {
        combine(middle_.data() + area(c, box.height, pitch), pitch, sums_.data(), box.height, pitch,
                line_.data());
        total = std::accumulate(line_.begin(), line_.begin() + size, total);
    }
    return total / (static_cast<double>(size) * size * channels_);
}

void Renderer::render(const Crop& crop, const Target& target, float* out) {
    const int size = target.size, pitch = padded(size);
    prepare(crop, target);
    middle_.resize(area(channels_, crop.box.height, pitch));
    block_.resize(area(block_columns, padded(crop.box.height)));
    line_.resize(static_cast<std::size_t>(pitch));
    for (int c = 0; c < channels_; ++c) horizontal(crop.box, size, c);

    const double gain = crop.brightness * crop.contrast;
    const double offset = crop.contrast == 1 ? 0 : crop.brightness * (1 - crop.contrast) * mean(crop.box, size);
    const float threshold = crop.solarise ? target.solarise_threshold : no_threshold;
    for (int c = 0; c < channels_; ++c) {
        const float* middle = middle_.data() + area(c, crop.box.height, pitch);
        for (const auto& [first, count, weights] : rows_.rows) {
            combine(middle + area(first, pitch), pitch, rows_.values.data() + weights, count, pitch,
                    line_.data());
            finish(line_.data(), size, static_cast<float>(gain), static_cast<float>(offset), threshold, out);
            out += size;
        }
    }
}

}  // namespace hearth::crops
