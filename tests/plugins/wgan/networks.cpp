// wgan-critic, wgan-generator and wgan-encoder against a plain formulation in double precision; ranges, initial
// weights, second derivatives, statistics.
#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "plain.hpp"
#include "support/plugins.hpp"

namespace wgan_networks {

using namespace hearth;
using at::Tensor;
using test::plain::weights_of;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

Symbols latent_of(std::int64_t size) {
    Symbols symbols;
    symbols.bind("Z", size);
    return symbols;
}

std::shared_ptr<Backbone> critic(std::int64_t width, std::int64_t edge, std::int64_t channels = 1) {
    at::manual_seed(1);
    return test::make<Backbone>("wgan-critic", {{"width", width}}, test::image_symbols(channels, edge, edge));
}

std::shared_ptr<Backbone> encoder(std::int64_t width, std::int64_t edge, Changes more = {}) {
    at::manual_seed(2);
    more.emplace_back("width", width);
    return test::make<Backbone>("wgan-encoder", more, test::image_symbols(1, edge, edge));
}

std::shared_ptr<Head> generator(std::int64_t width, std::int64_t edge, Changes more = {}) {
    at::manual_seed(3);
    more.emplace_back("width", width);
    more.emplace_back("size", edge);
    return test::make<Head>("wgan-generator", more, latent_of(12));
}

/// Norms, biases and statistics that are not trivial, in double.
template <class T>
std::shared_ptr<T> shaken(std::shared_ptr<T> module) {
    const at::NoGradGuard no_grad;
    module->to(at::kDouble);
    at::manual_seed(4);
    for (auto& item : module->named_parameters()) item.value().add_(at::randn_like(item.value()) * 0.1);
    for (auto& item : module->named_buffers()) item.value().add_(at::rand_like(item.value()) * 0.2);
    return module;
}

Tensor images(std::int64_t count, std::int64_t edge, std::int64_t channels = 1) {
    at::manual_seed(6);
    return at::rand({count, channels, edge, edge}, at::kDouble);
}

double distance(const Tensor& a, const Tensor& b) {
    return (a - b).abs().max().item<double>();
}

Context evaluating() {
    Context context;
    context.training = false;
    return context;
}

}  // namespace

TEST_CASE("the critic computes what the official code describes, on images brought to [-1, 1]") {
    for (const std::int64_t channels : {1, 3}) {
        const auto module = shaken(critic(2, 32, channels));
        const auto x = images(3, 32, channels);
        const auto out = module->forward({{"image", x}}, {});
        const auto weights = weights_of(*module);
        REQUIRE(out["features"].sizes() == at::IntArrayRef({3, 16 * 2 * 8}));
        REQUIRE(out["score"].sizes() == at::IntArrayRef({3}));
        CHECK(distance(out["features"], test::plain::trunk(weights, 2 * x - 1, true)) < 1e-10);
        CHECK(distance(out["score"], test::plain::score(weights, 2 * x - 1)) < 1e-10);
        CHECK(at::equal(module->forward({{"image", x}}, evaluating())["score"], out["score"]));
        CHECK(distance(module->forward({{"image", x.slice(0, 1)}}, {})["score"], out["score"].slice(0, 1)) <
              1e-12);
        CHECK(module->buffers().empty());
    }
}

TEST_CASE("the generator computes what the official code describes, in [0, 1]") {
    const auto module = shaken(generator(2, 32));
    at::manual_seed(7);
    const auto z = at::randn({5, 12}, at::kDouble);
    const auto weights = weights_of(*module);
    const auto stored = module->forward({{"latent", z}}, evaluating())["picture"];
    REQUIRE(stored.sizes() == at::IntArrayRef({5, 1, 32, 32}));
    CHECK(distance(2 * stored - 1, test::plain::generate(weights, z, false)) < 1e-10);
    const auto made = module->forward({{"latent", z}}, {});
    CHECK(distance(2 * made["picture"] - 1, test::plain::generate(weights, z, true)) < 1e-10);
    CHECK(at::equal(made["picture.mean"], at::full({5, 1}, 0.5, at::kDouble)));
    CHECK(at::equal(made["picture.std"], at::full({5, 1}, 0.5, at::kDouble)));
}

TEST_CASE("the encoder computes what the official code describes") {
    const auto module = shaken(encoder(2, 32, {{"out", std::int64_t{6}}}));
    const auto x = images(4, 32);
    const auto weights = weights_of(*module);
    const auto stored = module->forward({{"image", x}}, evaluating())["latent"];
    REQUIRE(stored.sizes() == at::IntArrayRef({4, 6}));
    CHECK(distance(stored, test::plain::encode(weights, 2 * x - 1, false)) < 1e-10);
    CHECK(distance(module->forward({{"image", x}}, {})["latent"],
                   test::plain::encode(weights, 2 * x - 1, true)) < 1e-10);
    const auto wide = shaken(encoder(2, 32, {{"out", std::int64_t{6}}, {"limit", 3.0}}));
    CHECK(distance(wide->forward({{"image", x}}, evaluating())["latent"], 3 * stored) < 1e-12);
    const auto free = shaken(encoder(2, 32, {{"out", std::int64_t{6}}, {"limit", 0.0}}));
    CHECK(distance(free->forward({{"image", x}}, evaluating())["latent"].tanh(), stored) < 1e-12);
}

TEST_CASE("pictures stay within [0, 1] and latents within (-1, 1), whatever goes in") {
    const auto made = generator(4, 16)->forward({{"latent", at::randn({8, 12}) * 100}}, {})["picture"];
    CHECK(made.min().item<float>() >= 0);
    CHECK(made.max().item<float>() <= 1);
    const auto signed_unit = generator(4, 16, {{"mean", 0.0}, {"std", 1.0}});
    const auto u = signed_unit->forward({{"latent", at::randn({8, 12}) * 100}}, {})["picture"];
    CHECK(u.min().item<float>() < -0.5);
    CHECK(u.min().item<float>() >= -1);
    CHECK(u.max().item<float>() <= 1);
    const auto module = shaken(encoder(4, 16));
    const auto latent = module->forward({{"image", images(6, 16)}}, {})["latent"];
    CHECK(latent.abs().max().item<double>() < 1);
    CHECK(latent.size(1) == 128);
}

TEST_CASE("the penalty's gradient, a second derivative of the critic, agrees with finite differences") {
    const auto module = shaken(critic(2, 16));
    const auto penalty = test::make<Loss>("gradient-penalty");
    const auto total = [&] {
        const auto x = images(2, 16).requires_grad_();
        const auto score = module->forward({{"image", x}}, {})["score"];
        return penalty
            ->forward({{"input", x}, {"score", score}, {"input.std", at::full({2, 1}, 0.5, at::kDouble)}}, {})
            .total;
    };
    const std::set<std::string> shifts = {"output.bias", "trunk.block2.conv2.bias",
                                          "trunk.block2.shortcut.bias"};
    total().backward();
    for (auto& item : module->named_parameters()) {
        INFO(item.key());
        auto values = item.value().detach().view(-1);
        if (!item.value().grad().defined()) {  // the score is only shifted by it
            CHECK(shifts.count(item.key()) == 1);
            continue;
        }
        const auto gradient = item.value().grad().contiguous().view(-1);
        const auto place = gradient.abs().argmax().item<std::int64_t>();
        const auto at_shift = [&](double by) {
            values[place] += by;
            const auto value = total().item<double>();
            values[place] -= by;
            return value;
        };
        constexpr double step = 1e-5;
        const auto slope = (at_shift(step) - at_shift(-step)) / (2 * step);
        CHECK(slope == Approx(gradient[place].item<double>()).epsilon(1e-4).margin(1e-8));
    }
}

TEST_CASE("at 64 x 64 pixels the networks have the official code's sizes") {
    const auto d = critic(64, 64)->named_parameters();
    const auto sizes = [](const Tensor& tensor) { return tensor.sizes().vec(); };
    using Sizes = std::vector<std::int64_t>;
    CHECK(sizes(d["trunk.input.weight"]) == Sizes{64, 1, 3, 3});
    CHECK(sizes(d["trunk.block1.conv1.weight"]) == Sizes{64, 64, 3, 3});
    CHECK(sizes(d["trunk.block1.conv2.weight"]) == Sizes{128, 64, 3, 3});
    CHECK(sizes(d["trunk.block2.conv2.weight"]) == Sizes{256, 128, 3, 3});
    CHECK(sizes(d["trunk.block3.conv2.weight"]) == Sizes{512, 256, 3, 3});
    CHECK(sizes(d["trunk.block4.shortcut.weight"]) == Sizes{512, 512, 1, 1});
    CHECK(sizes(d["output.weight"]) == Sizes{1, 8192});
    CHECK_FALSE(d.contains("trunk.block1.conv1.bias"));
    CHECK_FALSE(d.contains("trunk.block5.conv1.weight"));
    at::manual_seed(1);
    const auto g = test::make<Head>("wgan-generator", {}, latent_of(128))->named_parameters();
    CHECK(sizes(g["input.weight"]) == Sizes{8192, 128});
    CHECK(sizes(g["block1.conv1.weight"]) == Sizes{512, 512, 3, 3});
    CHECK(sizes(g["block2.conv1.weight"]) == Sizes{256, 512, 3, 3});
    CHECK(sizes(g["block4.conv2.weight"]) == Sizes{64, 64, 3, 3});
    CHECK(sizes(g["norm.weight"]) == Sizes{64});
    CHECK(sizes(g["output.weight"]) == Sizes{1, 64, 3, 3});
    // Uniform with deviation sqrt(4 / (fan_in + fan_out)) after a ReLU, sqrt(2 / ..) elsewhere.
    const auto spread = [](const Tensor& weight, double numerator) {
        const double receptive = weight.dim() == 4 ? static_cast<double>(weight.size(2) * weight.size(3)) : 1;
        return std::sqrt(numerator / (static_cast<double>(weight.size(0) + weight.size(1)) * receptive));
    };
    for (const auto& [name, numerator] : std::map<std::string, double>{{"trunk.block2.conv1.weight", 4},
                                                                       {"trunk.block2.conv2.weight", 4},
                                                                       {"trunk.block2.shortcut.weight", 2},
                                                                       {"trunk.input.weight", 2},
                                                                       {"output.weight", 2}}) {
        INFO(name);
        CHECK(d[name].std().item<double>() == Approx(spread(d[name], numerator)).epsilon(0.05));
        CHECK(d[name].abs().max().item<double>() ==
              Approx(std::sqrt(3) * spread(d[name], numerator)).epsilon(0.02));
    }
    CHECK(g["output.weight"].std().item<double>() == Approx(spread(g["output.weight"], 4)).epsilon(0.08));
    CHECK(g["input.weight"].std().item<double>() == Approx(spread(g["input.weight"], 2)).epsilon(0.02));
    for (const auto& item : d)
        if (item.key().ends_with("bias")) CHECK(item.value().abs().max().item<float>() == 0);
}

TEST_CASE("batch statistics move by a hundredth of a batch, and only in training") {
    const auto module = encoder(2, 16);
    const auto x = images(8, 16).to(at::kFloat);
    const auto before = weights_of(*module);
    module->forward({{"image", x}}, evaluating());
    module->eval();
    module->forward({{"image", x}}, {});
    const std::string mean = "trunk.block1.norm1.running_mean";
    CHECK(at::equal(module->named_buffers()[mean], before.at(mean)));
    module->train();
    module->forward({{"image", x}}, {});
    const auto of_batch = test::plain::convolve(before, "trunk.input", 2 * x - 1).mean({0, 2, 3});
    CHECK(at::allclose(module->named_buffers()[mean], of_batch * 0.01, 1e-4, 1e-7));
    const auto quick = encoder(2, 16, {{"norm_momentum", 0.5}});
    quick->forward({{"image", x}}, {});
    CHECK(at::allclose(quick->named_buffers()[mean], of_batch * 0.5, 1e-4, 1e-7));
}

TEST_CASE("shapes are declared before anything is made") {
    const auto shapes = [](Kind kind, const std::string& id, const Changes& changes, const Symbols& symbols) {
        const auto& type = test::registry().find(kind, id);
        std::string text;
        for (const auto& port : type.writes(test::options(type, changes), symbols))
            text += port.name + ": " + to_string(port.shape) + "; ";
        return text;
    };
    CHECK(shapes(Kind::backbone, "wgan-critic", {}, test::image_symbols(1, 64, 64)) ==
          "score: B; features: B 8192; ");
    CHECK(shapes(Kind::backbone, "wgan-critic", {{"width", std::int64_t{8}}},
                 test::image_symbols(1, 128, 128)) == "score: B; features: B 1024; ");
    CHECK(shapes(Kind::backbone, "wgan-critic", {}, {}) == "score: B; features: B F; ");
    CHECK(shapes(Kind::backbone, "wgan-encoder", {}, {}) == "latent: B 128; ");
    CHECK(shapes(Kind::head, "wgan-generator", {{"size", std::int64_t{32}}}, {}) ==
          "picture: B 1 32 32; picture.mean: B 1; picture.std: B 1; ");
}

TEST_CASE("sizes that cannot be halved down to 4 are refused") {
    for (const std::string id : {"wgan-critic", "wgan-encoder"}) {
        CHECK_THROWS_WITH(
            test::make<Backbone>(id, {}, test::image_symbols(1, 96, 96)),
            Catch::Contains(id +
                            ": found images of 96 x 96 pixels, expected square ones with an edge of 8, 16"));
        CHECK_THROWS_AS(test::make<Backbone>(id, {}, test::image_symbols(1, 64, 32)), RecipeError);
        CHECK_THROWS_AS(test::make<Backbone>(id, {}, test::image_symbols(1, 4, 4)), RecipeError);
    }
    CHECK_THROWS_WITH(test::make<Head>("wgan-generator", {{"size", std::int64_t{48}}}, latent_of(4)),
                      Catch::Contains("found size = 48, expected 8, 16, 32, 64, 128"));
    CHECK_THROWS_WITH(test::make<Backbone>("wgan-critic", {{"mean", std::vector<double>{0.1, 0.2}}},
                                           test::image_symbols(3, 16, 16)),
                      Catch::Contains("mean and std have 2 values, expected 1 or 3"));
    const auto schema = test::registry().find(Kind::head, "wgan-generator").schema();
    CHECK_FALSE(schema.find("size")->check(std::int64_t{4}).empty());
    CHECK_FALSE(schema.find("norm_momentum")->check(Schedule(0)).empty());
    CHECK_FALSE(schema.find("std")->check(Schedule(0)).empty());
    const auto encoding = test::registry().find(Kind::backbone, "wgan-encoder").schema();
    CHECK_FALSE(encoding.find("limit")->check(Schedule(-1)).empty());
}

}  // namespace wgan_networks
