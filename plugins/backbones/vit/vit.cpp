// This is the vision transformer (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929) and what DINOv2
// (https://arxiv.org/abs/2304.07193, registers https://arxiv.org/abs/2309.16588), DINOv3
// (https://arxiv.org/abs/2508.10104) and EVA-02 (https://arxiv.org/abs/2303.11331) made of it. Parameters carry the
// names and shapes of timm's VisionTransformer, so weights exchange without a mapping table.
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
#include "common/transformer/rope.hpp"

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
                   : size == "large" ? Shape4{1024, 16, 24}
                                     : Shape4{1536, 24, 40};
    const auto override = [&](const char* name, std::int64_t& value) {
        if (const auto given = options.integer(name); given != 0) value = given;
    };
    override("dim", shape.dim);
    override("heads", shape.heads);
    override("depth", shape.depth);
    return shape;
}

transformer::Rope rope_kind(const Options& options) {
    const auto& word = options.text("rope");
    return word == "centred" ? transformer::Rope::centred
           : word == "grid"  ? transformer::Rope::grid
                             : transformer::Rope::none;
}

transformer::RopeOptions rope_options(const Options& options, Grid native) {
    const auto shape = network_shape(options);
    const auto kind = rope_kind(options);
    const auto base = options.number("rope_base");
    const auto side = options.integer("rope_grid");
    return {.kind = kind,
            .base = base > 0                             ? base
                    : kind == transformer::Rope::centred ? 100
                                                         : 10000,
            .head_dim = shape.dim / shape.heads,
            .reference = side > 0 ? Grid{side, side} : native};
}

transformer::BlockOptions block_options(const Options& options) {
    const auto shape = network_shape(options);
    return {.dim = shape.dim,
            .heads = shape.heads,
            .mlp_ratio = options.number("mlp_ratio"),
            .qkv_bias = options.boolean("qkv_bias"),
            .norm_eps = options.number("norm_eps"),
            .key_bias = options.boolean("key_bias"),
            .attention_norm = options.boolean("attention_norm"),
            .swiglu = options.text("mlp") == "swiglu",
            .mlp_norm = options.boolean("mlp_norm"),
            .layer_scale = options.number("layer_scale"),
            .rope = rope_kind(options)};
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
            .choices({"tiny", "small", "base", "large", "giant"})
            .doc("width, heads, depth: 192/3/12, 384/6/12, 768/12/12, 1024/16/24, 1536/24/40");
        schema.integer("patch", 16).range(1, 64).doc("edge of a patch in pixels; divides height and width");
        schema.integer("dim", 0).range(0, 8192).doc("width of a token; 0 = by size");
        schema.integer("heads", 0).range(0, 128).doc("attention heads; 0 = by size");
        schema.integer("depth", 0).range(0, 128).doc("number of blocks; 0 = by size");
        schema.number("mlp_ratio", 4).range(0.25, 16).doc("hidden width of a block's MLP over the token width");
        schema.text("mlp", "gelu")
            .choices({"gelu", "swiglu"})
            .doc("of a block: gelu, or silu(gate) * value with both in fc1 (DINOv2 giant, EVA-02)");
        schema.boolean("mlp_norm", false)
            .doc("layer norm before the MLP's second layer (EVA-02 base and large)");
        schema.boolean("attention_norm", false)
            .doc("layer norm before the attention's output projection (EVA-02 of CLIP)");
        schema.boolean("qkv_bias", true).doc("bias of the query, key and value projections");
        schema.boolean("key_bias", true)
            .doc("false: of these biases the query's and the value's alone (EVA, DINOv3)");
        schema.number("layer_scale", 0)
            .range(0, 10)
            .doc("initial gain a channel of each branch (DINOv2 and DINOv3: 1e-5); 0 = no gains");
        schema.integer("registers", 0)
            .range(0, 64)
            .doc(
                "tokens beside the class token that nothing reads (DINOv2 with registers, DINOv3: 4); the "
                "class token "
                "then has no position");
        schema.number("norm_eps", 1e-6).range(1e-12, 1e-2).doc("eps of the layer norms; 1e-5 in DINOv3");
        schema.text("pool", "cls")
            .choices({"cls", "mean"})
            .doc(
                "cls: the last norm is every token's. mean: it is that of the patch tokens' mean, which stands "
                "for the "
                "class token in what is written (timm's EVA)");
        schema.text("positions", "learned")
            .choices({"learned", "sincos", "none"})
            .doc(
                "position embedding: learned (timm), fixed 2-D sin-cos (MAE, MoCo v3, the AFiRe code), or "
                "none");
        schema.text("rope", "none")
            .choices({"none", "centred", "grid"})
            .doc(
                "rotary positions in the attention: of patch centres in [-1, 1] (DINOv3), or of rows and "
                "columns "
                "(EVA-02)");
        schema.number("rope_base", 0)
            .range(0, 1e9)
            .doc("longest period of the rotary positions; 0 = 100 for centred, 10000 for grid");
        schema.integer("rope_grid", 0)
            .range(0, 1024)
            .doc(
                "rope = \"grid\": an image of any size is laid over so many rows and columns, those of the "
                "pretraining (EVA-02: 16); 0 = the grid of the recipe's images");
        schema.text("position_resample", "timm")
            .choices({"timm", "dino"})
            .doc("positions for other image sizes: antialiased bicubic (timm), or bicubic as the DINO code");
        schema.text("init", "timm")
            .choices({"timm", "mae", "moco"})
            .doc(
                "initial weights: normal 0.02, Xavier uniform (MAE, the AFiRe code), or that with queries, "
                "keys and "
                "values each by themselves (MoCo v3)");
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
        const Dim patch = options.integer("patch"), dim = shape.dim, first = 1 + options.integer("registers");
        const auto tokens = symbols.bound("N") ? symbols["N"] : symbols["H"] / patch * (symbols["W"] / patch);
        const bool has_cls = options.boolean("class_token");
        const auto length = (has_cls ? first : Dim(0)) + tokens;
        Ports ports = {Port("tokens", Shape{"B", tokens, dim},
                            "patch tokens after the last norm: row by row, or in the order of keep")};
        if (has_cls)
            ports.emplace_back("cls", Shape{"B", dim}, "class token after the last norm, or what pool says");
        ports.push_back(
            Port(
                "attention", Shape{"B", shape.depth, shape.heads, length, length},
                "attention of every block, class token and registers first; only where it is asked for by name")
                .maybe());
        ports.push_back(
            Port("activations", Shape{"B", length, dim},
                 "what the last block reads, class token and registers first; only where it is asked for by "
                 "name")
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
          pool_mean_(options.text("pool") == "mean"),
          registers_(options.integer("registers")),
          rope_(rope_options(options, native_), options.boolean("class_token") ? 1 + registers_ : 0),
          drop_path_(options.number("drop_path")),
          unit_(options, symbols.value("C"), "vit") {
        const auto channels = symbols.value("C");
        if (const auto kept = symbols["N"];
            kept.known() && (kept.value() < 1 || kept.value() > native_.tokens()))
            throw RecipeError(fmt::format("vit: found keep with {} patches, expected 1 to {} of them",
                                          kept.value(), native_.tokens()));
        const auto shape = network_shape(options);
        const auto& positions = options.text("positions");
        const auto block = block_options(options);
        if (options.boolean("class_token"))
            cls_token_ = register_parameter("cls_token", at::zeros({1, 1, shape.dim}));
        else if (registers_ > 0 || pool_mean_)
            throw RecipeError(
                fmt::format("vit: found {} beside class_token = false, expected {} with a class token",
                            registers_ > 0 ? "registers" : "pool = \"mean\"", registers_ > 0 ? "them" : "it"));
        if (registers_ > 0) reg_token_ = register_parameter("reg_token", at::zeros({1, registers_, shape.dim}));
        if (positions != "none")
            pos_embed_ = register_parameter("pos_embed",
                                            positions == "sincos"
                                                ? transformer::sincos_positions(shape.dim, native_, placed())
                                                : at::zeros({1, placed() + native_.tokens(), shape.dim}),
                                            /*requires_grad=*/positions == "learned");
        if (options.boolean("mask_token"))
            mask_token_ = register_parameter("mask_token", at::zeros({1, 1, shape.dim}));
        patch_embed_ =
            register_module("patch_embed", std::make_shared<PatchEmbed>(channels, shape.dim, patch_));
        blocks_ = register_module("blocks", transformer::make_blocks(shape.depth, block));
        if (options.boolean("final_norm"))
            norm_ = register_module(pool_mean_ ? "fc_norm" : "norm",
                                    transformer::layer_norm(shape.dim, block.norm_eps));
        if (block.rope != transformer::Rope::none)
            rope_.of(native_, patch_embed_->proj()->weight, {});  // refuses what does not fit
        init_weights(options.text("init"));
    }

    bool differentiates_twice() const override { return false; }  // attention and the recomputed blocks
    Normalization normalization() const override { return unit_.normalization(); }
    std::string features() const override { return has_cls() ? "cls+mean" : "mean"; }

    Tensors forward(const Tensors& in, const Context& context) override {
        const auto& image = in["image"];
        const auto grid = patch_grid(image.size(2), image.size(3), patch_);
        const auto [keep, penalty] = in.has("keep") ? checked(in["keep"], image, grid) : Kept();
        const auto pixels = patch_pixels(image, grid, patch_, keep);
        const auto positions = pos_embed_.defined() ? transformer::resample_positions(pos_embed_, placed(),
                                                                                      native_, grid, resample_)
                                                    : Tensor();
        auto x = patch_embed_->forward(unit_.normalise(pixels));
        if (in.has("hidden")) x = with_mask_tokens(x, in["hidden"], keep, grid);
        if (positions.defined()) x = x + positions_of(positions, keep);
        if (penalty.defined()) x = x + penalty.unsqueeze(-1);
        if (has_cls())
            x = at::cat({first_tokens(positions).expand({image.size(0), -1, -1}), x}, 1);  // [B, 1+R+N, D]
        const auto rope = rope_.of(grid, patch_embed_->proj()->weight, keep);

        const auto scales = draw_branch_scales(image.size(0), context);
        const bool only_cls = has_cls() && !context.wants("tokens") && !pool_mean_;
        Tensors out;
        std::vector<Tensor> attention;
        for (std::size_t i = 0; i < blocks_->size(); ++i) {
            auto& block = blocks_->at<transformer::Block>(i);
            if (asked(context, "attention")) attention.push_back(block.attention_weights(x, rope));
            if (asked(context, "activations") && i + 1 == blocks_->size()) out.set("activations", x);
            const auto scale = scales.defined() ? scales[static_cast<std::int64_t>(i)] : Tensor();
            const bool last = i + 1 == blocks_->size();
            x = only_cls && last ? block.forward_first(x, scale, rope)
                : recompute_     ? transformer::forward_recomputed(block, x, scale, rope)
                                 : block.forward(x, scale, rope);
        }
        if (!attention.empty()) out.set("attention", at::stack(attention, 1));
        write(x, only_cls, context, out);
        unit_.write(image, context, out);
        return out;
    }

  private:
    /// For what costs more than the rest of the pass: not for callers that take whatever there is.
    static bool asked(const Context& context, const char* port) {
        return context.wanted != nullptr && context.wants(port);
    }

    /// How many of the tokens before the patches have a position.
    std::int64_t placed() const { return has_cls() && registers_ == 0 ? 1 : 0; }
    bool has_cls() const { return cls_token_.defined(); }

    /// Class token and registers, [1, 1+R, D].
    Tensor first_tokens(const Tensor& positions) const {
        const auto cls =
            positions.defined() && placed() > 0 ? cls_token_ + positions.slice(1, 0, 1) : cls_token_;
        return registers_ > 0 ? at::cat({cls, reg_token_}, 1) : cls;
    }

    Tensor normed(const Tensor& x) { return norm_.is_empty() ? x : norm_(x); }

    /// x [B, 1+R+N, D], or the class token alone where `only_cls`.
    void write(const Tensor& x, bool only_cls, const Context& context, Tensors& out) {
        if (pool_mean_) {
            const auto tokens = x.slice(1, 1 + registers_);
            out.set("cls", normed(tokens.mean(1)));
            if (context.wants("tokens")) out.set("tokens", tokens);
            return;
        }
        const auto y = normed(x);
        if (!has_cls()) {
            out.set("tokens", y);
            return;
        }
        const auto parts = registers_ > 0 && !only_cls
                               ? y.split_with_sizes({1, registers_, x.size(1) - 1 - registers_}, 1)
                               : y.split_with_sizes({1, x.size(1) - 1}, 1);
        out.set("cls", parts.front().squeeze(1));
        if (!only_cls) out.set("tokens", parts.back());
    }

    void init_weights(const std::string& init) {
        const bool mae = init == "mae", timm = init == "timm";
        transformer::init_linear_layers(*this, timm ? transformer::Init::timm : transformer::Init::mae);
        if (has_cls()) torch::nn::init::normal_(cls_token_, 0, mae ? 0.02 : 1e-6);
        if (pos_embed_.defined() && pos_embed_.requires_grad()) torch::nn::init::normal_(pos_embed_, 0, 0.02);
        if (registers_ > 0) torch::nn::init::normal_(reg_token_, 0, mae ? 0.02 : 1e-6);
        if (timm) return;  // timm leaves the convolution at its own initial weights
        const at::NoGradGuard no_grad;
        torch::nn::init::xavier_uniform_(patch_embed_->proj()->weight.flatten(1));
        if (mae) return;
        torch::nn::init::zeros_(patch_embed_->proj()->bias);
        for (const auto& item : named_parameters())
            if (item.key().ends_with("attn.qkv.weight"))
                for (const auto& part : item.value().chunk(3)) torch::nn::init::xavier_uniform_(part);
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
        const auto all = positions.slice(1, placed());
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
        return scales.to(patch_embed_->proj()->weight.device(), /*non_blocking=*/true);
    }

    std::int64_t patch_;
    Grid native_;  ///< the grid that pos_embed belongs to
    transformer::Resample resample_;
    bool recompute_, pool_mean_;
    std::int64_t registers_;
    transformer::RopeTables rope_;
    double drop_path_;
    pixels::Unit unit_;
    std::int64_t last_step_ = -1, call_ = 0;
    Tensor cls_token_, reg_token_, mask_token_, pos_embed_;  ///< undefined: there are none
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
