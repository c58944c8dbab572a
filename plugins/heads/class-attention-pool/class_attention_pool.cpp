// The aggregation of SelfPatch (Yun et al. 2022, https://arxiv.org/abs/2206.07990, section 3): a trained token
// gathers all patches of a view by class attention, or the patches around each patch. Parameters carry the names
// of the official code.
#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include <algorithm>
#include <hearth/hearth.hpp>
#include <limits>
#include <map>
#include <vector>

#include "class_block.hpp"
#include "neighbours.hpp"

#include "common/unit_length.hpp"

namespace {

using namespace hearth;
using at::Tensor;
using class_attention_pool::Border;
using class_attention_pool::ClassBlock;
using class_attention_pool::Memory;
using class_attention_pool::Neighbours;
using transformer::Grid;

/// tokens x [B, L, D] of an image:
///   pooled [B, D] = norm(blocks(c; x_1 .. x_L)), the trained token c after attending to all patches
///   patches [B, L, D] = norm(x)
///   neighbourhoods [B, L, D]: of each patch norm(blocks(c; x_j, j in P)), where P are the `neighbours` of the
///     eight patches around it that are most like it by the cosine of x
/// Keys and values of a token are computed once, whoever attends to it. What nobody reads is not computed.
/// Parameters: cls_token, cls_blocks.{0,1,..}.{norm1,attn.{q,k,v,proj},norm2,mlp.{fc1,fc2}}, norm.
class ClassAttentionPool : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("depth", 2).range(1, 24).doc("blocks of class attention");
        schema.integer("heads", 0).range(0, 128).doc("attention heads; 0 = one for 64 channels");
        schema.number("mlp_ratio", 4).range(0.25, 16).doc("hidden width of a block's MLP over the token width");
        schema.integer("neighbours", 4).range(1, 8).doc("of the eight patches around a patch, how many count");
        schema.text("border", "wrap")
            .choices({"wrap", "clip"})
            .doc("beyond the border of the view lies the opposite one (the official code), or nothing");
    }
    static Ports reads(const Options&) {
        return {Port("tokens", "B L D", "patch tokens, row by row"),
                Port("image", "B C H W", "only for its shape")};
    }
    static Ports writes(const Options&) {
        return {Port("pooled", "B D", "one vector an image"), Port("patches", "B L D", "the normed tokens"),
                Port("neighbourhoods", "B L D", "a summary of what lies around each patch")};
    }

    ClassAttentionPool(const Options& options, const Symbols& symbols)
        : count_(options.integer("neighbours")),
          border_(options.text("border") == "wrap" ? Border::wrap : Border::clip) {
        const auto width = symbols.value("D");
        const auto given = options.integer("heads");
        const auto heads = given > 0 ? given : std::max<std::int64_t>(1, width / 64);
        cls_token_ = register_parameter("cls_token", at::zeros({1, 1, width}));
        for (std::int64_t i = 0; i < options.integer("depth"); ++i)
            blocks_->push_back(std::make_shared<ClassBlock>(transformer::BlockOptions{
                .dim = width, .heads = heads, .mlp_ratio = options.number("mlp_ratio")}));
        register_module("cls_blocks", blocks_);
        norm_ = register_module("norm", transformer::layer_norm(width));
        transformer::init_linear_layers(*this, transformer::Init::timm);
        torch::nn::init::normal_(cls_token_, 0, 0.02);
    }

    Tensors forward(const Tensors& in, const Context& context) override {
        const auto& tokens = in["tokens"];
        const auto batch = tokens.size(0), length = tokens.size(1);
        const bool pools = context.wants("pooled"), surrounds = context.wants("neighbourhoods");
        std::vector<Memory> memories;
        if (pools || surrounds)
            for (std::size_t i = 0; i < blocks_->size(); ++i) memories.push_back(block(i).memory(tokens));

        Tensors out;
        if (pools) {
            auto c = cls_token_.expand({batch, 1, -1});
            for (std::size_t i = 0; i < memories.size(); ++i)
                c = block(i).forward(c, {memories[i].keys.unsqueeze(1), memories[i].values.unsqueeze(1)});
            out.set("pooled", norm_(c).squeeze(1));
        }
        if (context.wants("patches")) out.set("patches", norm_(tokens));
        if (surrounds) {
            const auto [index, inside] = chosen(tokens, in["image"]);  // [B, L, k]
            const auto sample = at::arange(batch, index.options()).view({batch, 1, 1});
            auto c = cls_token_.expand({batch, length, -1});
            for (std::size_t i = 0; i < memories.size(); ++i)
                c = block(i).forward(
                    c, {memories[i].keys.index({sample, index}), memories[i].values.index({sample, index})},
                    inside);
            out.set("neighbourhoods", norm_(c));
        }
        return out;
    }

  private:
    ClassBlock& block(std::size_t i) { return blocks_->at<ClassBlock>(i); }

    struct Chosen {
        Tensor index;   ///< int64 [B, L, k], of the patches around each that are most like it
        Tensor inside;  ///< bool [L, k], false where there are fewer; undefined: nowhere
    };

    Chosen chosen(const Tensor& tokens, const Tensor& image) {
        const auto& table = around(tokens, image);
        const auto unit = unit_length(at_least_float(tokens.detach()));
        auto likeness = at::matmul(unit, unit.transpose(1, 2))
                            .gather(2, table.index.unsqueeze(0).expand({tokens.size(0), -1, -1}));  // [B, L, 8]
        if (border_ == Border::clip)
            likeness =
                likeness.masked_fill(table.inside.logical_not(), -std::numeric_limits<double>::infinity());
        const auto best = std::get<1>(likeness.topk(count_, -1));
        const auto index = table.index.unsqueeze(0).expand_as(likeness).gather(2, best);
        if (border_ == Border::wrap) return {index, {}};
        // The best come first, so the places of those that are missing are the same in every image.
        const auto rank = at::arange(count_, table.index.options());
        return {index, rank < table.inside.sum(1, true)};
    }

    /// Made once for each grid and device.
    const Neighbours& around(const Tensor& tokens, const Tensor& image) {
        const auto patch = patch_edge(image.size(2), image.size(3), tokens.size(1));
        const Grid grid{image.size(2) / patch, image.size(3) / patch};
        if (device_ != tokens.device()) tables_.clear();
        device_ = tokens.device();
        auto& table = tables_[{grid.rows, grid.columns}];
        if (!table.index.defined()) {
            table = class_attention_pool::neighbours(grid, border_);
            table = {table.index.to(device_), table.inside.to(device_)};
        }
        return table;
    }

    std::int64_t count_;
    Border border_;
    Tensor cls_token_;
    torch::nn::ModuleList blocks_;
    torch::nn::LayerNorm norm_{nullptr};
    c10::Device device_ = c10::kCPU;
    std::map<std::pair<std::int64_t, std::int64_t>, Neighbours> tables_;
};

}  // namespace

HEARTH_PLUGIN(
    (PluginInfo{.id = "class-attention-pool",
                .version = "0.1.0",
                .summary = "Class attention over a view, and over the surroundings of each patch",
                .url = "https://github.com/alinlab/SelfPatch",
                .paper = "https://arxiv.org/abs/2206.07990"}),
    component<ClassAttentionPool>("patch tokens -> a vector of the view, and one of each neighbourhood"))
