// Decodes tokens to pixels as masked image modelling does (He et al. 2022, https://arxiv.org/abs/2111.06377):
// a narrow transformer stands between the tokens of an encoder and pixels. Which tokens the mask token
// replaces is the business of the head that derives from it.
#pragma once

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <hearth/component.hpp>

#include "common/transformer/positions.hpp"

namespace hearth::transformer {

/// Parameters: embed, mask_token, blocks, norm, predict; buffer: pos_embed, fixed 2-D sin-cos.
class PixelDecoder : public Head {
  public:
    /// depth, width, heads, mlp_ratio, norm_eps
    static void schema(Schema& schema);

  protected:
    /// Symbols: D, the encoder's width, C, H, W and L. `prefix` tokens, 0 or 1, stand before those of patches;
    /// `mask_tokens` is 1, or L for one a position.
    PixelDecoder(const Options& options, const Symbols& symbols, std::int64_t prefix, bool token_per_position);

    /// Rows and columns of an image [B, C, H, W] that `tokens` patches must tile; else Error(internal) in the
    /// name of `who`.
    Grid grid_of(const at::Tensor& image, std::int64_t tokens, const char* who) const;
    /// tokens [..., D] -> [..., width]
    at::Tensor embed(const at::Tensor& tokens) const;
    /// [1, 1, width], or [1, L, width] for the positions of the grid.
    at::Tensor mask_token(Grid grid) const;
    /// x [B, prefix + L, width], overwritten -> pixels [B, L, p*p*C] in the order of hearth::patchify.
    at::Tensor decode(at::Tensor x, Grid grid);
    std::int64_t channels() const { return channels_; }

  private:
    std::int64_t channels_, patch_;
    Grid native_;
    std::int64_t prefix_;
    at::Tensor mask_token_, positions_;
    torch::nn::Linear embed_;
    torch::nn::ModuleList blocks_;
    torch::nn::LayerNorm norm_;
    torch::nn::Linear predict_;
};

}  // namespace hearth::transformer
