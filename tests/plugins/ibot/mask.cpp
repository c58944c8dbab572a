// Blocks of masked patches: how many, where, how often; and the transformer that hides them.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>

#include "support/plugins.hpp"

namespace ibot_mask {

using namespace hearth;
using namespace hearth::test;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

Tensor masks(const Changes& changes, std::uint64_t sample, std::int64_t views = 2) {
    Symbols symbols;
    symbols.bind("H", 224);
    symbols.bind("W", 224);
    const auto augment = make<Augment>("block-mask", changes, symbols);
    Random random({.seed = 3, .epoch = 1, .sample = sample, .stream = 1});
    return augment->sample({{"image", at::zeros({views, 1, 224, 224})}}, random)["hidden"];
}

/// Masked patches that have a masked one beside them, over all masked.
double together(const Tensor& mask) {
    const auto grid = mask.view({14, 14});
    double beside = 0, all = 0;
    for (int y = 0; y < 14; ++y)
        for (int x = 0; x < 14; ++x) {
            const auto at = [&](int row, int column) {
                return row >= 0 && row < 14 && column >= 0 && column < 14 &&
                       grid[row][column].item<float>() == 1;
            };
            if (!at(y, x)) continue;
            all += 1;
            beside += at(y - 1, x) || at(y + 1, x) || at(y, x - 1) || at(y, x + 1) ? 1 : 0;
        }
    return beside / all;
}

}  // namespace

TEST_CASE("half of the views are masked, a tenth to a half of their patches, in blocks") {
    int whole = 0;
    double least = 196, most = 0, sum = 0;
    for (std::uint64_t sample = 0; sample < 300; ++sample)
        for (const auto& view : masks({}, sample).unbind(0)) {
            const double count = view.sum().item<double>();
            CHECK(((view == 0) | (view == 1)).all().item<bool>());
            if (count == 0) {
                ++whole;
                continue;
            }
            least = std::min(least, count), most = std::max(most, count), sum += count;
            if (sample < 20) CHECK(together(view) > 0.9);
        }
    CHECK(whole > 250);
    CHECK(whole < 350);
    CHECK(most <= 98);
    CHECK(most > 85);
    CHECK(least < 40);
    CHECK(sum / (600 - whole) == Approx(0.3 * 196).epsilon(0.1));
}

TEST_CASE("probability and shape do as they say") {
    for (std::uint64_t sample = 0; sample < 20; ++sample) {
        CHECK(masks({{"probability", 0.0}}, sample).sum().item<float>() == 0);
        const Changes single{
            {"probability", 1.0}, {"ratio", std::vector<double>{0.25, 0.25}}, {"shape", std::string("random")}};
        for (const auto& view : masks(single, sample).unbind(0)) CHECK(view.sum().item<float>() == 49);
    }
    CHECK_FALSE(at::equal(masks({{"probability", 1.0}}, 1)[0], masks({{"probability", 1.0}}, 1)[1]));
    CHECK(at::equal(masks({}, 5), masks({}, 5)));
}

TEST_CASE("a ratio the wrong way round and views that patches do not tile are refused") {
    CHECK_THROWS_WITH(masks({{"ratio", std::vector<double>{0.5, 0.1}}}, 1),
                      Catch::Matchers::Contains("found ratio = [0.5, 0.1], expected the smaller one first"));
    CHECK_THROWS_WITH(masks({{"patch", std::int64_t{15}}}, 1),
                      Catch::Matchers::Contains("found views of 224 x 224, expected multiples of patch = 15"));
}

namespace {

std::shared_ptr<Backbone> vit(Changes more) {
    Changes changes{{"dim", std::int64_t{24}},
                    {"heads", std::int64_t{2}},
                    {"depth", std::int64_t{2}},
                    {"patch", std::int64_t{8}}};
    changes.insert(changes.end(), more.begin(), more.end());
    Symbols symbols;
    symbols.bind("C", 1);
    symbols.bind("H", 32);
    symbols.bind("W", 32);
    at::manual_seed(1);
    return make<Backbone>("vit", changes, symbols);
}

Tensor films() {
    at::manual_seed(2);
    return at::rand({2, 1, 32, 32});
}

}  // namespace

TEST_CASE("what a hidden patch shows has no effect, and the mask token learns") {
    const auto net = vit({{"mask_token", true}});
    net->eval();
    auto hidden = at::zeros({2, 16});
    hidden[0][5] = 1;
    auto other = films();
    other[0][0].slice(0, 8, 16).slice(1, 8, 16).fill_(0.9);  // patch 5 of the first film
    const auto a = net->forward({{"image", films()}, {"hidden", hidden}}, {});
    const auto b = net->forward({{"image", other}, {"hidden", hidden}}, {});
    CHECK(at::equal(a["tokens"], b["tokens"]));
    const auto seen = net->forward({{"image", films()}}, {});
    CHECK_FALSE(at::allclose(seen["tokens"][0], a["tokens"][0]));
    CHECK(at::allclose(seen["tokens"][1], a["tokens"][1], 1e-5, 1e-6));
    a["cls"].pow(3).sum().backward();
    CHECK(net->named_parameters()["mask_token"].grad().abs().max().item<float>() > 0);
    const auto none = net->forward({{"image", films()}, {"hidden", at::zeros({2, 16})}}, {});
    CHECK(at::equal(none["tokens"], seen["tokens"]));
}

TEST_CASE("hidden goes with keep, and of another grid it is refused") {
    const auto net = vit({{"mask_token", true}});
    net->eval();
    auto hidden = at::zeros({2, 16});
    hidden.select(1, 5).fill_(1);
    const auto all = at::arange(16).expand({2, 16}).contiguous();
    const auto kept = net->forward({{"image", films()}, {"hidden", hidden}, {"keep", all.flip(1)}}, {});
    const auto plain = net->forward({{"image", films()}, {"hidden", hidden}}, {});
    CHECK(at::allclose(kept["tokens"].flip(1), plain["tokens"], 1e-4, 1e-5));
    CHECK_THROWS_WITH(net->forward({{"image", films()}, {"hidden", at::zeros({2, 9})}}, {}),
                      Catch::Matchers::Contains("found hidden with shape [2, 9], expected [2, 16]"));
}

TEST_CASE("a transformer without class token and last norm has patches alone") {
    const auto net = vit({{"class_token", false}, {"final_norm", false}});
    const auto names = net->named_parameters();
    CHECK_FALSE(names.contains("cls_token"));
    CHECK_FALSE(names.contains("norm.weight"));
    CHECK(names["pos_embed"].sizes() == at::IntArrayRef({1, 16, 24}));
    const auto out = net->forward({{"image", films()}}, {});
    CHECK(out["tokens"].sizes() == at::IntArrayRef({2, 16, 24}));
    CHECK_FALSE(out.has("cls"));
    CHECK(net->features() == "mean");
    CHECK(vit({})->features() == "cls+mean");
    CHECK(net->forward({{"image", at::rand({2, 1, 16, 16})}}, {})["tokens"].size(1) == 4);
}

}  // namespace ibot_mask
