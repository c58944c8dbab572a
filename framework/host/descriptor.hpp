// The descriptor that a loaded plugin returns is checked before anything else of the plugin is used.
#pragma once

#include <hearth/plugin.hpp>
#include <string>

namespace hearth::host {

/// "" when the descriptor fits this host, else what was found, what was expected and what to do.
std::string check_descriptor(const HearthPlugin* plugin);

}  // namespace hearth::host
