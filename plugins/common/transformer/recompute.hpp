// Activation checkpointing (Chen et al. 2016, https://arxiv.org/abs/1604.06174): a block keeps its input alone
// for the backward pass, which computes the rest again.
#pragma once

#include <functional>
#include <vector>

#include "common/transformer/block.hpp"

namespace hearth::transformer {

/// block.forward(x, keep, rope), bit for bit, with the gradients of x and of the block's parameters. Where no
/// gradient is asked for it is that call. `block` has to live until the backward pass. There is no second
/// derivative.
at::Tensor forward_recomputed(Block& block, const at::Tensor& x, const at::Tensor& keep,
                              const at::Tensor& rope = {});

}  // namespace hearth::transformer
