// Crops of images (hearth/fused.hpp), five kernels for those of a whole batch: each axis of a box is resampled, each axis of
// the crop blurred, then its light is changed. Weights of resampling (hearth/crops.hpp) are made where they are used, and
// of an image only the rows of a box are read.
#pragma once

#include <hearth/crops.hpp>

#include "cuda/team.hpp"

namespace hearth::cuda {

using fused::CropRow;

struct Crops {
    const float* images;  ///< [B, C, H, W], of dense planes
    std::int64_t image_stride, channel_stride;
    const float* crops;  ///< [B, K, columns], rows as CropRow has them
    float* narrow;       ///< [K, B, C, H, size], the rows of a box from its first one on, `size` wide
    float* soft;         ///< [K, B, C, size, size], blurred along its rows
    double* sums;        ///< [K, B, C, strips], of the pixels of a strip
    float* out;          ///< [K, B, C, size, size]
    int batch, count, channels, height, width, columns, size;
    fused::Interpolation interpolation;
    float solarise_threshold;
};

constexpr int crop_strip = 8;    ///< rows of a block
constexpr int crop_kernels = 5;  ///< that launch() starts, whatever the batch

/// Of an image or a crop with so many rows.
HEARTH_HD std::int64_t crop_strips(std::int64_t rows) {
    return (rows + crop_strip - 1) / crop_strip;
}
HEARTH_HD std::int64_t crop_planes(const Crops& a) {
    return std::int64_t{a.count} * a.batch * a.channels;
}

/// What a block works on: rows [begin, begin + crop_strip) of one channel of a crop, or of its box.
struct CropStrip {
    const float *row, *image;
    std::int64_t plane;  ///< of [K, B, C]
    int begin;
};

HEARTH_HD CropStrip crop_strip_of(const Crops& a, std::int64_t block, int rows) {
    const auto strips = crop_strips(rows), plane = block / strips;
    const auto channel = plane % a.channels, image = plane / a.channels % a.batch,
               crop = plane / a.channels / a.batch;
    return {a.crops + (image * a.count + crop) * a.columns,
            a.images + image * a.image_stride + channel * a.channel_stride, plane,
            static_cast<int>(block % strips) * crop_strip};
}

/// One axis of a box, and the pixels of the image that are in it.
struct BoxAxis {
    double start, step;
    int begin, end;
};

/// A place among pixels, brought into [low, high]; `low` for one that is not a number.
HEARTH_HD int within(double place, int low, int high) {
    return static_cast<int>(fmin(fmax(place, static_cast<double>(low)), static_cast<double>(high)));
}

/// Whatever a row holds, 0 <= begin <= end <= pixels.
HEARTH_HD BoxAxis box_axis(double start, double length, int size, int pixels) {
    const int begin = within(ceil(start), 0, pixels);
    return {start, length / size, begin, within(ceil(start + length), begin, pixels)};
}

/// The pixels that output i of an axis is a mean of. Their places are of a film that may be large, and so found in double;
/// how far they are from the centre is not much more than the step.
struct Taps {
    int first, end;
    float distance;  ///< of the first pixel from the centre
    float scale;     ///< of distances, where the kernel is wider than its own unit

    HEARTH_HD Taps(const BoxAxis& axis, int i, fused::Interpolation interpolation) {
        const double centre = axis.start + (i + 0.5) * axis.step;
        const double reach = (interpolation == fused::Interpolation::bicubic ? 2 : 1) * fmax(axis.step, 1.0);
        first = within(floor(centre - reach + 0.5), axis.begin, axis.end);
        end = within(floor(centre + reach + 0.5), first, axis.end);
        distance = static_cast<float>(first + 0.5 - centre);
        scale = static_cast<float>(fmin(1 / axis.step, 1.0));
    }
    /// Before it is divided by the sum of all.
    HEARTH_HD float weight(int pixel, fused::Interpolation interpolation) const {
        const float x = fabsf((distance + static_cast<float>(pixel - first)) * scale);
        if (interpolation == fused::Interpolation::bilinear) return x < 1 ? 1 - x : 0;
        const float inner = (1.5f * x - 2.5f) * x * x + 1, outer = ((-0.5f * x + 2.5f) * x - 4) * x + 2;
        return x < 1 ? inner : x < 2 ? outer : 0;
    }
};

/// Rows of a box, resampled along them, and mirrored.
template <class Team>
HEARTH_HD void narrow_strip(const Crops& a, std::int64_t block, const Team& team) {
    const auto strip = crop_strip_of(a, block, a.height);
    const auto down = box_axis(strip.row[CropRow::top], strip.row[CropRow::height], a.size, a.height),
               across = box_axis(strip.row[CropRow::left], strip.row[CropRow::width], a.size, a.width);
    const int left = down.end - down.begin - strip.begin, rows = left < crop_strip ? left : crop_strip;
    if (rows <= 0) return;
    const float* image = strip.image + std::int64_t{down.begin + strip.begin} * a.width;
    float* narrow = a.narrow + (strip.plane * a.height + strip.begin) * a.size;
    const bool flip = strip.row[CropRow::flip] > 0;
    team.each(a.size, [&](int j, int) {
        const Taps taps(across, flip ? a.size - 1 - j : j, a.interpolation);
        float values[crop_strip] = {}, total = 0;
        for (int pixel = taps.first; pixel < taps.end; ++pixel) {
            const float weight = taps.weight(pixel, a.interpolation);
            total += weight;
            for (int k = 0; k < crop_strip; ++k)
                if (k < rows) {
                    const float value = image[std::int64_t{k} * a.width + pixel];
                    values[k] += weight * fminf(fmaxf(value, 0.0f), 1.0f);  // what is not a number becomes 0
                }
        }
        for (int k = 0; k < crop_strip; ++k)
            if (k < rows) narrow[k * a.size + j] = values[k] / total;
    });
}

/// visit(i, j, at) for the pixels of a strip of a crop: row, column, and place in [K, B, C, size, size].
template <class Team, class Visit>
HEARTH_HD void each_pixel(const Crops& a, const CropStrip& strip, const Team& team, const Visit& visit) {
    const int left = a.size - strip.begin, rows = left < crop_strip ? left : crop_strip;
    const auto first = strip.plane * a.size * a.size;
    team.each(rows * a.size, [&](int pixel, int) {
        const int i = strip.begin + pixel / a.size, j = pixel % a.size;
        visit(i, j, first + std::int64_t{i} * a.size + j);
    });
}

/// The same down the columns, into `out`.
template <class Team>
HEARTH_HD void shorten_strip(const Crops& a, std::int64_t block, const Team& team) {
    const auto strip = crop_strip_of(a, block, a.size);
    const auto down = box_axis(strip.row[CropRow::top], strip.row[CropRow::height], a.size, a.height);
    const float* narrow = a.narrow + strip.plane * a.height * a.size;
    each_pixel(a, strip, team, [&](int i, int j, std::int64_t at) {
        const Taps taps(down, i, a.interpolation);
        float value = 0, total = 0;
        for (int pixel = taps.first; pixel < taps.end; ++pixel) {
            const float weight = taps.weight(pixel, a.interpolation);
            total += weight;
            value += weight * narrow[std::int64_t{pixel - down.begin} * a.size + j];
        }
        a.out[at] = value / total;
    });
}

/// Half of a blur's kernel without the zeros behind it.
struct HalfKernel {
    const float* values;
    int radius;

    HEARTH_HD HalfKernel(const Crops& a, const float* row)
        : values(row + CropRow::blur), radius(a.columns - 1 - CropRow::blur) {
        while (radius > 0 && values[radius] == 0) --radius;
    }
    /// Around the i-th of `size` values that are `stride` apart.
    HEARTH_HD float blurred(const float* line, int i, int size, std::int64_t stride) const {
        float total = values[0] * line[i * stride];
        for (int k = 1; k <= radius; ++k) {
            const int before = i - k > 0 ? i - k : 0, after = i + k < size ? i + k : size - 1;
            total += values[k] * (line[before * stride] + line[after * stride]);
        }
        return total;
    }
};

/// `out`, blurred along its rows, into `soft`.
template <class Team>
HEARTH_HD void blur_rows_strip(const Crops& a, std::int64_t block, const Team& team) {
    const auto strip = crop_strip_of(a, block, a.size);
    const HalfKernel half(a, strip.row);
    each_pixel(a, strip, team,
               [&](int, int j, std::int64_t at) { a.soft[at] = half.blurred(a.out + (at - j), j, a.size, 1); });
}

/// `soft`, blurred down its columns, into `out`, with the sum of the strip.
template <class Team>
HEARTH_HD void blur_columns_strip(const Crops& a, std::int64_t block, const Team& team) {
    const auto strip = crop_strip_of(a, block, a.size);
    const HalfKernel half(a, strip.row);
    double total = 0;
    each_pixel(a, strip, team, [&](int i, int, std::int64_t at) {
        const float value = half.blurred(a.soft + (at - std::int64_t{i} * a.size), i, a.size, a.size);
        a.out[at] = value;
        total += value;
    });
    total = team.sum(total);
    if (team.first()) a.sums[block] = total;
}

/// Brightness, contrast and solarisation of `out`.
template <class Team>
HEARTH_HD void finish_strip(const Crops& a, std::int64_t block, const Team& team) {
    const auto strip = crop_strip_of(a, block, a.size);
    const int sums = a.channels * static_cast<int>(crop_strips(a.size));
    const double* of_crop = a.sums + strip.plane / a.channels * sums;
    double total = 0;
    team.each(sums, [&](int i, int) { total += of_crop[i]; });
    total = team.sum(total);
    const float mean = static_cast<float>(total / (static_cast<double>(a.size) * a.size * a.channels));
    const float brightness = strip.row[CropRow::brightness], contrast = strip.row[CropRow::contrast],
                gain = brightness * contrast, offset = brightness * (1 - contrast) * mean;
    const bool solarises = strip.row[CropRow::solarise] > 0;
    each_pixel(a, strip, team, [&](int, int, std::int64_t at) {
        float value = gain * a.out[at] + offset;
        value = value < 0 ? 0 : value > 1 ? 1 : value;
        a.out[at] = solarises && value >= a.solarise_threshold ? 1 - value : value;
    });
}

}  // namespace hearth::cuda
