// Says what is seen from where, and of whom.
#pragma once

#include <string>

namespace hearth::images {

/// "frontal" for AP and PA, "lateral" for LATERAL, LL, RL and the like, "other" for any other projection
/// (oblique, lordotic, decubitus); empty for an empty one.
std::string view_of(const std::string& projection);

/// "M" and "F" from any spelling of sets; otherwise as it is, and empty for "Unknown".
std::string sex_of(const std::string& word);

}  // namespace hearth::images
