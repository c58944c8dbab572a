// vit against the networks of DINOv2, DINOv3, EVA-02 and EVA that timm 1.0 and transformers 5 make (families/, random
// weights, written by tools/vit_families.py write): width 16, 2 blocks, patches of 4, images of 16 x 16 with 3
// channels. Weights come in by hearth import's ways and go out by hearth export's.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "export/formats.hpp"
#include "export/import_weights.hpp"
#include "reference.hpp"

namespace vit_families {

using namespace hearth;
using namespace hearth::exporting;

namespace {

test::Reference stored(const std::string& name) {
    return test::Reference(std::filesystem::path(HEARTH_TEST_SOURCE_DIR) / "tests/plugins/vit/families" /
                           (name + ".safetensors"));
}

NamedTensors parameters_of(const Component& component) {
    NamedTensors out;
    for (const auto& item : component.named_parameters()) out.emplace_back(item.key(), item.value().detach());
    return out;
}

ImportOptions told(const Options& options) {
    ImportOptions out;
    out.target_rope = options.text("rope");
    out.target_norm_eps = options.number("norm_eps");
    return out;
}

/// The weights of the file in a vit for images of `edge` x `edge` (0: the file's).
std::shared_ptr<Component> imported(const test::Reference& reference, std::int64_t edge = 0) {
    auto component = reference.make("whole", edge);
    const auto result =
        import_weights(reference.weights(), parameters_of(*component), told(reference.options("whole")));
    for (const auto& entry : result.mismatches) FAIL_CHECK(entry.name << ": " << entry.found);
    REQUIRE(result.complete());
    CHECK(result.kind == reference.file().metadata.at("network"));
    const at::NoGradGuard no_grad;
    auto parameters = component->named_parameters();
    for (const auto& [name, tensor] : result.weights) parameters[name].copy_(tensor);
    return component;
}

void check_same(const Tensors& found, const Tensors& expected) {
    for (const auto* port : {"tokens", "cls"}) {
        INFO(port);
        REQUIRE(found[port].sizes() == expected[port].sizes());
        CHECK((found[port] - expected[port]).abs().max().item<double>() < 1e-5);
    }
}

exporting::Backbone exported(const test::Reference& reference) {
    const auto options = reference.options("whole");
    exporting::Backbone out;
    out.component = "vit";
    out.weights = parameters_of(*imported(reference));
    out.channels = 3;
    out.heads_count = 2;
    out.mean = {0.5};
    out.std = {0.25};
    out.size = 16;
    out.fit = "stretch";
    out.rope = options.text("rope");
    out.rope_grid = options.integer("rope_grid");
    out.norm_eps = options.number("norm_eps");
    return out;
}

const std::vector<std::string> of_timm = {"gains",          "registers", "gains-swiglu", "centred",
                                          "centred-swiglu", "grid",      "grid-norms",   "biases"},
                               of_transformers = {"hf-gains", "hf-gains-5", "hf-registers", "hf-centred"};

}  // namespace

TEST_CASE("imported weights compute what timm's and transformers' networks compute, at any image size") {
    for (const auto& names : {of_timm, of_transformers})
        for (const auto& name : names) {
            const auto reference = stored(name);
            const auto component = imported(reference);
            for (const auto& which : reference.cases()) {
                INFO(name << ", " << which);
                check_same(reference.run(which, component), reference.expected(which));
            }
        }
}

TEST_CASE("positions resampled at the import are those that timm resamples at run time") {
    for (const auto& name : of_timm) {
        INFO(name);
        const auto reference = stored(name);
        check_same(reference.run("square", imported(reference, 24)), reference.expected("square"));
    }
}

TEST_CASE("what was imported from timm goes back name by name and bit by bit") {
    for (const auto& name : of_timm) {
        INFO(name);
        const auto reference = stored(name);
        const auto made = package(exported(reference), "timm", "student");
        const auto expected = reference.weights();
        CHECK(made.tensors.size() == expected.size());
        for (const auto& [key, tensor] : expected) {
            INFO(key);
            const auto found = find(made.tensors, key);
            REQUIRE(found.defined());
            CHECK(at::equal(found, tensor));
        }
    }
}

TEST_CASE("what was imported from transformers goes back under the names of its files") {
    for (const std::string name : {"hf-gains", "hf-registers", "hf-centred"}) {
        INFO(name);
        const auto reference = stored(name);
        const auto made = package(exported(reference), "hf", "student");
        const auto expected = reference.weights();
        CHECK(made.tensors.size() == expected.size());
        const auto position = [](const NamedTensors& tensors) {
            return find(tensors, "embeddings.position_embeddings").slice(1, 0, 1) +
                   find(tensors, "embeddings.cls_token");
        };
        for (const auto& [key, tensor] : expected) {
            INFO(key);
            const auto found = find(made.tensors, key);
            REQUIRE(found.defined());
            REQUIRE(found.sizes() == tensor.sizes());
            if (key == "embeddings.mask_token") continue;  // the pretraining's own
            // With registers the class token's position is in the class token.
            if (name == "hf-registers" && key == "embeddings.cls_token")
                CHECK(at::equal(position(made.tensors), position(expected)));
            else if (name == "hf-registers" && key == "embeddings.position_embeddings")
                CHECK(at::equal(found.slice(1, 1), tensor.slice(1, 1)));
            else
                CHECK(at::equal(found, tensor));
        }
    }
}

TEST_CASE("a file says which options it needs, and a recipe without them what to change") {
    const auto plain = test::make<hearth::Backbone>("vit",
                                                    {{"dim", std::int64_t{16}},
                                                     {"heads", std::int64_t{2}},
                                                     {"depth", std::int64_t{2}},
                                                     {"patch", std::int64_t{4}},
                                                     {"mlp_ratio", Schedule(2)}},
                                                    test::image_symbols(3, 16, 16));
    ImportOptions none;
    none.target_rope = "none";
    std::map<std::string, std::set<std::string>> wrong;
    for (const auto& name : of_timm) {
        const auto result = import_weights(stored(name).weights(), parameters_of(*plain), none);
        CHECK_FALSE(result.complete());
        for (const auto& entry : result.mismatches) wrong[name].insert(entry.name + " = " + entry.expected);
    }
    using Set = std::set<std::string>;
    CHECK(wrong["gains"] == Set{"layer_scale = 1e-5"});
    CHECK(wrong["registers"] == Set{"layer_scale = 1e-5", "registers = 4"});
    CHECK(wrong["gains-swiglu"] == Set{"layer_scale = 1e-5", "mlp = \"swiglu\"", "mlp_ratio = 1.5"});
    CHECK(wrong["centred"] == Set{"layer_scale = 1e-5", "registers = 4", "qkv_bias = false", "norm_eps = 1e-05",
                                  "positions = \"none\"", "rope = \"centred\""});
    CHECK(wrong["grid"] == Set{"key_bias = false", "mlp = \"swiglu\"", "mlp_ratio = 2.5", "rope = \"grid\""});
    CHECK(wrong["grid-norms"].count("mlp_norm = true") == 1);
    CHECK(wrong["grid-norms"].count("attention_norm = true") == 1);
    CHECK(wrong["biases"] == Set{"key_bias = false"});

    const auto shape = vit_shape(parameters_of(*imported(stored("grid"))));
    REQUIRE(shape);
    const auto options = vit_options(*shape);
    const auto has = [&](const VitOption& wanted) {
        return std::ranges::find(options, wanted) != options.end();
    };
    CHECK(has({"patch", "4"}));
    CHECK(has({"rope", "\"grid\""}));
    CHECK(has({"rope_grid", "4"}));
    CHECK(has({"pool", "\"mean\""}));
}

TEST_CASE("the last norm of a network that pools serves one that does not, with a note") {
    const auto reference = stored("grid");
    auto weights = reference.weights();
    for (auto& [name, tensor] : weights)
        if (name.starts_with("fc_norm.")) name = name.substr(3);
    const auto component = reference.make("whole");
    const auto result = import_weights(weights, parameters_of(*component), told(reference.options("whole")));
    CHECK(result.complete());
    REQUIRE(result.notes.size() == 1);
    CHECK_THAT(result.notes.front(), Catch::Contains("pool = \"cls\" computes what the file's network does"));
}

TEST_CASE("a network that another library has no class for is refused with the option it is") {
    const auto refusal = [](const exporting::Backbone& backbone, const std::string& format) {
        try {
            package(backbone, format, "student");
        } catch (const RecipeError& error) {
            return std::string(error.what());
        }
        return std::string("nothing");
    };
    CHECK_THAT(refusal(exported(stored("grid")), "hf"), Catch::Contains("rope = \"grid\""));
    auto other = exported(stored("centred"));
    other.norm_eps = 1e-6;
    CHECK_THAT(refusal(other, "timm"), Catch::Contains("expected norm_eps = 1e-05"));
    auto gains = exported(stored("gains"));
    gains.rope = "grid";
    CHECK_THAT(refusal(gains, "timm"), Catch::Contains("a bias of the keys, expected key_bias = false"));
}

}  // namespace vit_families
