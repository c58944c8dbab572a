// What other libraries call the keys of a recipe, for messages about keys that there are not.
#pragma once

#include <string>
#include <vector>

namespace hearth::recipe {

/// " (did you mean 'lr'?)" for "learning_rate" where `keys` has it, else as hearth::did_you_mean.
std::string did_you_mean_key(const std::string& word, const std::vector<std::string>& keys);

/// "train.epochs" for "epochs", "num_epochs" and "num-epochs", of [train], [optimizer] or [data]; "" for no key
/// of theirs.
std::string full_key(std::string word);

}  // namespace hearth::recipe
