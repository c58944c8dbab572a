// Loads one plugin library.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "host/registry.hpp"

namespace hearth::host {

/// Whether a file of this name, without its folder, is looked at where plugins are searched: libhearth_*.so.
bool is_plugin_name(const std::string& file);

/// Checks a file without running any of its code. Throws PluginError.
Candidate check_library(const std::filesystem::path& file, const std::string& origin);

/// Loads what was checked, and checks its descriptor. Throws PluginError.
std::shared_ptr<Library> load_library(const Candidate& checked);

/// Where a library of Hearth's own belongs: beside libhearth_sdk.so.
std::filesystem::path own_library(const char* library);

/// A function of `library`, which stands beside libhearth_sdk.so and stays loaded. Throws Error(internal).
void* symbol_of_own_library(const char* library, const char* symbol);

}  // namespace hearth::host
