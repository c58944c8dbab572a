// Which options of the backbone a file of weights is for.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "export/backbone.hpp"

namespace hearth::exporting {

/// One option as a recipe writes it: "registers" and "4".
struct VitOption {
    std::string name, value;
    bool operator==(const VitOption&) const = default;
};

/// The entry of plugins/backbones/vit/families.json that such a network belongs to: "plain", "gains", "registers",
/// "centred", "grid", "biases".
std::string layout_of(const VitShape& shape, const std::string& rope);
/// That entry: what others call the kind and its classes.
nlohmann::ordered_json family(const std::string& layout);

/// What no parameter tells, as published weights of that shape have it: the option `rope` and the eps of the norms.
std::string usual_rope(const VitShape& shape);
double usual_norm_eps(const VitShape& shape);

/// The options that differ from their defaults, without those of size: patch, dim, heads and depth come first.
/// `rope` and `norm_eps` are as usual; heads are 64 wide where 64 divides the width, else left out.
std::vector<VitOption> vit_options(const VitShape& shape);

/// One of them that the recipe has otherwise.
struct OptionMismatch {
    std::string name, found, expected;  ///< of the recipe; of the file
};

/// Where a network for these weights has to differ from `target`. A file with more blocks than the recipe fits. An
/// empty `rope` is not compared.
std::vector<OptionMismatch> option_mismatches(const VitShape& file, const VitShape& target,
                                              const std::string& rope, double norm_eps);

}  // namespace hearth::exporting
