#include "common/transformer/decoder.hpp"

#include <fmt/format.h>
#include <torch/nn/init.h>

#include <hearth/error.hpp>
#include <hearth/tokens.hpp>
#include <utility>

#include "common/nn/linear.hpp"
#include "common/transformer/block.hpp"

namespace hearth::transformer {

using at::Tensor;

namespace {

std::int64_t edge_of(const Symbols& symbols) {
    try {
        return patch_edge(symbols.value("H"), symbols.value("W"), symbols.value("L"));
    } catch (const Error& error) {
        throw RecipeError(
            fmt::format("{}; a decoder's `image` is the view its pass runs on, for example reads = {{ image = "
                        "\"global\" }}",
                        error.what()));
    }
}

}  // namespace

void PixelDecoder::schema(Schema& schema) {
    schema.integer("depth", 8).range(0, 64).doc("number of transformer blocks");
    schema.integer("width", 512).range(4, 8192).doc("width of a token inside; a multiple of 4 and of heads");
    schema.integer("heads", 16).range(1, 128).doc("attention heads");
    schema.number("mlp_ratio", 4).range(0.25, 16).doc("hidden width of a block's MLP over the token width");
    schema.number("norm_eps", 1e-6)
        .range(1e-12, 1e-2)
        .doc("eps of the layer norms; 1e-5 in AFiRe's official code");
}

PixelDecoder::PixelDecoder(const Options& options, const Symbols& symbols, std::int64_t prefix,
                           bool token_per_position)
    : channels_(symbols.value("C")),
      patch_(edge_of(symbols)),
      native_{symbols.value("H") / patch_, symbols.value("W") / patch_},
      prefix_(prefix),
      embed_(symbols.value("D"), options.integer("width")),
      norm_(layer_norm(options.integer("width"), options.number("norm_eps"))),
      predict_(options.integer("width"), patch_ * patch_ * channels_) {
    const auto width = options.integer("width");
    mask_token_ =
        register_parameter("mask_token", at::zeros({1, token_per_position ? native_.tokens() : 1, width}));
    positions_ = register_buffer("pos_embed", sincos_positions(width, native_, prefix_));
    register_module("embed", embed_);
    blocks_ = register_module("blocks",
                              make_blocks(options.integer("depth"), {.dim = width,
                                                                     .heads = options.integer("heads"),
                                                                     .mlp_ratio = options.number("mlp_ratio"),
                                                                     .norm_eps = options.number("norm_eps")}));
    register_module("norm", norm_);
    register_module("predict", predict_);
    init_linear_layers(*this, Init::mae);
    torch::nn::init::normal_(mask_token_, 0, 0.02);
}

Grid PixelDecoder::grid_of(const Tensor& image, std::int64_t tokens, const char* who) const {
    const auto height = image.size(2), width = image.size(3);
    const Grid grid{height / patch_, width / patch_};
    if (grid.tokens() != tokens || height % patch_ != 0 || width % patch_ != 0)
        throw Error(ExitCode::internal,
                    fmt::format("{}: found {} tokens for an image of {} x {}, expected patches of {}", who,
                                tokens, height, width, patch_));
    return grid;
}

Tensor PixelDecoder::embed(const Tensor& tokens) const {
    return nn::linear(tokens, embed_);
}

Tensor PixelDecoder::mask_token(Grid grid) const {
    return mask_token_.size(1) == 1 ? mask_token_ : resample_positions(mask_token_, 0, native_, grid);
}

Tensor PixelDecoder::decode(Tensor x, Grid grid) {
    x.add_(grid == native_ ? positions_
                           : sincos_positions(positions_.size(2), grid, prefix_).to(positions_.options()));
    for (std::size_t i = 0; i < blocks_->size(); ++i) x = blocks_->at<Block>(i).forward(x);
    return nn::linear(norm_(x.slice(1, prefix_)), predict_);
}

}  // namespace hearth::transformer
