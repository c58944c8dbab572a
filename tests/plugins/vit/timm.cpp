// vit against timm 1.0 on a stored network with random weights (timm.safetensors, written by
// tools/vit_reference.py write): width 32, 2 blocks, patches of 8, images of 32 x 32 with 3 channels.
#include <catch2/catch.hpp>

#include "reference.hpp"

using namespace hearth;

TEST_CASE("vit computes what timm computes") {
    const test::Reference reference(std::filesystem::path(HEARTH_TEST_SOURCE_DIR) /
                                    "tests/plugins/vit/timm.safetensors");
    // all patches; a subset; another image size with either way to resample positions; both together
    CHECK(reference.cases() == std::vector<std::string>{"dino", "keep", "larger", "larger-keep", "whole"});
    for (const auto& name : reference.cases()) {
        const auto found = reference.run(name), expected = reference.expected(name);
        for (const auto* port : {"tokens", "cls"}) {
            INFO(name << ", " << port);
            REQUIRE(found[port].sizes() == expected[port].sizes());
            CHECK((found[port] - expected[port]).abs().max().item<double>() < 1e-5);
        }
    }
}
