// multi-crop: the pixels, against dense matrices in double precision, figures of PIL and hand-worked values.
#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>

#include "crops.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

at::Tensor noise(at::IntArrayRef shape, double low = 0, double high = 1) {
    return low + (high - low) * at::rand(shape, at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{3}));
}

double difference(const at::Tensor& a, const at::Tensor& b) {
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

/// [out, in]: the kernel at every distance, whatever its reach.
at::Tensor resampling(std::int64_t in, std::int64_t out, bool bicubic) {
    const double step = static_cast<double>(in) / static_cast<double>(out), stretch = std::max(step, 1.0);
    const auto centre = ((at::arange(out, at::kDouble) + 0.5) * step).unsqueeze(1);
    const auto x = ((at::arange(in, at::kDouble) + 0.5 - centre) / stretch).abs();
    const auto inner = 1.5 * x.pow(3) - 2.5 * x.pow(2) + 1,
               outer = -0.5 * x.pow(3) + 2.5 * x.pow(2) - 4 * x + 2;
    const auto weights =
        bicubic ? at::where(x < 1, inner, at::where(x < 2, outer, at::zeros_like(x))) : (1 - x).clamp_min(0);
    return weights / weights.sum(1, true);
}

/// [size, size]: exp(-t) I_n(t) with the border repeated; the Bessel functions are the library's.
at::Tensor gaussian(std::int64_t size, double sigma) {
    auto matrix = at::zeros({size, size}, at::kDouble);
    auto entries = matrix.accessor<double, 2>();
    const double t = sigma * sigma;
    for (std::int64_t n = -30; n <= 30; ++n) {
        const double weight = std::exp(-t) * std::cyl_bessel_i(static_cast<double>(std::abs(n)), t);
        for (std::int64_t i = 0; i < size; ++i)
            entries[i][std::clamp<std::int64_t>(i + n, 0, size - 1)] += weight;
    }
    return matrix;
}

/// Row 0 of the whole of a square ramp image at another size, by rows and by columns.
void check_ramp(std::int64_t size, const std::string& interpolation, const std::vector<double>& expected) {
    const auto ramp = (0.1 + 0.8 * at::arange(16).pow(2) / 256.0).to(at::kFloat).expand({1, 16, 16});
    const auto found = global(whole(size, {{"interpolation", interpolation}}), ramp);
    const auto turned = global(whole(size, {{"interpolation", interpolation}}), ramp.transpose(1, 2));
    const auto figures = at::tensor(expected, at::kDouble);
    CHECK(difference(found[0], figures.expand({size, size})) < 2e-6);
    CHECK(difference(turned[0], figures.unsqueeze(1).expand({size, size})) < 2e-6);
}

}  // namespace

TEST_CASE("the whole image at its own size is the image") {
    const auto channels = GENERATE(1, 3);
    const auto size = GENERATE(9, 64, 100);
    const auto image = noise({channels, size, size});
    CHECK(global(whole(size), image).equal(image));
    CHECK(global(whole(size, {{"interpolation", std::string("bilinear")}}), image).equal(image));
    CHECK(global(whole(size, {{"flip", Schedule(1)}}), image).equal(image.flip({2})));
}

TEST_CASE("resampling gives the figures of PIL and torchvision") {
    // PIL.Image.resize of PIL 13.0 on mode F, equal to torch 2.11 interpolate(antialias=True) to 1e-6.
    check_ramp(9, "bicubic",
               {0.100797, 0.114315, 0.148692, 0.203009, 0.275881, 0.367869, 0.481530, 0.618745, 0.764724});
    check_ramp(9, "bilinear",
               {0.102105, 0.115351, 0.150636, 0.206250, 0.277679, 0.366964, 0.481939, 0.621107, 0.753571});
    check_ramp(20, "bicubic", {0.099865, 0.101580, 0.107031, 0.116531, 0.130031, 0.147531, 0.169031,
                               0.194531, 0.224031, 0.257531, 0.295031, 0.336531, 0.382031, 0.431531,
                               0.485031, 0.542531, 0.604031, 0.669531, 0.743947, 0.807046});
    check_ramp(20, "bilinear", {0.100000, 0.102188, 0.107813, 0.117188, 0.130313, 0.147813, 0.169688,
                                0.195312, 0.224688, 0.257813, 0.295313, 0.337188, 0.382812, 0.432188,
                                0.485313, 0.542813, 0.604688, 0.670313, 0.739688, 0.803125});
}

TEST_CASE("any crop equals dense resampling of its box, blur a Gaussian after it") {
    const auto [height, width] = GENERATE(table<int, int>({{90, 70}, {40, 41}, {150, 200}}));
    const auto interpolation = GENERATE(std::string("bicubic"), std::string("bilinear"));
    const auto size = GENERATE(33, 64);
    const double sigma = GENERATE(0.0, 0.3, 1.0, 2.0);
    const auto image = noise({2, height, width}, 0.3, 0.7);  // overshoots are not clamped
    auto changes = with(plain(size), {{"interpolation", interpolation},
                                      {"flip", Schedule(0.5)},
                                      {"global_scale", Numbers{0.1, 1}},
                                      {"blur_sigma", Numbers{sigma, sigma}}});
    const auto sharp = make<Augment>("multi-crop", changes);
    const auto crop = make<Augment>("multi-crop", with(changes, {{"blur", Numbers{1}}}));
    for (std::uint64_t sample = 0; sample < 4; ++sample) {
        const auto box = find_box(draw(*sharp, coordinates(height, width), {.sample = sample})["global"]);
        const auto whole_pixels = [](double value) { return std::llround(value); };
        const auto cut = image.narrow(1, whole_pixels(box.top), whole_pixels(box.height))
                             .narrow(2, whole_pixels(box.left), whole_pixels(box.width))
                             .to(at::kDouble);
        const bool bicubic = interpolation == "bicubic";
        auto rows = resampling(cut.size(1), size, bicubic), columns = resampling(cut.size(2), size, bicubic);
        if (sigma > 0) rows = gaussian(size, sigma).mm(rows), columns = gaussian(size, sigma).mm(columns);
        auto expected = rows.matmul(cut).matmul(columns.t());
        if (box.flip) expected = expected.flip({2});
        const auto found = draw(*crop, image, {.sample = sample})["global"];
        CHECK(difference(found, expected) < (sigma > 0 ? 4e-4 : 1e-6));  // the tail of the Gaussian is cut
    }
}

TEST_CASE("blur turns a point into its variance and an edge into PIL's") {
    auto point = at::zeros({1, 65, 65});
    point[0][32][32] = 1;
    for (const double sigma : {0.2, 0.3, 0.5, 1.0, 2.0}) {
        const auto spread =
            global(whole(65, {{"blur", Numbers{1}}, {"blur_sigma", Numbers{sigma, sigma}}}), point)[0];
        CHECK(spread.sum().item<double>() == Approx(1).epsilon(1e-5));
        const auto across = spread.sum(0) * (at::arange(65) - 32).pow(2);
        CHECK(across.sum().item<double>() == Approx(sigma * sigma).epsilon(0.02));
        CHECK(at::allclose(spread, spread.t()));
    }
    // ImageFilter.GaussianBlur of PIL 13.0 (three box filters, 8 bits) on an edge from 0 to 255, last dark
    // pixels.
    const std::vector<std::pair<double, std::vector<double>>> pil = {
        {0.3, {0, 0, 0, 11}}, {0.5, {0, 0, 1, 28}}, {1.0, {0, 1, 15, 75}}, {2.0, {10, 28, 59, 103}}};
    auto edge = at::zeros({1, 33, 33});
    edge.slice(2, 16).fill_(1);
    for (const auto& [sigma, expected] : pil) {
        const auto line =
            global(whole(33, {{"blur", Numbers{1}}, {"blur_sigma", Numbers{sigma, sigma}}}), edge)[0][16];
        CHECK(difference(255 * line.slice(0, 12, 16), at::tensor(expected)) < 8);
        CHECK(255 * line[15].item<double>() == Approx(expected[3]).margin(7.5));
        CHECK(line[0].item<double>() == 0);
    }
}

TEST_CASE("solarise inverts from its threshold on, after all else") {
    const auto image = at::tensor({0.0F, 0.2F, 0.49F, 0.5F, 0.75F, 1.0F, 0.6F, 0.3F}).expand({1, 8, 8});
    const auto row = [&](const Changes& more) { return global(whole(8, more), image)[0][3]; };
    CHECK(at::allclose(row({{"solarise", Numbers{1}}}),
                       at::tensor({0.0F, 0.2F, 0.49F, 0.5F, 0.25F, 0.0F, 0.4F, 0.3F})));
    CHECK(at::allclose(row({{"solarise", Numbers{1}}, {"solarise_threshold", Schedule(0.3)}}),
                       at::tensor({0.0F, 0.2F, 0.51F, 0.5F, 0.25F, 0.0F, 0.4F, 0.7F})));
    CHECK(at::allclose(row({{"solarise", Numbers{1}}, {"solarise_threshold", Schedule(0)}}), 1 - image[0][3]));
    CHECK(row({{"solarise", Numbers{0}}}).equal(image[0][3]));
}

TEST_CASE("jitter is b (c x + (1 - c) mean), factors uniform around 1, clamped at the end") {
    // 0.2, 0.4 and 0.6 in equal parts: mean 0.4. The step between them tells b c, the middle b.
    const auto image = at::tensor({0.2F, 0.4F, 0.6F}).repeat_interleave(3).expand({1, 9, 9});
    const auto jittered = make<Augment>("multi-crop", whole(9, {{"jitter", Schedule(1)}}));
    const auto some = make<Augment>("multi-crop", whole(9, {{"jitter", Schedule(0.8)}}));
    double least_b = 2, most_b = 0, least_c = 2, most_c = 0, unchanged = 0, full = 0;
    for (std::uint64_t sample = 0; sample < 500; ++sample) {
        const auto row = draw(*jittered, image, {.sample = sample})["global"][0][4];
        const double dark = row[0].item<double>(), middle = row[4].item<double>(),
                     bright = row[8].item<double>();
        const double b = middle / 0.4, c = (bright - dark) / 0.4 / b;
        CHECK(bright - middle == Approx(middle - dark).margin(1e-6));
        least_b = std::min(least_b, b), most_b = std::max(most_b, b);
        least_c = std::min(least_c, c), most_c = std::max(most_c, c);
        unchanged += draw(*some, image, {.sample = sample})["global"].equal(image);
        const auto light = draw(*jittered, at::full({1, 9, 9}, 0.9), {.sample = sample})["global"][0][0][0];
        CHECK(light.item<double>() == Approx(std::min(1.0, 0.9 * b)));
        full += light.item<float>() == 1;
    }
    CHECK(full > 100);
    CHECK(least_b == Approx(0.6).margin(0.01));
    CHECK(most_b == Approx(1.4).margin(0.01));
    CHECK(least_c == Approx(0.6).margin(0.01));
    CHECK(most_c == Approx(1.4).margin(0.01));
    CHECK(unchanged / 500 == Approx(0.2).margin(0.06));
}

TEST_CASE("the mean of contrast is that of the crop, blurred or not") {
    const auto image = noise({1, 80, 90}, 0.4, 0.6);
    const auto changes = with(plain(32), {{"flip", Schedule(0.5)}, {"blur", Numbers{0.5}}});
    const auto still = make<Augment>("multi-crop", changes);
    const auto contrast =
        make<Augment>("multi-crop", with(changes, {{"jitter", Schedule(1)}, {"brightness", Schedule(0)}}));
    for (std::uint64_t sample = 0; sample < 20; ++sample) {
        const auto before = draw(*still, image, {.sample = sample})["global"];
        const auto after = draw(*contrast, image, {.sample = sample})["global"];
        CHECK(after.mean().item<double>() == Approx(before.mean().item<double>()).epsilon(1e-5));
        const double c = (after.std() / before.std()).item<double>();
        CHECK(c > 0.599);
        CHECK(c < 1.401);
        CHECK(std::abs(c - 1) > 1e-4);
        CHECK(difference(after - before.mean(), c * (before - before.mean())) < 2e-6);
    }
}

TEST_CASE("three equal channels stay equal and match one") {
    const auto grey = noise({1, 70, 60});
    const auto crop =
        make<Augment>("multi-crop", {{"global_size", std::int64_t{48}}, {"local_size", std::int64_t{24}}});
    const auto one = draw(*crop, grey), three = draw(*crop, grey.expand({3, 70, 60}));
    for (const char* name : {"global", "local"}) {
        const auto& crops = three[name];
        CHECK(crops.select(1, 0).equal(crops.select(1, 1)));
        CHECK(crops.select(1, 0).equal(crops.select(1, 2)));
        CHECK(difference(crops.narrow(1, 0, 1), one[name]) < 1e-5);
    }
}

TEST_CASE("multi-crop survives images it should not see") {
    const auto crop =
        make<Augment>("multi-crop", {{"global_size", std::int64_t{32}}, {"local_size", std::int64_t{16}}});
    auto broken = noise({1, 64, 64});
    broken[0][5].fill_(std::numeric_limits<float>::quiet_NaN());
    broken[0][6].fill_(7.0F);
    broken[0][7].fill_(-std::numeric_limits<float>::infinity());
    const auto before = broken.clone();
    for (std::uint64_t sample = 0; sample < 5; ++sample) {
        const auto out = draw(*crop, broken, {.sample = sample});
        for (const char* name : {"global", "local"})
            CHECK((out[name].ge(0) & out[name].le(1)).all().item<bool>());
    }
    CHECK(at::equal(broken.nan_to_num(9), before.nan_to_num(9)));  // left as it was
    for (const auto& [height, width] : {std::pair{1, 1}, {2, 9}, {1, 300}, {500, 2}})
        CHECK(draw(*crop, noise({1, height, width}))["local"].sizes() == at::IntArrayRef({8, 1, 16, 16}));
    const auto flat = draw(*make<Augment>("multi-crop", {{"jitter", Schedule(0)}, {"solarise", Numbers{0}}}),
                           at::full({1, 30, 40}, 0.3));
    CHECK(difference(flat["global"], at::full({1}, 0.3)) < 1e-6);
    CHECK(draw(*crop, noise({1, 64, 64}).to(at::kDouble))["global"].scalar_type() == at::kFloat);
    CHECK(draw(*crop, noise({1, 64, 64}).transpose(1, 2))["global"].size(2) == 32);
}
