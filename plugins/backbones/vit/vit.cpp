// This is the vision transformer (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929). Parameters
// carry the names and shapes of timm's vit_*_patch16_224, so weights exchange without a mapping table.
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/conv.h>

#include <hearth/hearth.hpp>

#include "common/nn/linear.hpp"
#include "common/pixels.hpp"
#include "common/transformer/block.hpp"
#include "common/transformer/positions.hpp"
#include "common/transformer/recompute.hpp"

namespace {

using namespace hearth;
using at::Tensor;
using transformer::Grid;

struct Shape4 {
    std::int64_t dim, heads, depth;
};

/// What `size` means, with single numbers overridden by dim, heads and depth.
Shape4 network_shape(const Options& options) {
    const auto& size = options.text("size");
    Shape4 shape = size == "tiny"    ? Shape4{192, 3, 12}
                   : size == "small" ? Shape4{384, 6, 12}
                   : size == "base"  ? Shape4{768, 12, 12}
                                     : Shape4{1024, 16, 24};
    const auto override = [&](const char* name, std::int64_t& value) {
        if (const auto given = options.integer(name); given != 0) value = given;
    };
    override("dim", shape.dim);
    override("heads", shape.heads);
    override("depth", shape.depth);
    return shape;
}

/// Rows and columns of patches; an image that they do not tile is a mistake of the recipe.
Grid patch_grid(std::int64_t height, std::int64_t width, std::int64_t patch) {
    if (height % patch != 0 || width % patch != 0)
        throw RecipeError(fmt::format("vit: found an image of {} x {}, expected multiples of the patch size {}",
                                      height, width, patch));
    return {height / patch, width / patch};
}

/// The pixels of an image [B, C, H, W], patch by patch: [B, N, C, p, p]. All patches row by row or, with `keep`
/// [B, N], those alone, so that what is not kept costs nothing from here on.
Tensor patch_pixels(const Tensor& image, Grid grid, std::int64_t patch, const Tensor& keep) {
    const auto batch = image.size(0), channels = image.size(1);
    const auto patches = image.reshape({batch, channels, grid.rows, patch, grid.columns, patch})
                             .permute({0, 2, 4, 1, 3, 5});  // [B, rows, columns, C, p, p]
    if (!keep.defined()) return patches.flatten(1, 2);
    const auto sample = at::arange(batch, keep.options()).unsqueeze(1);
    return patches.index({sample, keep.floor_divide(grid.columns), keep.remainder(grid.columns)});
}

/// `proj.weight` [D, C, p, p] and `proj.bias`. The convolution has stride p, so it is a linear layer on
/// patches.
class PatchEmbed : public torch::nn::Module {
  public:
    PatchEmbed(std::int64_t channels, std::int64_t dim, std::int64_t patch)
        : proj_(torch::nn::Conv2dOptions(channels, dim, patch).stride(patch)) {
        register_module("proj", proj_);
    }

    /// patches [B, N, C, p, p] -> [B, N, D]
    Tensor forward(const Tensor& patches) {
        return nn::linear(patches.flatten(2), proj_->weight.flatten(1), proj_->bias);
    }

    torch::nn::Conv2d& proj() { return proj_; }

  private:
    torch::nn::Conv2d proj_;
};

class Vit : public Backbone {
  public:
    static void schema(Schema& schema) {
        schema.text("size", "base")
            .choices({"tiny", "small", "base", "large"})
            .doc("width, heads, depth: 192/3/12, 384/6/12, 768/12/12, 1024/16/24");
        schema.integer("patch", 16).range(1, 64).doc("edge of a patch in pixels; divides height and width");
        schema.integer("dim", 0).range(0, 8192).doc("width of a token; 0 = by size");
        schema.integer("heads", 0).range(0, 128).doc("attention heads; 0 = by size");
        schema.integer("depth", 0).range(0, 128).doc("number of blocks; 0 = by size");
        schema.number("mlp_ratio", 4).range(0.25, 16).doc("hidden width of a block's MLP over the token width");
        schema.boolean("qkv_bias", true).doc("bias of the query, key and value projections");
        schema.text("positions", "learned")
            .choices({"learned", "sincos"})
            .doc("position embedding: learned (timm), or fixed 2-D sin-cos (MAE, MoCo v3, the AFiRe code)");
        schema.text("position_resample", "timm")
            .choices({"timm", "dino"})
            .doc("positions for other image sizes: antialiased bicubic (timm), or bicubic as the DINO code");
        schema.text("init", "timm")
            .choices({"timm", "mae"})
            .doc("initial weights: normal 0.02, or Xavier uniform (MAE, the AFiRe code)");
        schema.boolean("class_token", true)
            .doc("a trained token in front of the patches; without it there is no cls");
        schema.boolean("final_norm", true).doc("layer norm after the last block");
        schema.boolean("mask_token", false)
            .doc("a trained embedding in place of each patch that the port hidden names");
        schema.boolean("recompute", false)
            .doc(
                "keep only the input of each block for the backward pass and compute the rest again there: "
                "much less memory, about a third more time");
        schema.number("drop_path", 0).range(0, 0.95).doc("stochastic depth of the last block; grows linearly");
        pixels::Unit::schema(schema);
    }
    static Ports reads(const Options& options) {
        Ports ports = {
            Port("image", "B C H W", "image in [0, 1]"),
            Port("keep", "B N", "patches to look at, as indices row by row; unconnected: all of them")
                .of("int64")
                .maybe()};
        if (options.boolean("mask_token"))
            ports.push_back(
                Port("hidden", "B L", "1 where a patch is replaced by the mask token; unconnected: nowhere")
                    .maybe());
        return ports;
    }
    static Ports writes(const Options& options, const Symbols& symbols) {
        const auto shape = network_shape(options);
        const Dim patch = options.integer("patch"), dim = shape.dim;
        const auto tokens = symbols.bound("N") ? symbols["N"] : symbols["H"] / patch * (symbols["W"] / patch);
        const auto length = options.boolean("class_token") ? Dim(1) + tokens : tokens;
        Ports ports = {Port("tokens", Shape{"B", tokens, dim},
                            "patch tokens after the last norm: row by row, or in the order of keep")};
        if (options.boolean("class_token"))
            ports.emplace_back("cls", Shape{"B", dim}, "class token after the last norm");
        ports.push_back(
            Port("attention", Shape{"B", shape.depth, shape.heads, length, length},
                 "attention of every block, the class token first; only where it is asked for by name")
                .maybe());
        ports.push_back(
            Port("activations", Shape{"B", length, dim},
                 "what the last block reads, the class token first; only where it is asked for by name")
                .maybe());
        for (auto& port : pixels::Unit::ports()) ports.push_back(std::move(port));
        return ports;
    }

    Vit(const Options& options, const Symbols& symbols)
        : patch_(options.integer("patch")),
          native_(patch_grid(symbols.value("H"), symbols.value("W"), patch_)),
          resample_(options.text("position_resample") == "dino" ? transformer::Resample::dino
                                                                : transformer::Resample::timm),
          recompute_(options.boolean("recompute")),
          drop_path_(options.number("drop_path")),
          unit_(options, symbols.value("C"), "vit") {
        const auto channels = symbols.value("C");
        if (const auto kept = symbols["N"];
            kept.known() && (kept.value() < 1 || kept.value() > native_.tokens()))
            throw RecipeError(fmt::format("vit: found keep with {} patches, expected 1 to {} of them",
                                          kept.value(), native_.tokens()));
        const auto shape = network_shape(options);
        const auto sincos = options.text("positions") == "sincos";
        if (options.boolean("class_token")) {
            prefix_ = 1;
            cls_token_ = register_parameter("cls_token", at::zeros({1, 1, shape.dim}));
        }
        if (options.boolean("mask_token"))
            mask_token_ = register_parameter("mask_token", at::zeros({1, 1, shape.dim}));
        pos_embed_ = register_parameter("pos_embed",
                                        sincos ? transformer::sincos_positions(shape.dim, native_, prefix_)
                                               : at::zeros({1, prefix_ + native_.tokens(), shape.dim}),
                                        /*requires_grad=*/!sincos);
        patch_embed_ =
            register_module("patch_embed", std::make_shared<PatchEmbed>(channels, shape.dim, patch_));
        blocks_ = register_module(
            "blocks", transformer::make_blocks(shape.depth, {.dim = shape.dim,
                                                             .heads = shape.heads,
                                                             .mlp_ratio = options.number("mlp_ratio"),
                                                             .qkv_bias = options.boolean("qkv_bias")}));
        if (options.boolean("final_norm")) norm_ = register_module("norm", transformer::layer_norm(shape.dim));
        init_weights(options.text("init") == "mae", sincos);
    }

    bool differentiates_twice() const override { return false; }  // attention and the recomputed blocks
    Normalization normalization() const override { return unit_.normalization(); }
    std::string features() const override { return prefix_ == 1 ? "cls+mean" : "mean"; }

    Tensors forward(const Tensors& in, const Context& context) override {
        const auto& image = in["image"];
        const auto grid = patch_grid(image.size(2), image.size(3), patch_);
        const auto [keep, penalty] = in.has("keep") ? checked(in["keep"], image, grid) : Kept();
        const auto pixels = patch_pixels(image, grid, patch_, keep);
        const auto positions = transformer::resample_positions(pos_embed_, prefix_, native_, grid, resample_);
        auto embedded = patch_embed_->forward(unit_.normalise(pixels));
        if (in.has("hidden")) embedded = with_mask_tokens(embedded, in["hidden"], keep, grid);
        auto x = embedded + positions_of(positions, keep);
        if (penalty.defined()) x = x + penalty.unsqueeze(-1);
        if (prefix_ == 1)
            x = at::cat({(cls_token_ + positions.slice(1, 0, 1)).expand({image.size(0), -1, -1}), x}, 1);

        const auto scales = draw_branch_scales(image.size(0), context);
        const bool only_cls = prefix_ == 1 && !context.wants("tokens");
        Tensors out;
        std::vector<Tensor> attention;
        for (std::size_t i = 0; i < blocks_->size(); ++i) {
            auto& block = blocks_->at<transformer::Block>(i);
            if (asked(context, "attention")) attention.push_back(block.attention_weights(x));
            if (asked(context, "activations") && i + 1 == blocks_->size()) out.set("activations", x);
            const auto scale = scales.defined() ? scales[static_cast<std::int64_t>(i)] : Tensor();
            const bool last = i + 1 == blocks_->size();
            x = only_cls && last ? block.forward_first(x, scale)
                : recompute_     ? transformer::forward_recomputed(block, x, scale)
                                 : block.forward(x, scale);
        }
        if (!attention.empty()) out.set("attention", at::stack(attention, 1));
        if (!norm_.is_empty()) x = norm_(x);
        if (prefix_ == 1) {
            const auto parts = x.split_with_sizes({1, x.size(1) - 1}, 1);
            out.set("cls", parts[0].squeeze(1));
            x = parts[1];
        }
        if (!only_cls) out.set("tokens", x);
        unit_.write(image, context, out);
        return out;
    }

  private:
    /// For what costs more than the rest of the pass: not for callers that take whatever there is.
    static bool asked(const Context& context, const char* port) {
        return context.wanted != nullptr && context.wants(port);
    }

    void init_weights(bool mae, bool sincos) {
        transformer::init_linear_layers(*this, mae ? transformer::Init::mae : transformer::Init::timm);
        if (cls_token_.defined()) torch::nn::init::normal_(cls_token_, 0, mae ? 0.02 : 1e-6);
        if (!sincos) torch::nn::init::normal_(pos_embed_, 0, 0.02);
        if (!mae) return;  // timm leaves the convolution at its own initial weights
        const at::NoGradGuard no_grad;
        torch::nn::init::xavier_uniform_(patch_embed_->proj()->weight.flatten(1));
    }

    struct Kept {
        Tensor index;    ///< [B, N] of patches of the image; undefined: all of them
        Tensor penalty;  ///< [B, N], 0, or -inf where another index was asked for; undefined: nowhere
    };

    /// Values are looked at on the CPU only: a GPU would be waited for, and its own indexing ends the process's
    /// CUDA at a wrong one. There the token of a wrong one is infinite, of which the first norm makes what is not
    /// a number, and no step gets past that.
    static Kept checked(const Tensor& keep, const Tensor& image, Grid grid) {
        if (keep.dim() != 2 || keep.size(0) != image.size(0) || keep.size(1) < 1 ||
            keep.scalar_type() != at::kLong)
            throw RecipeError(
                fmt::format("vit: found keep with shape [{}] of type {}, expected [{}, N] of int64 with N >= 1",
                            fmt::join(keep.sizes(), ", "), c10::toString(keep.scalar_type()), image.size(0)));
        if (!keep.device().is_cpu()) {
            const auto inside = keep.clamp(0, grid.tokens() - 1);
            return {inside, (inside == keep).log()};
        }
        const auto [least, most] = keep.aminmax();
        if (least.item<std::int64_t>() < 0 || most.item<std::int64_t>() >= grid.tokens())
            throw RecipeError(fmt::format(
                "vit: found keep with indices from {} to {}, expected 0 to {} (an image of {} x {}); make keep "
                "from the view this pass runs on, with the same patch size",
                least.item<std::int64_t>(), most.item<std::int64_t>(), grid.tokens() - 1, image.size(2),
                image.size(3)));
        return {keep, {}};
    }

    /// Embeddings [B, N, D] of patches, those that `hidden` [B, L] marks replaced: before their positions, as
    /// iBOT and BEiT do.
    Tensor with_mask_tokens(const Tensor& embedded, const Tensor& hidden, const Tensor& keep, Grid grid) const {
        if (hidden.dim() != 2 || hidden.size(0) != embedded.size(0) || hidden.size(1) != grid.tokens())
            throw RecipeError(fmt::format(
                "vit: found hidden with shape [{}], expected [{}, {}], a number a patch; make it from the view "
                "this pass runs on, with the same patch size",
                fmt::join(hidden.sizes(), ", "), embedded.size(0), grid.tokens()));
        const auto here = (keep.defined() ? hidden.gather(1, keep) : hidden).gt(0.5).unsqueeze(-1);
        return at::where(here, mask_token_.to(embedded.scalar_type()), embedded);
    }

    /// Positions without the class token's: [1, L, D] or, with keep, [B, N, D].
    Tensor positions_of(const Tensor& positions, const Tensor& keep) const {
        const auto all = positions.slice(1, prefix_);
        return keep.defined() ? at::embedding(all[0], keep) : all;
    }

    /// Stochastic depth (Huang et al. 2016, https://arxiv.org/abs/1603.09382): factors [depth, 2, B, 1, 1], 0
    /// or 1 / (1 - rate), undefined when nothing is dropped. Drawn from (seed, step, call within the step,
    /// row), so that a resumed run and any device draw the same. A pass without gradients drops nothing: what
    /// a momentum teacher says is a target, and targets come from the whole network.
    Tensor draw_branch_scales(std::int64_t batch, const Context& context) {
        if (drop_path_ <= 0 || !context.training || !is_training() || !at::GradMode::is_enabled()) return {};
        call_ = context.progress.step == last_step_ ? call_ + 1 : 0;
        last_step_ = context.progress.step;
        const auto depth = static_cast<std::int64_t>(blocks_->size());
        auto scales = at::empty({depth, 2, batch, 1, 1}, at::kFloat);
        auto* out = scales.data_ptr<float>();
        Random random({.seed = context.seed,
                       .epoch = static_cast<std::uint64_t>(last_step_),
                       .sample = static_cast<std::uint64_t>(context.comm->rank()),
                       .stream = static_cast<std::uint64_t>(call_)});
        for (std::int64_t i = 0; i < depth; ++i) {
            const auto rate =
                depth > 1 ? drop_path_ * static_cast<double>(i) / static_cast<double>(depth - 1) : drop_path_;
            for (std::int64_t j = 0; j < 2 * batch; ++j)
                *out++ = random.chance(rate) ? 0.0F : static_cast<float>(1 / (1 - rate));
        }
        return scales.to(pos_embed_.device(), /*non_blocking=*/true);
    }

    std::int64_t patch_;
    std::int64_t prefix_ = 0;  ///< tokens in front of the patches: the class token
    Grid native_;              ///< the grid that pos_embed belongs to
    transformer::Resample resample_;
    bool recompute_;
    double drop_path_;
    pixels::Unit unit_;
    std::int64_t last_step_ = -1, call_ = 0;
    Tensor cls_token_, mask_token_, pos_embed_;
    std::shared_ptr<PatchEmbed> patch_embed_;
    torch::nn::ModuleList blocks_;
    torch::nn::LayerNorm norm_{nullptr};
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "vit",
                          .version = "0.1.0",
                          .summary = "Vision transformer with timm's parameter names",
                          .paper = "https://arxiv.org/abs/2010.11929"}),
              component<Vit>("vision transformer: patch tokens and a class token"))
