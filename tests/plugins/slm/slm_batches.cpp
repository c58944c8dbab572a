// Lesions of whole batches by tensor operations, against those that loader workers make.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <limits>

#include "chest.hpp"
#include "support/device_augment.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using namespace hearth::test;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

/// Chests that differ by a little noise, [B, C, height, width].
at::Tensor chests(std::int64_t batch, std::int64_t channels, std::int64_t height, std::int64_t width) {
    at::manual_seed(13);
    const auto noise = 0.05 * at::randn({batch, channels, height, width});
    return (chest(height, width, channels).unsqueeze(0) + noise).clamp(0, 1);
}

/// Equal up to rounding, but for a few pixels at the border of a lesion: what adds about one grey level is left
/// out on one side and not on the other.
void check_alike(const Changes& changes, const at::Tensor& images) {
    const auto augment = make<DeviceAugment>("slm", changes);
    const auto expected = one_by_one(*augment, images);
    CHECK((expected["mask"] > 0).any().item<bool>());
    for (const auto& device : devices()) {
        INFO(device);
        const auto found = in_halves(*augment, images, device);
        CHECK(found["normal"].equal(images));
        for (const char* name : {"abnormal", "mask"}) {
            const auto difference = (found[name] - expected[name]).abs();
            const auto apart = (difference > 1e-5).sum().item<std::int64_t>();
            INFO(name << ": " << apart << " pixels apart, by up to " << difference.max().item<float>());
            CHECK(found[name].sizes() == expected[name].sizes());
            CHECK(apart <= images.numel() / 20000);
            CHECK(difference.max().item<float>() < 1.1F / 255);
        }
    }
}

}  // namespace

TEST_CASE("lesions of a batch are those of its images one by one") {
    check_alike({}, chests(8, 1, 224, 224));
}

TEST_CASE("so they are in other sizes and channels, and for every way to shape a lesion") {
    const auto images = chests(4, 2, 160, 130);
    check_alike({}, images);
    check_alike({{"irregularity", Schedule(0)}}, images);
    check_alike({{"irregularity", Schedule(0.5)}, {"regions", std::vector<std::int64_t>{6, 6}}}, images);
    check_alike({{"rho", std::string("pixels")}, {"gamma", std::vector<double>{20, 340}}}, images);
    check_alike({{"clip_everywhere", true}, {"clip", Schedule(0.6)}}, images);
    check_alike({{"inside", std::string("lungs")}, {"texture_size", Schedule(224)}}, images);
    check_alike({{"bank", std::int64_t{1}}}, images);
}

TEST_CASE("so they are in images without texture, and where pixels are not numbers") {
    auto images = chests(3, 1, 96, 96);
    images[0].zero_();
    images.index_put_({1, 0, 40}, std::numeric_limits<float>::quiet_NaN());
    const auto augment = make<DeviceAugment>("slm");
    const auto found = in_halves(*augment, images, c10::kCPU);
    const auto expected = one_by_one(*augment, images);
    CHECK(at::allclose(found["abnormal"], expected["abnormal"], 0, 1e-5));
    CHECK((found["abnormal"][0] > 0).any().item<bool>());
}

TEST_CASE("what slm could not do is counted where lesions are drawn for a batch too") {
    const auto augment = make<DeviceAugment>("slm");
    in_halves(*augment, at::zeros({2, 1, 64, 64}), c10::kCPU);
    CHECK(augment->counts().front() == std::pair<std::string, std::int64_t>{"without_texture", 2});
}
