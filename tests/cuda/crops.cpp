// The kernels of crops as loops of the host, against the formula of hearth/fused.hpp in double precision.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <hearth/fused.hpp>
#include <limits>

#include "cuda/host_twin.hpp"
#include "cuda/support.hpp"
#include "cuda/teams.hpp"

namespace cuda_crops {

using namespace hearth;
using namespace hearth::test;
using at::Tensor;
using fused::CropRow;
using fused::Interpolation;

namespace {

constexpr float no_number = std::numeric_limits<float>::quiet_NaN(),
                no_end = std::numeric_limits<float>::infinity();
constexpr int radius = 9;  // of the widest blur of a batch

struct Described {
    float top, left, height, width;
    float flip = 0, brightness = 1, contrast = 1, solarise = 0;
    double sigma = 0;
};

/// Crops [B, K, columns] of B images, K each.
Tensor rows_of(int batch, const std::vector<Described>& crops) {
    const auto count = static_cast<std::int64_t>(crops.size()) / batch;
    const auto rows = at::zeros({batch, count, CropRow::blur + 1 + radius});
    auto* row = rows.mutable_data_ptr<float>();
    for (const auto& crop : crops) {
        const float first[] = {crop.top,  crop.left,       crop.height,   crop.width,
                               crop.flip, crop.brightness, crop.contrast, crop.solarise};
        std::copy(std::begin(first), std::end(first), row);
        double sum = 1;
        const auto weight = [&](int k) { return std::exp(-0.5 * k * k / (crop.sigma * crop.sigma)); };
        for (int k = 1; k <= radius && crop.sigma > 0; ++k) sum += 2 * weight(k);
        row[CropRow::blur] = static_cast<float>(1 / sum);
        for (int k = 1; k <= radius && crop.sigma > 0; ++k)
            row[CropRow::blur + k] = static_cast<float>(weight(k) / sum);
        row += rows.size(2);
    }
    return rows;
}

struct Request {
    Tensor images, crops;
    int size;
    double threshold = 0.5;
};

Tensor by_formula(const Request& r, Interpolation interpolation) {
    return fused::crops(exact(r.images), exact(r.crops), r.size, interpolation, r.threshold);
}

Tensor unwritten(at::IntArrayRef sizes, at::ScalarType type = at::kFloat) {
    return at::full(sizes, NAN, type);
}

template <class Run>
Tensor by_kernels(const Request& r, Interpolation interpolation, const Run& run) {
    const auto b = r.images.size(0), c = r.images.size(1), h = r.images.size(2), k = r.crops.size(1);
    const Tensor narrow = unwritten({k, b, c, h, r.size}), soft = unwritten({k, b, c, r.size, r.size}),
                 out = unwritten({k, b, c, r.size, r.size}),
                 sums = unwritten({k, b, c, cuda::crop_strips(r.size)}, at::kDouble);
    all_blocks(cuda::Crops{.images = r.images.const_data_ptr<float>(),
                           .image_stride = r.images.stride(0),
                           .channel_stride = r.images.stride(1),
                           .crops = r.crops.const_data_ptr<float>(),
                           .narrow = narrow.mutable_data_ptr<float>(),
                           .soft = soft.mutable_data_ptr<float>(),
                           .sums = sums.mutable_data_ptr<double>(),
                           .out = out.mutable_data_ptr<float>(),
                           .batch = static_cast<int>(b),
                           .count = static_cast<int>(k),
                           .channels = static_cast<int>(c),
                           .height = static_cast<int>(h),
                           .width = static_cast<int>(r.images.size(3)),
                           .columns = static_cast<int>(r.crops.size(2)),
                           .size = r.size,
                           .interpolation = interpolation,
                           .solarise_threshold = static_cast<float>(r.threshold)},
               run);
    return out;
}

/// visit(found, expected) for both kernels of resampling and all teams.
template <class Visit>
void render_all(const Request& request, const Visit& visit) {
    for (const auto interpolation : {Interpolation::bicubic, Interpolation::bilinear}) {
        const auto expected = by_formula(request, interpolation);
        for_each_team([&](const char* team, const auto& run) {
            const auto found = by_kernels(request, interpolation, run);
            INFO(team << (interpolation == Interpolation::bicubic ? ", bicubic" : ", bilinear")
                      << ": largest difference " << distance(found, expected));
            visit(found, expected);
        });
    }
}

void check_alike(const Request& request, double most = rounding<float>) {
    render_all(request, [&](const Tensor& found, const Tensor& expected) {
        CHECK(found.sizes() == expected.sizes());
        CHECK(distance(found, expected) < most);
    });
}

Tensor films(at::IntArrayRef shape) {
    at::manual_seed(31);
    return at::rand(shape);
}

}  // namespace

TEST_CASE("crops are the formula's in double precision: small and large boxes, flips, blurs, light") {
    check_alike({films({2, 1, 40, 52}),
                 rows_of(2, {{0, 0, 40, 52, 0, 1, 0.7F},
                             {5, 8, 20, 13, 1, 1.2F, 1.3F, 1, 1.2},
                             {30, 40, 10, 12, 1, 0.8F, 1.4F, 0, 0.5},
                             {0, 0, 7, 9, 0, 1, 1, 1, 3},
                             {0, 51, 40, 1, 1, 1.1F, 0.6F, 0, 0.3},
                             {39, 0, 1, 52, 0, 1.4F, 1, 1},
                             {11, 3, 16, 16, 1},
                             {3, 0, 37, 50, 1, 0.6F, 0.6F, 1, 2}}),
                 16});
}

TEST_CASE("so they are with several channels, of an image that is no square, in strips that are not full") {
    check_alike({films({2, 3, 25, 61}),
                 rows_of(2, {{2, 30, 23, 31, 1, 1.3F, 0.8F, 1, 0.7},
                             {0, 0, 25, 61, 0, 0.9F, 1.2F},
                             {20, 55, 5, 6, 0, 1, 1.1F, 0, 2},
                             {1, 7, 12, 40, 1, 1.1F, 0.5F, 1}}),
                 27});
}

TEST_CASE("so they are where pixels are means of thousands, and where a blur is wider than the crop") {
    const auto images = films({1, 1, 300, 260});
    const auto rows = rows_of(1, {{0, 0, 300, 260, 1, 1, 1.3F, 0, 0.8}, {60, 9, 233, 251, 0, 1, 1, 1}});
    check_alike({images, rows, 8});
    check_alike({images, rows_of(1, {{7, 9, 100, 240, 1, 0.9F, 1.2F, 1, 4}, {0, 0, 3, 3, 0, 1, 1, 0, 4}}), 5});
    check_alike({images, rows, 1});
}

TEST_CASE("far out in a large film pixels are where they are nearer to the border") {
    // In fp32 the 4,983rd place would be a four thousandth of a pixel off, and these neighbours are black and white.
    const auto images = (at::arange(5000) % 2).to(at::kFloat).expand({1, 1, 3, 5000}).contiguous();
    check_alike({images, rows_of(1, {{0, 4700, 3, 291, 0}, {0, 2, 3, 4997, 1}}), 400});
}

TEST_CASE("a pixel that is not a number is 0, and one outside [0, 1] at its end") {
    auto images = films({1, 2, 30, 30});
    images.index_put_({0, 0, 4}, no_number);
    images.index_put_({0, 1, 5}, no_end);
    images.index_put_({0, 0, 6}, -no_end);
    images.index_put_({0, 1, 7}, 3);
    images.index_put_({0, 0, 8}, -3);
    const auto rows = rows_of(1, {{0, 0, 30, 30, 1, 1.2F, 0.8F, 1, 1}, {2, 2, 9, 9, 0, 1, 1, 0}});
    check_alike({images, rows, 12});
    const auto clean = images.nan_to_num(0, 1, 0).clamp(0, 1);
    CHECK(distance(by_formula({clean, rows, 12}, Interpolation::bicubic),
                   by_formula({images, rows, 12}, Interpolation::bicubic)) == 0);
}

TEST_CASE("a box that is the crop comes back as it was, mirrored where it was asked for") {
    const auto images = films({1, 2, 20, 20});
    render_all({images, rows_of(1, {{0, 0, 20, 20}, {0, 0, 20, 20, 1}}), 20},
               [&](const Tensor& found, const Tensor&) {
                   CHECK(at::equal(found[0], images));
                   CHECK(at::equal(found[1], images.flip(3)));
               });
}

TEST_CASE("values from the threshold on are inverted, wherever it is") {
    const auto images = films({1, 1, 24, 24});
    const Described box{2, 3, 20, 18, 0, 1.5F, 0.9F};  // some of it is 1
    auto inverted = box;
    inverted.solarise = 1;
    for (const double threshold : {0.0, 0.3, 0.8, 1.0}) {
        INFO(threshold);
        render_all({images, rows_of(1, {box, inverted}), 16, threshold},
                   [&](const Tensor& found, const Tensor& expected) {
                       const auto clear = (expected[0] - threshold).abs() > 1e-4;
                       CHECK((found - expected).abs().masked_select(clear).max().item<double>() < 1e-5);
                       CHECK(at::equal(found[1], at::where(found[0] >= threshold, 1 - found[0], found[0])));
                   });
    }
}

TEST_CASE("of a box that leaves its image a little the pixels inside count, also of one between pixels") {
    check_alike({films({1, 1, 40, 52}),
                 rows_of(1, {{-1, 38, 30, 16, 1, 1, 1.2F, 0, 1}, {20.5F, -1.25F, 20.25F, 30, 0, 1, 0.9F}}), 9});
}

TEST_CASE("whatever a row holds, its image alone is read, and a box without a pixel is not a number") {
    std::vector<Described> boxes = {{40, 0, 5, 5}, {0, -9, 5, 9}, {5, 5, 0, 5}, {5, 5, 5, -4}};
    for (const float any : {no_number, no_end, -no_end, 1e30F, -1e30F})
        boxes.insert(boxes.end(), {{any, 5, 5, 5}, {5, any, 5, 5}});
    boxes.insert(boxes.end(), {{5, 5, no_number, 5}, {5, 5, 5, no_number}, {5, 5, no_end, 5}});
    render_all({films({1, 1, 40, 40}), rows_of(1, boxes), 9}, [](const Tensor& found, const Tensor& expected) {
        CHECK(expected.isnan().all().item<bool>());
        CHECK(found.isnan().all().item<bool>());
    });
}

}  // namespace cuda_crops
