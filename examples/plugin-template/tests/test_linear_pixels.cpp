// The component through its descriptor, as the host sees it, against the definition written out by hand.
#include <ATen/ATen.h>

#include <cstdio>
#include <hearth/hearth.hpp>

extern "C" const HearthPlugin* hearth_plugin();

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
    std::printf("%s: %s\n", holds ? "ok  " : "FAIL", what);
    failures += holds ? 0 : 1;
}

}  // namespace

int main() {
    using namespace hearth;
    at::manual_seed(1);
    const auto& entry = hearth_plugin()->components[0];
    Schema schema;
    entry.schema(schema);
    Symbols symbols;  // two channels, 2 x 3 patches of 4 x 4 pixels
    for (const auto& [name, size] : {std::pair("C", 2), {"H", 8}, {"W", 12}, {"L", 6}, {"D", 5}})
        symbols.bind(name, size);
    const Options options(schema);
    const auto head = std::static_pointer_cast<Head>(entry.create(options, symbols));

    const auto tokens = at::randn({3, 6, 5}), image = at::zeros({3, 2, 8, 12});
    const auto restored = head->forward({{"tokens", tokens}, {"image", image}}, Context{})["restored"];
    expect(restored.sizes() == image.sizes(), "restored has the shape of the image");
    expect(to_string(symbols.resolve(entry.writes(options, symbols).at(0).shape)) == "B 2 8 12",
           "and writes() says so");

    // Patch 4 is row 1, column 1 of the grid; its pixel (row 2, column 3, channel 1) is output (2*4 + 3)*2 + 1.
    const auto weight = head->named_parameters()["predict.weight"];
    const auto by_hand = tokens[2][4].dot(weight[(2 * 4 + 3) * 2 + 1]);
    expect(at::allclose(restored[2][1][1 * 4 + 2][1 * 4 + 3], by_hand),
           "a pixel is its row of the weights times the token");

    const Tensors in_unit = {{"tokens", tokens},
                             {"image", image},
                             {"pixel_mean", at::full({3, 2}, 0.5)},
                             {"pixel_std", at::full({3, 2}, 0.25)}};
    const auto scaled = head->forward(in_unit, Context{});
    expect(at::allclose(scaled["restored"], restored * 0.25 + 0.5), "pixels are in the backbone's unit");
    expect(at::equal(scaled["restored.std"], in_unit["pixel_std"]), "and the loss is told which that is");

    restored.sum().backward();
    expect(weight.grad().defined() && weight.grad().abs().sum().item<double>() > 0,
           "the weights get a gradient");
    return failures == 0 ? 0 : 1;
}
