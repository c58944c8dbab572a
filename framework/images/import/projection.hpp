// Says what is seen from where, and of whom.
#pragma once

#include <string>

#include "images/import/import.hpp"

namespace hearth::images {

/// "frontal" for AP and PA, "lateral" for LATERAL, LL, RL and the like, "other" for any other projection
/// (oblique, lordotic, decubitus); empty for an empty one.
std::string view_of(const std::string& projection);

/// "M" and "F" from any spelling of sets; otherwise as it is, and empty for "Unknown".
std::string sex_of(const std::string& word);

/// Ages above 120 years, as NIH's tables and the films made of them have, count as not known; a note says how
/// many.
void forget_impossible_ages(Imported& set);

}  // namespace hearth::images
