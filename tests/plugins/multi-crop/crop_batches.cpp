// Crops of whole batches by tensor operations, against the crops that loader workers make.
#include "crops.hpp"

#include <catch2/catch.hpp>

#include "support/device_augment.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

/// Smooth films with sharp bones, [B, C, height, width].
at::Tensor films(std::int64_t batch, std::int64_t channels, std::int64_t height, std::int64_t width) {
    at::manual_seed(11);
    const auto smooth = at::upsample_bicubic2d(at::rand({batch, channels, 6, 7}), {height, width}, false);
    const auto bones = (at::rand({batch, channels, height, width}) > 0.9).to(at::kFloat);
    return (0.8 * smooth + 0.3 * bones).clamp(0, 1);
}

void check_alike(const Changes& changes, const at::Tensor& images) {
    const auto augment = make<DeviceAugment>("multi-crop", changes);
    const auto expected = one_by_one(*augment, images, 1);
    for (const auto& device : devices()) {
        INFO(device);
        const auto found = in_halves(*augment, images, device);
        REQUIRE(found.size() == expected.size());
        for (const auto& [name, view] : expected) {
            INFO(name << ": largest difference " << (found[name] - view).abs().max().item<float>());
            CHECK(found[name].sizes() == view.sizes());
            CHECK(at::allclose(found[name], view, 1e-5, 2e-5));
        }
    }
}

const Changes small = {{"global_size", std::int64_t{40}}, {"local_size", std::int64_t{24}}};

}  // namespace

TEST_CASE("crops of a batch are those of its images one by one") {
    check_alike(small, films(6, 1, 96, 130));
}

TEST_CASE("so they are with channels, wide blur, few pixels and much of them solarised") {
    const auto images = films(4, 3, 64, 57);
    check_alike(with(small, {{"blur_sigma", Numbers{0, 9}}, {"blur", Numbers{1}}, {"local_blur", Schedule(1)}}),
                images);
    check_alike(with(small, {{"solarise", Numbers{1}}, {"solarise_threshold", Schedule(0.5)}}), images);
    check_alike(with(small, {{"interpolation", std::string("bilinear")}}), images);
    check_alike({{"global_size", std::int64_t{128}}, {"local_crops", std::int64_t{1}}}, images);
}

TEST_CASE("so they are where pixels are not numbers, or outside [0, 1]") {
    auto images = films(2, 1, 80, 80);
    images.index_put_({0, 0, 20}, std::numeric_limits<float>::quiet_NaN());
    images.index_put_({0, 0, 30}, std::numeric_limits<float>::infinity());
    images.index_put_({1, 0, 30}, -3);
    check_alike(small, images);
}

TEST_CASE("one large crop of each image of a batch has no group axis") {
    const auto images = films(3, 1, 50, 60);
    const auto augment = make<DeviceAugment>("multi-crop", plain(32));
    const auto found = in_halves(*augment, images, c10::kCPU);
    CHECK(found.size() == 1);
    CHECK(found["global"].sizes() == at::IntArrayRef{3, 1, 32, 32});
    CHECK(at::allclose(found["global"], one_by_one(*augment, images)["global"], 1e-5, 2e-5));
}

TEST_CASE("an image that is the crop comes back as it was") {
    const auto images = films(2, 2, 48, 48);
    const auto augment = make<DeviceAugment>("multi-crop", whole(48));
    CHECK(in_halves(*augment, images, c10::kCPU)["global"].equal(images));
}

TEST_CASE("centred crops are counted where crops are drawn for a batch too") {
    // A strip that no ratio near 1 fits into.
    const auto augment = make<DeviceAugment>("multi-crop", with(plain(16), {{"global_scale", Numbers{1, 1}}}));
    in_halves(*augment, films(2, 1, 16, 200), c10::kCPU);
    CHECK(augment->counts().front().second == 2);
}
