// What other libraries call the parameters of a vision transformer, and how they divide them: to the names of timm's
// VisionTransformer, which the backbone has, and back.
#pragma once

#include "export/backbone.hpp"

namespace hearth::exporting {

/// The vision transformers in a file of timm (both of its classes), Hugging Face or a pretraining code, under timm's
/// names; what stands before them ("vit.") stays. A name that the target has itself is kept, and so is every other
/// tensor of the file.
NamedTensors with_timm_names(const NamedTensors& file, const NamedTensors& target);

/// How a class of another library holds a block's parameters.
struct BlockNames {
    bool gamma_of_block = false;  ///< gamma_1 in place of ls1.gamma
    bool split_qkv = false;       ///< q_proj, k_proj, v_proj in place of qkv
    bool split_gate = false;      ///< of SwiGLU: fc1_g and fc1_x in place of fc1
};
/// For timm's classes.
NamedTensors timm_tensors(const NamedTensors& weights, const BlockNames& names);

/// The three layouts of Hugging Face's classes.
enum class HuggingFace { plain, gains, centred };
/// All but the positions, which need more than a name.
NamedTensors huggingface_tensors(const NamedTensors& weights, HuggingFace layout);

}  // namespace hearth::exporting
