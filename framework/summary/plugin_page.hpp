// Writes the reference pages of plugins as Markdown, from what the plugins themselves say: docs/plugins/ is made so.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "host/registry.hpp"

namespace hearth::summary {

/// The page of one component: options with type, default and limits, ports with shape and type, paper, source.
/// `notes` is the address of a page with more about it, "" for none. It names no file of this machine.
std::string plugin_page(const host::ComponentType& type, const std::string& notes);

/// A page of the folder of pages: "loss/dice.md".
struct PluginPage {
    std::string path;
    std::string text;
};

/// All components' pages and an index of them, README.md. Where `sources` (may be "") has a folder called like a
/// plugin with a README.md in it, the page in `folder` links to that.
std::vector<PluginPage> plugin_pages(const host::Registry& registry, const std::filesystem::path& folder,
                                     const std::filesystem::path& sources);

/// Writes them below `folder`. Throws DataError where it cannot.
void write_pages(const std::vector<PluginPage>& pages, const std::filesystem::path& folder);

}  // namespace hearth::summary
