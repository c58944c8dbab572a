// What blocks and vit make of layer scale, registers, SwiGLU, inner norms, biases and rotary positions: every way
// through a block gives the same, on subsets of patches and samples too.
#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <numbers>
#include <set>

#include "common/transformer/block.hpp"
#include "common/transformer/recompute.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

namespace vit_with_options {

using namespace hearth;
using namespace hearth::transformer;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

constexpr std::int64_t prefix = 2;
const Grid grid{2, 3};

/// A block in double with everything on, its input [3, 8, 16] and all it can get a gradient for.
struct BlockCase {
    explicit BlockCase(Rope kind) {
        at::manual_seed(9);
        block = std::make_shared<Block>(BlockOptions{.dim = 16,
                                                     .heads = 2,
                                                     .mlp_ratio = 1.5,
                                                     .key_bias = false,
                                                     .attention_norm = true,
                                                     .swiglu = kind == Rope::centred,
                                                     .mlp_norm = true,
                                                     .layer_scale = 0.5,
                                                     .rope = kind});
        block->to(at::kDouble);
        const at::NoGradGuard initial;
        for (auto& parameter : block->parameters()) parameter.add_(at::randn_like(parameter) * 0.2);
        const at::AutoGradMode graph(true);
        table = rope_table({.kind = kind, .base = 10, .head_dim = 8, .reference = {4, 4}}, grid, prefix);
        x = at::randn({3, prefix + grid.tokens(), 16}, at::kDouble).requires_grad_();
        inputs = block->parameters();
        inputs.push_back(x);
    }
    std::shared_ptr<Block> block;
    Tensor table, x;
    std::vector<Tensor> inputs;
};

std::vector<Tensor> gradients(const std::function<Tensor()>& f, const std::vector<Tensor>& inputs) {
    const auto y = f();
    const auto weights = at::linspace(-1, 1, y.numel(), y.options()).view_as(y);
    return torch::autograd::grad({(y * weights).sum()}, inputs);
}

void check_same(const BlockCase& sample, const std::function<Tensor()>& found,
                const std::function<Tensor()>& expected) {
    CHECK(at::allclose(found(), expected(), 1e-10, 1e-12));
    const auto a = gradients(found, sample.inputs), b = gradients(expected, sample.inputs);
    for (std::size_t i = 0; i < a.size(); ++i) {
        INFO("gradient " << i);
        CHECK(at::allclose(a[i], b[i], 1e-10, 1e-12));
    }
}

const std::vector<Changes> all_options = {
    {{"layer_scale", Schedule(0.1)}, {"registers", std::int64_t{3}}},
    {{"layer_scale", Schedule(0.1)},
     {"registers", std::int64_t{3}},
     {"rope", std::string("centred")},
     {"positions", std::string("none")},
     {"qkv_bias", false}},
    {{"rope", std::string("grid")},
     {"mlp", std::string("swiglu")},
     {"mlp_norm", true},
     {"attention_norm", true},
     {"key_bias", false}},
    {{"rope", std::string("grid")}, {"pool", std::string("mean")}, {"positions", std::string("sincos")}}};

/// Width 32 in 4 heads, 2 blocks, patches of 8: 16 patches in an image of 32 x 32.
std::shared_ptr<Backbone> vit(Changes changes) {
    for (const auto& [name, value] : {std::pair{"dim", 32}, {"heads", 4}, {"depth", 2}, {"patch", 8}})
        changes.emplace_back(name, std::int64_t{value});
    at::manual_seed(1);
    auto made = test::make<Backbone>("vit", changes, test::image_symbols(1, 32, 32));
    const at::NoGradGuard initial;
    for (auto& parameter : made->parameters()) parameter.add_(at::randn_like(parameter) * 0.1);
    return made;
}

}  // namespace

TEST_CASE("rotary tables are the angles of the two papers") {
    const auto centred = rope_table({.kind = Rope::centred, .base = 100, .head_dim = 8}, {2, 3}, 1);
    REQUIRE(centred.sizes() == at::IntArrayRef({2, 1, 7, 1, 1, 8}));
    const auto at = [](const Tensor& table, int which, std::int64_t token, std::int64_t channel) {
        return table[which][0][token][0][0][channel].item<double>();
    };
    for (std::int64_t channel = 0; channel < 8; ++channel) {
        CHECK(at(centred, 0, 0, channel) == 1);  // the class token does not turn
        CHECK(at(centred, 1, 0, channel) == 0);
    }
    // Row 1 of 2 has its centre at 0.5, column 2 of 3 at 2/3; the periods are 1 and 100^(1/2).
    const double row = std::numbers::pi, column = 4 * std::numbers::pi / 3;
    CHECK(at(centred, 0, 6, 0) == Approx(std::cos(row)));
    CHECK(at(centred, 0, 6, 1) == Approx(std::cos(row / 10)));
    CHECK(at(centred, 1, 6, 2) == Approx(-std::sin(column)));
    CHECK(at(centred, 1, 6, 6) == Approx(std::sin(column)));
    // Row 1 of 2 lies at 1 / 2 * 4 of a reference of 4 x 4, column 2 of 3 at 2 / 3 * 4.
    const auto plain =
        rope_table({.kind = Rope::grid, .base = 100, .head_dim = 8, .reference = {4, 4}}, {2, 3}, 0);
    CHECK(at(plain, 0, 5, 0) == Approx(std::cos(2.0)));
    CHECK(at(plain, 1, 5, 2) == Approx(-std::sin(2.0 / 10)));
    CHECK(at(plain, 1, 5, 5) == Approx(std::sin(8.0 / 3)));
    CHECK_THROWS_AS(rope_table({.kind = Rope::grid, .head_dim = 6}, {2, 3}, 0), RecipeError);
}

TEST_CASE("turned channels keep the length of their pairs, and queries see keys by the distance alone") {
    at::manual_seed(3);
    const auto q = at::randn({1, 1, 1, 1, 8}, at::kDouble), k = at::randn({1, 1, 1, 1, 8}, at::kDouble);
    const RopeOptions options{.kind = Rope::grid, .base = 10, .head_dim = 8, .reference = {5, 5}};
    const auto table = rope_table(options, {5, 5}, 0);
    const auto score = [&](std::int64_t a, std::int64_t b) {
        return (rotated(q, table.narrow(2, a, 1), Rope::grid) * rotated(k, table.narrow(2, b, 1), Rope::grid))
            .sum()
            .item<double>();
    };
    CHECK(score(0, 6) == Approx(score(12, 18)));
    CHECK(score(0, 6) != Approx(score(0, 7)));
    for (const auto kind : {Rope::grid, Rope::centred}) {
        const auto x = at::randn({2, 25, 2, 3, 8}, at::kDouble);
        auto turned = options;
        turned.kind = kind;
        CHECK(
            at::allclose(rotated(x, rope_table(turned, {5, 5}, 0), kind).square().sum(-1), x.square().sum(-1)));
    }
}

TEST_CASE(
    "with every option a GPU's block, the first token's and the recomputed one give what the block gives") {
    for (const auto kind : {Rope::centred, Rope::grid}) {
        const BlockCase sample(kind);
        const auto scales = at::tensor({2.0, 0.0, 1.0, 0.5, 1.0, 3.0}, at::kDouble).view({2, 3, 1, 1});
        for (const auto& keep : {Tensor(), scales}) {
            const auto whole = [&] { return sample.block->forward(sample.x, keep, sample.table); };
            check_same(
                sample, [&] { return sample.block->forward_fused(sample.x, keep, sample.table); }, whole);
            check_same(
                sample, [&] { return sample.block->forward_first(sample.x, keep, sample.table); },
                [&] { return whole().slice(1, 0, 1); });
            check_same(
                sample, [&] { return forward_recomputed(*sample.block, sample.x, keep, sample.table); }, whole);
        }
    }
}

TEST_CASE("samples with patches of their own are turned by their own tables where some are dropped") {
    const BlockCase sample(Rope::grid);
    const auto tables = at::cat({sample.table, sample.table.flip({2}), sample.table.roll(1, 2)}, 1);
    const auto keep = at::tensor({0.0, 2.0, 1.0, 3.0, 0.0, 1.0}, at::kDouble).view({2, 3, 1, 1});
    const auto one_by_one = [&] {
        std::vector<Tensor> rows;
        for (std::int64_t i = 0; i < 3; ++i)
            rows.push_back(sample.block->forward(sample.x.slice(0, i, i + 1), keep.slice(1, i, i + 1),
                                                 tables.slice(1, i, i + 1)));
        return at::cat(rows);
    };
    check_same(
        sample, [&] { return sample.block->forward(sample.x, keep, tables); }, one_by_one);
}

TEST_CASE(
    "in mixed precision a block with every option stays close to fp32, with its residual stream in fp32") {
    for (const auto kind : {Rope::centred, Rope::grid}) {
        const BlockCase sample(kind);
        sample.block->to(at::kFloat);
        const auto x = sample.x.detach().to(at::kFloat), table = sample.table.to(at::kFloat);
        const auto exact = sample.block->forward(x, {}, table);
        for (const bool fused : {false, true}) {
            const auto mixed = test::in_bf16([&] {
                return fused ? sample.block->forward_fused(x, {}, table) : sample.block->forward(x, {}, table);
            });
            CHECK(mixed.scalar_type() == at::kFloat);
            CHECK((mixed - exact).norm().item<double>() < 0.02 * exact.norm().item<double>());
        }
    }
}

TEST_CASE("with any option, keeping every patch changes nothing but the order of tokens") {
    for (std::size_t i = 0; i < all_options.size(); ++i) {
        INFO("options " << i);
        const auto backbone = vit(all_options[i]);
        const auto image = at::rand({2, 1, 32, 48});
        const auto whole = backbone->forward({{"image", image}}, {});
        at::manual_seed(4);
        const auto keep = at::stack({at::arange(24), at::randperm(24)});
        const auto out = backbone->forward({{"image", image}, {"keep", keep}}, {});
        const auto expected = whole["tokens"].gather(1, keep.unsqueeze(-1).expand({-1, -1, 32}));
        CHECK(at::allclose(out["cls"], whole["cls"], 1e-4, 1e-5));
        CHECK(at::allclose(out["tokens"], expected, 1e-4, 1e-5));
    }
}

TEST_CASE("with any option what is written has the declared shapes, and every parameter gets a gradient") {
    for (std::size_t i = 0; i < all_options.size(); ++i) {
        INFO("options " << i);
        const auto backbone = vit(all_options[i]);
        const auto& type = test::registry().find(Kind::backbone, "vit");
        auto changes = all_options[i];
        for (const auto& [name, value] : {std::pair{"dim", 32}, {"heads", 4}, {"depth", 2}, {"patch", 8}})
            changes.emplace_back(name, std::int64_t{value});
        std::set<std::string> all;
        const auto ports = type.writes(test::options(type, changes), test::image_symbols(1, 32, 32));
        for (const auto& port : ports) all.insert(port.name);
        Context context;
        context.wanted = &all;
        const auto out = backbone->forward({{"image", at::rand({2, 1, 32, 32})}}, context);
        for (const auto& port : ports) {
            INFO(port.name);
            Symbols found;
            found.bind("B", 2);
            Shape produced;
            for (const auto size : out[port.name].sizes()) produced.emplace_back(size);
            CHECK(unify(port.shape, produced, found).empty());
        }
        const auto weights = at::linspace(-1, 2, out["tokens"].numel()).view_as(out["tokens"]);
        ((out["tokens"] * weights).sum() + (out["cls"] * weights.slice(1, 0, 1).squeeze(1)).sum()).backward();
        for (const auto& item : backbone->named_parameters()) {
            INFO(item.key());
            CHECK((item.value().grad().defined() || !item.value().requires_grad()));
        }
    }
}

TEST_CASE("with any option the class token alone is that of the whole pass") {
    for (std::size_t i = 0; i < all_options.size(); ++i) {
        INFO("options " << i);
        const auto backbone = vit(all_options[i]);
        const auto image = at::rand({2, 1, 32, 32});
        const std::set<std::string> wanted = {"cls"};
        Context only;
        only.wanted = &wanted;
        const auto whole = backbone->forward({{"image", image}}, {}),
                   less = backbone->forward({{"image", image}}, only);
        CHECK_FALSE(less.has("tokens"));
        CHECK(at::allclose(less["cls"], whole["cls"], 1e-5, 1e-6));
    }
}

TEST_CASE("initial gains are layer_scale, and a width of heads that does not fit rotary positions is refused") {
    const auto backbone = test::make<Backbone>(
        "vit", {{"depth", std::int64_t{1}}, {"layer_scale", Schedule(0.25)}}, test::image_symbols(1, 32, 32));
    const auto parameters = backbone->named_parameters();
    CHECK(at::equal(parameters["blocks.0.ls2.gamma"], at::full({768}, 0.25)));
    try {
        test::make<Backbone>(
            "vit", {{"dim", std::int64_t{12}}, {"heads", std::int64_t{2}}, {"rope", std::string("grid")}},
            test::image_symbols(1, 32, 32));
        FAIL("nothing was refused");
    } catch (const RecipeError& error) {
        CHECK_THAT(error.what(), Catch::Contains("found heads of width 6"));
    }
}

}  // namespace vit_with_options
