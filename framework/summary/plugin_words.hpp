// What lists and pages of plugins say about options and ports, in the same words.
#pragma once

#include <hearth/option.hpp>
#include <hearth/port.hpp>
#include <string>
#include <vector>

#include "host/registry.hpp"

namespace hearth::summary {

/// "head/linear".
std::string full_name(const host::ComponentType& type);

/// "between 1 and 64", "one of mean, zero", "exactly 2 entries"; "" without limits.
std::string limits(const OptionSpec& option);

/// "optional", "detached", ...: what a port is besides its shape and type.
std::vector<std::string> port_notes(const Port& port);

/// What `plugins show NAME key=value ..` asks about.
struct Asked {
    Options options;
    Symbols symbols;  ///< sizes of what the component reads
};

/// Options and sizes from words: "depth=2" sets an option, "H=224" a symbol of what the component then reads.
/// Throws RecipeError with all mistakes.
Asked asked_of(const host::ComponentType& type, const std::vector<std::string>& words);

/// The ports that these options and sizes make, with sizes put into the shapes. They may throw what the component
/// throws where an option is missing.
Ports asked_reads(const host::ComponentType& type, const Asked& asked);
Ports asked_writes(const host::ComponentType& type, const Asked& asked);

}  // namespace hearth::summary
