// The projection head against its equation.
#include <catch2/catch.hpp>

#include "cases.hpp"
#include "support/autocast.hpp"

namespace pcl_projection_mlp {

using namespace hearth;
using namespace hearth::test;

namespace {

std::shared_ptr<Head> head(const Changes& changes) {
    Symbols symbols;
    symbols.bind("D", 6);
    at::manual_seed(3);
    return make<Head>("projection-mlp", changes, symbols);
}

at::Tensor embedding(Head& made, const at::Tensor& x) {
    return made.forward({{"cls", x}}, {})["embedding"];
}

std::vector<std::string> names(const Head& made) {
    std::vector<std::string> out;
    for (const auto& item : made.named_parameters()) out.push_back(item.key());
    return out;
}

}  // namespace

TEST_CASE("MoCo v2's head: two maps, ReLU between them, unit length") {
    const auto made = head({{"hidden", std::int64_t{0}}, {"out", std::int64_t{4}}});
    CHECK(names(*made) == std::vector<std::string>{"mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias"});
    const auto at_name = [&](const char* name) { return made->named_parameters()[name]; };
    CHECK(at_name("mlp.0.weight").sizes() == at::IntArrayRef({6, 6}));
    const auto x = directions(3, 6, 1).to(at::kFloat);
    auto expected = at::linear(at::linear(x, at_name("mlp.0.weight"), at_name("mlp.0.bias")).relu(),
                               at_name("mlp.2.weight"), at_name("mlp.2.bias"));
    expected = expected / expected.norm(2, 1, true);
    CHECK(distance(embedding(*made, x), expected) < 1e-6);
}

TEST_CASE("MoCo v3's head: three maps with batch normalisation, the last without gain") {
    const auto made = head({{"layers", std::int64_t{3}},
                            {"hidden", std::int64_t{8}},
                            {"out", std::int64_t{4}},
                            {"batch_norm", true},
                            {"last_batch_norm", true},
                            {"normalise", false}});
    CHECK(names(*made) == std::vector<std::string>{"mlp.0.weight", "mlp.1.weight", "mlp.1.bias", "mlp.3.weight",
                                                   "mlp.4.weight", "mlp.4.bias", "mlp.6.weight"});
    const auto y = embedding(*made, at::randn({16, 6}));
    CHECK(distance(y.mean(0), at::zeros({4})) < 1e-5);
    CHECK(distance(y.var(0, /*unbiased=*/false), at::ones({4})) < 1e-2);
    made->eval();
    CHECK(distance(embedding(*made, at::zeros({1, 6})), embedding(*made, at::zeros({2, 6})).slice(0, 0, 1)) <
          1e-6);
}

TEST_CASE("SimCLR's head: a gain after the last normalisation, and no bias") {
    const auto made = head({{"hidden", std::int64_t{0}},
                            {"out", std::int64_t{4}},
                            {"batch_norm", true},
                            {"last_batch_norm", true},
                            {"last_affine", std::string("gain")},
                            {"normalise", false}});
    CHECK(names(*made) == std::vector<std::string>{"mlp.0.weight", "mlp.1.weight", "mlp.1.bias", "mlp.3.weight",
                                                   "mlp.4.weight"});
    made->named_parameters()["mlp.4.weight"].set_data(at::full({4}, 3.0));
    const auto y = embedding(*made, at::randn({16, 6}));
    CHECK(distance(y.mean(0), at::zeros({4})) < 1e-5);
    CHECK(distance(y.var(0, /*unbiased=*/false), at::full({4}, 9.0)) < 0.1);
}

TEST_CASE("a last normalisation may have gain and shift, and every map a bias, or none") {
    const Changes norms = {{"batch_norm", true}, {"last_batch_norm", true}};
    const auto with = [&](const char* option, const char* value) {
        auto changes = norms;
        changes.emplace_back(option, std::string(value));
        return names(*head(changes));
    };
    using Names = std::vector<std::string>;
    CHECK(with("last_affine", "gain and shift") ==
          Names{"mlp.0.weight", "mlp.1.weight", "mlp.1.bias", "mlp.3.weight", "mlp.4.weight", "mlp.4.bias"});
    CHECK(with("bias", "all") ==
          Names{"mlp.0.weight", "mlp.0.bias", "mlp.1.weight", "mlp.1.bias", "mlp.3.weight", "mlp.3.bias"});
    // BYOL's heads and those of VICReg: the last map has none either.
    CHECK(names(*head({{"batch_norm", true}, {"bias", std::string("none")}})) ==
          Names{"mlp.0.weight", "mlp.1.weight", "mlp.1.bias", "mlp.3.weight"});
}

TEST_CASE("two processes with synchronised normalisation embed as one with the whole batch") {
    const auto x = at::randn({8, 6});
    const auto made = [] { return head({{"hidden", std::int64_t{8}}, {"batch_norm", true}, {"sync", true}}); };
    const std::vector<std::shared_ptr<Head>> heads = {made(), made()};
    std::vector<at::Tensor> parts(2);
    run_ranks(2, [&](const Comm& comm) {
        Context context;
        context.comm = &comm;
        const auto half = x.narrow(0, 4 * comm.rank(), 4);
        const auto rank = static_cast<std::size_t>(comm.rank());
        parts[rank] = heads[rank]->forward({{"cls", half}}, context)["embedding"].detach();
    });
    const auto whole = embedding(*made(), x).detach();
    CHECK(distance(at::cat(parts), whole) < 1e-5);
}

TEST_CASE("one map is a linear projection, and lengths are computed in fp32") {
    const auto made = head({{"layers", std::int64_t{1}}, {"out", std::int64_t{4}}});
    CHECK(names(*made).size() == 2);
    const auto x = at::randn({5, 6});
    const auto y = in_bf16([&] { return embedding(*made, x); });
    CHECK(y.scalar_type() == at::kFloat);
    CHECK(distance(y.norm(2, 1), at::ones({5})) < 1e-6);
}

}  // namespace pcl_projection_mlp
