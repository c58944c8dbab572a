// The backbone vit on a subset of patches, and what it drops and resamples when.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "common/transformer/positions.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

Symbols symbols_of(std::int64_t edge) {
    Symbols symbols;
    for (const auto* name : {"H", "W"}) symbols.bind(name, edge);
    symbols.bind("C", 2);
    return symbols;
}

/// Width 32, 2 blocks, patches of 8: 16 patches in an image of 32 x 32 with 2 channels.
std::shared_ptr<Backbone> vit(Changes more = {}) {
    Changes changes = {{"dim", std::int64_t{32}},
                       {"heads", std::int64_t{4}},
                       {"depth", std::int64_t{2}},
                       {"patch", std::int64_t{8}}};
    changes.insert(changes.end(), more.begin(), more.end());
    at::manual_seed(1);
    return test::make<Backbone>("vit", changes, symbols_of(32));
}

/// Blocks become the identity: a token is then norm(embedded patch + position).
void silence(Backbone& backbone) {
    const at::NoGradGuard no_grad;
    for (auto& item : backbone.named_parameters())
        if (item.key().ends_with("attn.proj.weight") || item.key().ends_with("mlp.fc2.weight"))
            item.value().zero_();
}

Tensor indices(const std::vector<std::vector<std::int64_t>>& rows) {
    std::vector<Tensor> out;
    for (const auto& row : rows) out.push_back(at::tensor(row, at::kLong));
    return at::stack(out);
}

Tensor gathered(const Tensor& tokens, const Tensor& keep) {
    return tokens.gather(1, keep.unsqueeze(-1).expand({-1, -1, tokens.size(2)}));
}

/// A weighted sum of what comes out: after a norm the plain sum of squares is a constant.
Tensor weighted_sum(const Tensors& out) {
    const auto with = [](const Tensor& x) {
        return (x * at::linspace(-1, 2, x.numel(), x.options()).view_as(x)).sum();
    };
    return with(out["tokens"]) + with(out["cls"]);
}

Tensor kept() {
    return indices({{3, 0, 9}, {15, 8, 7}});
}

}  // namespace

TEST_CASE("keeping every patch changes nothing but the order of tokens") {
    const auto backbone = vit();
    const auto image = at::rand({2, 2, 32, 32});
    const auto whole = backbone->forward({{"image", image}}, {});
    at::manual_seed(4);
    const auto keep = at::stack({at::arange(16), at::randperm(16)});
    const auto out = backbone->forward({{"image", image}, {"keep", keep}}, {});
    CHECK(at::allclose(out["cls"], whole["cls"], 1e-4, 1e-5));
    CHECK(at::allclose(out["tokens"], gathered(whole["tokens"], keep), 1e-4, 1e-5));
}

TEST_CASE("a kept patch has its own pixels and position, in the order of keep and at any image size") {
    const auto backbone =
        vit({{"mean", std::vector<double>{0.1, 0.2}}, {"std", std::vector<double>{0.5, 0.6}}});
    silence(*backbone);
    for (const auto& [height, width] : {std::pair<std::int64_t, std::int64_t>{32, 32}, {24, 48}, {48, 24}}) {
        const auto image = at::rand({2, 2, height, width});
        const auto whole = backbone->forward({{"image", image}}, {});
        const auto out = backbone->forward({{"image", image}, {"keep", kept()}}, {});
        REQUIRE(out["tokens"].sizes() == at::IntArrayRef({2, 3, 32}));
        CHECK(at::allclose(out["tokens"], gathered(whole["tokens"], kept()), 1e-5, 1e-6));
        CHECK(at::allclose(out["cls"], whole["cls"], 1e-5, 1e-6));
    }
}

TEST_CASE("a patch that is not kept is not seen and gets no gradient") {
    const auto backbone = vit();
    const auto image = at::rand({2, 2, 32, 32}).requires_grad_();
    weighted_sum(backbone->forward({{"image", image}, {"keep", kept()}}, {})).backward();
    const auto by_patch = patchify(image.grad(), 8).abs().sum(-1);  // [B, L]
    const auto seen = at::zeros({2, 16}).scatter(1, kept(), 1).to(at::kBool);
    CHECK(at::equal(by_patch > 0, seen));
    const auto positions = backbone->named_parameters()["pos_embed"].grad()[0].abs().sum(-1);  // [1+L]
    CHECK(at::equal(positions.slice(0, 1) > 0, seen.any(0)));
    CHECK(positions[0].item<float>() > 0);
}

TEST_CASE("the gradient through a subset agrees with finite differences in double") {
    const auto backbone = vit();
    backbone->to(at::kDouble);
    const auto image = at::rand({2, 2, 32, 32}, at::kDouble);
    CHECK(test::gradient_error(
              [&](const Tensor& x) {
                  return weighted_sum(backbone->forward({{"image", x}, {"keep", kept()}}, {}));
              },
              image, 200) < 1e-6);
}

TEST_CASE("tokens are declared as many as are kept") {
    const auto& type = test::registry().find(Kind::backbone, "vit");
    const auto reads = type.reads(test::options(type));
    REQUIRE(reads.size() == 2);
    CHECK(reads[1].name == "keep");
    CHECK(reads[1].optional);
    CHECK(reads[1].dtype == "int64");
    auto symbols = symbols_of(224);
    CHECK(to_string(type.writes(test::options(type), symbols)[0].shape) == "B 196 768");
    symbols.bind("N", "N");
    CHECK(to_string(type.writes(test::options(type), symbols)[0].shape) == "B N 768");
    symbols.bind("N", 49);
    CHECK(to_string(type.writes(test::options(type), symbols)[0].shape) == "B 49 768");
    CHECK(to_string(type.writes(test::options(type), {})[0].shape) == "B H/16*W/16 768");
}

TEST_CASE("a keep that does not fit the image is refused") {
    const auto backbone = vit();
    const auto image = at::rand({2, 2, 32, 32});
    const auto refused = [&](const Tensor& keep) {
        try {
            backbone->forward({{"image", image}, {"keep", keep}}, {});
        } catch (const RecipeError& error) {
            return std::string(error.what());
        }
        return std::string("nothing");
    };
    CHECK_THAT(refused(indices({{0, 16}, {1, 2}})), Catch::Contains("from 0 to 16, expected 0 to 15"));
    CHECK_THAT(refused(indices({{0, 5}, {-1, 2}})), Catch::Contains("from -1 to 5, expected 0 to 15"));
    CHECK_THAT(refused(at::empty({2, 0}, at::kLong)), Catch::Contains("[2, 0]"));
    CHECK_THAT(refused(indices({{0, 1}})), Catch::Contains("expected [2, N]"));
    CHECK_THAT(refused(at::zeros({2, 3})), Catch::Contains("of type Float"));
    CHECK_THAT(refused(at::zeros({6}, at::kLong)), Catch::Contains("[6]"));
    for (const std::int64_t count : {0, 17}) {
        auto symbols = symbols_of(32);
        symbols.bind("N", count);
        CHECK_THROWS_AS(
            test::make<Backbone>("vit", {{"patch", std::int64_t{8}}, {"depth", std::int64_t{1}}}, symbols),
            RecipeError);
    }
}

TEST_CASE("a pass without gradients drops no path") {
    const auto backbone = vit({{"drop_path", Schedule(0.5)}});
    const auto image = at::rand({1, 2, 32, 32}).expand({16, 2, 32, 32});
    Context context;
    context.seed = 7;
    const auto run = [&] { return backbone->forward({{"image", image}}, context)["cls"].detach(); };
    const auto first = run();
    Context evaluating = context;
    evaluating.training = false;
    const auto plain = backbone->forward({{"image", image}}, evaluating)["cls"].detach();
    CHECK_FALSE(at::equal(first, plain));
    context.progress.step = 1;
    const auto next = run();
    {
        const at::NoGradGuard no_grad;
        CHECK(at::equal(run(), plain));
    }
    context.progress.step = 0;
    CHECK(at::equal(run(), first));
    context.progress.step = 1;
    {
        const at::NoGradGuard no_grad;
        run();  // takes no draw from the pass of this step that trains
    }
    CHECK(at::equal(run(), next));
}

TEST_CASE("position_resample chooses how positions follow the image") {
    const auto image = at::rand({1, 2, 48, 24});
    const auto with = [&](const std::string& how) {
        return vit({{"position_resample", how}})->forward({{"image", image}}, {})["cls"];
    };
    CHECK_FALSE(at::allclose(with("timm"), with("dino"), 1e-5, 1e-6));
    const auto native = at::rand({1, 2, 32, 32});
    CHECK(
        at::equal(vit()->forward({{"image", native}}, {})["cls"],
                  vit({{"position_resample", std::string("dino")}})->forward({{"image", native}}, {})["cls"]));
    const auto& schema = test::registry().find(Kind::backbone, "vit").schema();
    CHECK_FALSE(schema.find("position_resample")->check(std::string("bilinear")).empty());
}

TEST_CASE("the DINO way: cubic convolution with a = -0.75 and a step of L / (n + 0.1)") {
    using namespace hearth::transformer;
    at::manual_seed(5);
    const auto row = at::randn({1, 6, 1}, at::kDouble);  // one row of 6 positions of width 1
    const auto weight = [](double distance) {
        const double x = std::abs(distance), a = -0.75;
        if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
        return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
    };
    for (const std::int64_t size : {3, 4, 9}) {
        const auto found = resample_positions(row, 0, {1, 6}, {1, size}, Resample::dino);
        for (std::int64_t i = 0; i < size; ++i) {
            const double place = (static_cast<double>(i) + 0.5) * 6 / (static_cast<double>(size) + 0.1) - 0.5;
            const auto left = static_cast<std::int64_t>(std::floor(place));
            double expected = 0;
            for (std::int64_t j = left - 1; j <= left + 2; ++j)
                expected += weight(place - static_cast<double>(j)) *
                            row[0][std::clamp<std::int64_t>(j, 0, 5)][0].item<double>();
            CHECK(found[0][i][0].item<double>() == Approx(expected).margin(1e-9));
        }
    }
}
