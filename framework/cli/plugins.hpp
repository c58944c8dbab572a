// The verbs of `hearth plugins` that have a file of their own.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/cli.hpp"

namespace hearth::cli {

/// hearth plugins check FILE
void add_plugins_check(CLI::App& plugins, Globals& globals);
/// hearth plugins lock RECIPE
void add_plugins_lock(CLI::App& plugins, Globals& globals);
/// hearth plugins test FILE
void add_plugins_test(CLI::App& plugins, Globals& globals);
/// hearth plugins new KIND NAME
void add_plugins_new(CLI::App& plugins, Globals& globals);
/// hearth plugins pages DIR
void add_plugins_pages(CLI::App& plugins, Globals& globals);

}  // namespace hearth::cli
