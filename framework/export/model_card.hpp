// MODEL_CARD.md says what an exported model is, how it was made and measured, and what it must not be used
// for (Mitchell et al. 2019, Model Cards for Model Reporting, https://arxiv.org/abs/1810.03993).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "export/formats.hpp"
#include "recipe/recipe.hpp"
#include "runs/run_record.hpp"

namespace hearth::exporting {

/// What only the person who exports can say.
struct CardTexts {
    std::string licence;  ///< of the weights; "" = not stated
    std::string data;     ///< the training data in a sentence; "" = what the recipe says without any path
};

struct CardFacts {
    const recipe::Recipe& recipe;
    const runs::RunRecord& run;
    std::string checkpoint;  ///< "last.safetensors"
    std::string network, format;
    std::string version, commit;       ///< of the Hearth that trained; "" = unknown
    std::vector<std::string> plugins;  ///< "vit 0.1.0", those that the run used
    CardTexts texts;
};

/// Markdown. No path of the machine is in it: data are named by the last part of their path and the filter.
std::string model_card(const CardFacts& facts, const Backbone& backbone, const Package& package);

}  // namespace hearth::exporting
