// Reads patch tokens of all images of a labelled set, for probes that read more of an image than one vector.
#pragma once

#include "eval/probe/features.hpp"

namespace hearth::eval {

/// The patch tokens of the frozen backbone of a network, [B, L, D]. Throws RecipeError for a backbone that
/// writes none.
Extractor backbone_tokens(const plan::Plan& plan, const std::string& network, const Context& context,
                          bool bf16 = false);

/// The floor: the pixels of each of `tokens` patches under one fixed Gaussian projection, [B, tokens, width].
Extractor pixel_tokens(std::int64_t tokens, std::int64_t width, std::uint64_t seed);

/// extract() with room made for all tokens at once: the set's are never there twice.
FeatureSet extract_tokens(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                          const Extractor& extractor, c10::Device device = c10::kCPU);

/// Half of this machine's memory, in bytes: what the tokens of a model may take.
std::int64_t token_memory();

/// Throws RecipeError where the tokens of so many images would take more than `allowed` bytes.
void check_token_memory(const recipe::LabelledSpec& spec, std::int64_t images, std::int64_t tokens,
                        std::int64_t width, std::int64_t allowed);

}  // namespace hearth::eval
