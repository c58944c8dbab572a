// Class attention over a view and over the surroundings of each patch: against the equations one patch at a time.
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "../../../plugins/heads/class-attention-pool/neighbours.hpp"
#include "support/plugins.hpp"

namespace selfpatch_pool {

using namespace hearth;
using namespace hearth::test;
using at::Tensor;
using class_attention_pool::Border;
using class_attention_pool::neighbours;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

constexpr std::int64_t width = 12, heads = 3, edge = 4;  // 4 x 4 patches

std::shared_ptr<Head> pool(Changes changes = {}) {
    changes.emplace_back("heads", heads);
    Symbols symbols;
    symbols.bind("D", width);
    at::manual_seed(1);
    auto made = make<Head>("class-attention-pool", changes, symbols);
    made->to(at::kDouble);
    const at::NoGradGuard no_grad;
    for (auto& parameter : made->parameters()) parameter.normal_(0, 0.3);
    return made;
}

Tensors view(const Tensor& tokens) {
    return {{"tokens", tokens}, {"image", at::zeros({tokens.size(0), 1, 8 * edge, 8 * edge}, at::kDouble)}};
}

Tensor tokens(std::int64_t batch, std::uint64_t seed = 2) {
    at::manual_seed(seed);
    return at::randn({batch, edge * edge, width}, at::kDouble);
}

/// norm(blocks(c; x)) of one set of tokens x [n, D], as the equations say.
Tensor naive(Head& head, const Tensor& x) {
    const auto all = head.named_parameters();
    const auto norm = [&](const Tensor& t, const std::string& name) {
        return at::layer_norm(t, {width}, all[name + ".weight"], all[name + ".bias"], 1e-6);
    };
    const auto map = [&](const Tensor& t, const std::string& name) {
        return at::linear(t, all[name + ".weight"], all[name + ".bias"]);
    };
    auto c = all["cls_token"][0];  // [1, D]
    for (int i = 0; all.contains("cls_blocks." + std::to_string(i) + ".norm1.weight"); ++i) {
        const auto block = "cls_blocks." + std::to_string(i) + ".";
        const auto u = norm(at::cat({c, x}), block + "norm1");
        const auto q = map(u[0], block + "attn.q"), k = map(u, block + "attn.k"), v = map(u, block + "attn.v");
        std::vector<Tensor> gathered;
        for (std::int64_t h = 0; h < heads; ++h) {
            const auto part = [&](const Tensor& t) { return t.narrow(-1, h * (width / heads), width / heads); };
            const auto weights =
                (at::matmul(part(k), part(q)) / std::sqrt(static_cast<double>(width / heads))).softmax(0);
            gathered.push_back(at::matmul(weights, part(v)));
        }
        c = c + map(at::cat(gathered), block + "attn.proj");
        c = c + map(at::gelu(map(norm(c, block + "norm2"), block + "mlp.fc1")), block + "mlp.fc2");
    }
    return norm(c, "norm")[0];
}

double distance(const Tensor& a, const Tensor& b) {
    return (a - b).abs().max().item<double>();
}

std::set<std::int64_t> row(const Tensor& table, std::int64_t patch) {
    std::set<std::int64_t> out;
    for (std::int64_t i = 0; i < 8; ++i) out.insert(table[patch][i].item<std::int64_t>());
    return out;
}

}  // namespace

TEST_CASE("around a corner of 14 x 14 patches lie those of the opposite borders") {
    const auto wrapped = neighbours({14, 14}, Border::wrap);
    CHECK(row(wrapped.index, 0) == std::set<std::int64_t>{1, 13, 14, 15, 27, 182, 183, 195});
    CHECK(row(wrapped.index, 15) == std::set<std::int64_t>{0, 1, 2, 14, 16, 28, 29, 30});
    for (std::int64_t patch = 0; patch < 196; ++patch) {
        REQUIRE(row(wrapped.index, patch).size() == 8);
        REQUIRE(row(wrapped.index, patch).count(patch) == 0);
    }
    CHECK(wrapped.inside.all().item<bool>());
}

TEST_CASE("clipped, a corner has three neighbours, an edge five") {
    const auto clipped = neighbours({3, 4}, Border::clip);
    const auto counts = clipped.inside.sum(1).view({3, 4});
    CHECK(counts[0][0].item<std::int64_t>() == 3);
    CHECK(counts[0][1].item<std::int64_t>() == 5);
    CHECK(counts[1][1].item<std::int64_t>() == 8);
    CHECK(counts[2][3].item<std::int64_t>() == 3);
    CHECK(row(clipped.index, 0) == std::set<std::int64_t>{0, 1, 4, 5});  // itself where there is none
}

TEST_CASE("a grid whose opposite borders are one is refused") {
    CHECK_THROWS_WITH(neighbours({2, 5}, Border::wrap),
                      Catch::Matchers::Contains("found 2 x 5 patches, expected at least 3 x 3 for border = "
                                                "\"wrap\"; take a larger view or smaller patches"));
    CHECK_NOTHROW(neighbours({2, 5}, Border::clip));
    CHECK_THROWS_AS(neighbours({1, 5}, Border::clip), RecipeError);
}

TEST_CASE("the trained token gathers all patches") {
    const auto head = pool();
    const auto x = tokens(2);
    const auto out = head->forward(view(x), {});
    for (int b = 0; b < 2; ++b) CHECK(distance(out["pooled"][b], naive(*head, x[b])) < 1e-12);
    const auto all = head->named_parameters();
    CHECK(distance(out["patches"], at::layer_norm(x, {width}, all["norm.weight"], all["norm.bias"], 1e-6)) <
          1e-12);
}

TEST_CASE("a neighbourhood is that of the patches around which are most like the middle one") {
    for (const std::string border : {"wrap", "clip"})
        for (const std::int64_t count : {4, 8}) {
            INFO(border << ", " << count);
            const auto head = pool({{"border", border}, {"neighbours", count}});
            const auto x = tokens(2);
            const auto found = head->forward(view(x), {})["neighbourhoods"];
            const auto table = neighbours({edge, edge}, border == "wrap" ? Border::wrap : Border::clip);
            for (std::int64_t b = 0; b < 2; ++b)
                for (std::int64_t l = 0; l < edge * edge; ++l) {
                    std::vector<std::pair<double, std::int64_t>> likeness;
                    for (std::int64_t i = 0; i < 8; ++i) {
                        if (!table.inside[l][i].item<bool>()) continue;
                        const auto j = table.index[l][i].item<std::int64_t>();
                        likeness.emplace_back(
                            -(x[b][l].dot(x[b][j]) / x[b][l].norm() / x[b][j].norm()).item<double>(), j);
                    }
                    std::sort(likeness.begin(), likeness.end());
                    likeness.resize(std::min<std::size_t>(likeness.size(), static_cast<std::size_t>(count)));
                    std::vector<Tensor> around;
                    for (const auto& [_, j] : likeness) around.push_back(x[b][j]);
                    REQUIRE(distance(found[b][l], naive(*head, at::stack(around))) < 1e-12);
                }
        }
}

TEST_CASE("where all tokens of a view are equal all neighbourhoods are") {
    const auto head = pool();
    const auto same = tokens(1).slice(1, 0, 1).expand({1, edge * edge, width});
    const auto out = head->forward(view(same), {});
    CHECK(distance(out["neighbourhoods"], out["neighbourhoods"].slice(1, 0, 1)) < 1e-12);
}

TEST_CASE("what nobody reads is left out and changes nothing") {
    const auto head = pool();
    const auto all = head->forward(view(tokens(2)), {});
    Context context;
    const std::set<std::string> wanted{"pooled"};
    context.wanted = &wanted;
    const auto some = head->forward(view(tokens(2)), context);
    CHECK(at::equal(some["pooled"], all["pooled"]));
    CHECK_FALSE(some.has("neighbourhoods"));
    CHECK_FALSE(some.has("patches"));
}

TEST_CASE("a width that the heads do not divide is refused") {
    Symbols symbols;
    symbols.bind("D", 10);
    CHECK_THROWS_WITH(make<Head>("class-attention-pool", {{"heads", std::int64_t{4}}}, symbols),
                      Catch::Matchers::Contains("found tokens of width 10 with 4 heads"));
}

}  // namespace selfpatch_pool
