#include "recipe/synonyms.hpp"

#include <algorithm>
#include <hearth/text.hpp>
#include <map>

#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

/// The key, for a word that says the same elsewhere; else the word.
const std::string& our_word(const std::string& word) {
    static const std::map<std::string, std::string> words = {{"learning_rate", "lr"},
                                                             {"base_lr", "lr"},
                                                             {"batch_size", "batch"},
                                                             {"bs", "batch"},
                                                             {"num_workers", "workers"},
                                                             {"n_workers", "workers"},
                                                             {"num_epochs", "epochs"},
                                                             {"n_epochs", "epochs"},
                                                             {"max_epochs", "epochs"},
                                                             {"image_size", "size"},
                                                             {"img_size", "size"},
                                                             {"resolution", "size"},
                                                             {"in_chans", "channels"},
                                                             {"in_channels", "channels"},
                                                             {"wd", "weight_decay"},
                                                             {"grad_clip", "clip"},
                                                             {"clip_grad", "clip"},
                                                             {"accum_iter", "accumulate"},
                                                             {"gradient_accumulation", "accumulate"},
                                                             {"random_seed", "seed"},
                                                             {"patch_size", "patch"},
                                                             {"embed_dim", "dim"},
                                                             {"num_heads", "heads"},
                                                             {"n_heads", "heads"},
                                                             {"drop_path_rate", "drop_path"},
                                                             {"n_folds", "folds"},
                                                             {"num_folds", "folds"},
                                                             {"n_neighbors", "k"},
                                                             {"target", "label"},
                                                             {"optimizer", "use"}};
    const auto found = words.find(word);
    return found == words.end() ? word : found->second;
}

}  // namespace

std::string did_you_mean_key(const std::string& word, const std::vector<std::string>& keys) {
    const auto& ours = our_word(word);
    return ours != word && contains(keys, ours) ? " (did you mean '" + ours + "'?)" : did_you_mean(word, keys);
}

std::string full_key(std::string word) {
    std::ranges::replace(word, '-', '_');
    const auto& key = our_word(word);
    for (const auto& [section, schema] :
         {std::pair("train.", train_schema()), {"optimizer.", optimizer_schema()}, {"data.", data_schema()}})
        if (schema.find(key) != nullptr) return section + key;
    return "";
}

}  // namespace hearth::recipe
