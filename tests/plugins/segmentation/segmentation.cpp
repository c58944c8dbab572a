// segmentation-decoder and dice: shapes, places, values by hand.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "support/autocast.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

std::shared_ptr<Head> decoder(std::int64_t height, std::int64_t width, std::int64_t patch,
                              const Changes& changes = {}) {
    auto symbols = test::image_symbols(1, height, width);
    symbols.bind("L", height / patch * (width / patch));
    symbols.bind("D", 12);
    at::manual_seed(1);
    return test::make<Head>("segmentation-decoder", changes, symbols);
}

LossOutput dice(const Tensor& logits, const Tensor& mask, const Changes& changes = {}) {
    return test::make<Loss>("dice", changes)->forward({{"logits", logits}, {"segmentation", mask}}, {});
}

double term(const LossOutput& out, std::size_t i) {
    return out.terms.at(i).second.item<double>();
}

}  // namespace

TEST_CASE("the decoder's maps have the image's size, also of images that are not square") {
    const auto head = decoder(64, 32, 8, {{"out", std::int64_t{2}}, {"width", std::int64_t{16}}});
    const auto out =
        head->forward({{"tokens", at::rand({3, 32, 12})}, {"image", at::rand({3, 1, 64, 32})}}, {});
    CHECK(out["logits"].sizes() == at::IntArrayRef({3, 2, 64, 32}));
}

TEST_CASE("a token decides pixels where its patch is") {
    const auto head = decoder(64, 64, 16, {{"width", std::int64_t{16}}});
    const auto image = at::rand({1, 1, 64, 64});
    auto tokens = at::rand({1, 16, 12});
    const at::NoGradGuard no_grad;
    const auto before = head->forward({{"tokens", tokens}, {"image", image}}, {})["logits"];
    tokens[0][4 * 3 + 1] += 5;  // row 3, column 1
    const auto change =
        (head->forward({{"tokens", tokens}, {"image", image}}, {})["logits"] - before).abs()[0][0];
    const auto in_patch = change.slice(0, 48, 64).slice(1, 16, 32).mean().item<double>();
    CHECK(in_patch > 2 * change.slice(0, 0, 16).slice(1, 48, 64).mean().item<double>());
}

TEST_CASE("the decoder refuses what it cannot double into") {
    CHECK_THROWS_WITH(decoder(36, 36, 12),
                      Catch::Matchers::Contains("12 x 12") && Catch::Matchers::Contains("power of two"));
    CHECK_THROWS_WITH(decoder(64, 64, 16, {{"width", std::int64_t{20}}}),
                      Catch::Matchers::Contains("multiple of 8"));
}

TEST_CASE("dice and cross-entropy of four pixels by hand") {
    // p = 1/2 everywhere, two pixels inside: dice = 1 - (2 * 1 + 1) / (2 + 2 + 1).
    const auto logits = at::zeros({1, 1, 2, 2}, at::kDouble);
    const auto mask = at::tensor({1.0, 1.0, 0.0, 0.0}, at::kDouble).view({1, 1, 2, 2});
    const auto out = dice(logits, mask);
    CHECK(term(out, 0) == Approx(0.4));
    CHECK(term(out, 1) == Approx(std::log(2.0)));
    CHECK(out.total.item<double>() == Approx(0.4 + std::log(2.0)));
    CHECK(dice(logits, mask, {{"dice_weight", Schedule(2.0)}, {"bce_weight", Schedule(0.0)}})
              .total.item<double>() == Approx(0.8));
    at::manual_seed(2);
    const auto loss = [&](const Tensor& x) { return dice(x, mask.expand({2, 1, 2, 2})).total; };
    CHECK(test::gradient_error(loss, at::randn({2, 1, 2, 2}, at::kDouble)) < 1e-8);
}

TEST_CASE("an empty mask answered by nothing costs nothing, a perfect answer neither") {
    const auto mask = at::zeros({1, 1, 8, 8});
    CHECK(dice(at::full({1, 1, 8, 8}, -40.0), mask).total.item<double>() == Approx(0).margin(1e-6));
    auto square = mask.clone();
    square.slice(2, 2, 5).slice(3, 2, 5).fill_(1);
    CHECK(dice(80 * square - 40, square).total.item<double>() == Approx(0).margin(1e-6));
}

TEST_CASE("images of unknown masks give no gradient") {
    auto mask = at::zeros({2, 1, 4, 4});
    mask[1].fill_(-1);
    const auto logits = at::randn({2, 1, 4, 4}).requires_grad_();
    const auto out = dice(logits, mask);
    out.total.backward();
    CHECK(logits.grad()[0].ne(0).all().item<bool>());
    CHECK(logits.grad()[1].eq(0).all().item<bool>());
    CHECK(out.total.item<double>() ==
          Approx(dice(logits.detach().slice(0, 0, 1), mask.slice(0, 0, 1)).total.item<double>()));
    const auto none = dice(logits, at::full({2, 1, 4, 4}, -1.0));
    CHECK(none.total.item<double>() == 0);
    for (const auto& [name, value] : none.terms) CHECK(std::isnan(value.item<double>()));
}
