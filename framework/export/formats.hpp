// Writes a backbone's weights under the names of other libraries, with the configuration files that those
// read.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "export/backbone.hpp"

namespace hearth::exporting {

/// One exported model: files of a folder.
struct Package {
    NamedTensors tensors;                                   ///< model.safetensors
    std::map<std::string, std::string> metadata;            ///< of that file
    std::map<std::string, nlohmann::ordered_json> configs;  ///< file name -> contents
    std::string python;                                     ///< how to load it, a few lines
};

/// "timm", "hf", "torchvision", "hearth".
std::vector<std::string> format_names();

/// Throws RecipeError when the format has no place for this backbone. `network` is the prefix of "hearth",
/// whose tensors are `weights` with it; the others take the backbone's own names.
Package package(const Backbone& backbone, const std::string& format, const std::string& network);

}  // namespace hearth::exporting
