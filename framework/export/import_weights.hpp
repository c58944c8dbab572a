// Fits weights of other libraries to a backbone: names are found below any prefix, Hugging Face's names
// turned into timm's, positions resampled, three input channels summed to one; what did not fit is listed in
// full.
#pragma once

#include <string>
#include <vector>

#include "export/backbone.hpp"
#include "export/vit_options.hpp"

namespace hearth::exporting {

struct ImportOptions {
    std::string prefix = {};    ///< of the names to take ("teacher.backbone."); "" = the one that fits best
    bool sum_channels = false;  ///< a first layer for C channels becomes one for a grey image
    /// What the file's network wants done to its input, one value a channel, (x - mean) / std; with
    /// sum_channels it is folded into the first layer together with `target_mean` and `target_std` of the
    /// backbone. Empty: the sum alone.
    std::vector<double> mean = {}, std = {};
    double target_mean = 0, target_std = 1;
    /// Options `rope` and `norm_eps` of the backbone, which no parameter tells; "": it has none, or they are unknown.
    std::string target_rope = {};
    double target_norm_eps = 1e-6;
};

struct Misshaped {
    std::string name;
    std::vector<std::int64_t> found, expected;
};

struct ImportResult {
    NamedTensors weights;                 ///< float32, under the backbone's names
    std::vector<std::string> missing;     ///< of the backbone, not in the file
    std::vector<std::string> unexpected;  ///< in the file, not of the backbone (heads, decoders)
    std::vector<Misshaped> misshaped;
    std::vector<std::string> notes;  ///< what was converted: "pos_embed: 14 x 14 patches resampled to 8 x 8"
    std::string kind;  ///< of the network in the file: "ViT"; "" where it is no vision transformer
    std::vector<VitOption> options;          ///< that `vit` needs for it
    std::vector<OptionMismatch> mismatches;  ///< options of the recipe that make another network
    bool complete() const { return missing.empty() && misshaped.empty() && mismatches.empty(); }
};

/// `target` holds the backbone's parameters and buffers. Throws RecipeError when nothing in the file fits, or
/// several networks in it fit alike and no prefix says which.
ImportResult import_weights(const NamedTensors& file, const NamedTensors& target, const ImportOptions& options);

}  // namespace hearth::exporting
