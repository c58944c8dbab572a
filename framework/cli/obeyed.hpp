// Says which of the flags before or after a verb it obeys. Any other is an error: a flag that does nothing
// misleads.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/cli.hpp"

namespace hearth::cli {

/// Adds --json, --quiet, --out, --seed, --device, --plugin-path, --locked, --strict and --trust.
void add_common_flags(CLI::App& app, Globals& globals);

/// Names them in the help of each verb that obeys them.
void mention_common_flags(CLI::App& app);

/// Throws RecipeError for one that was given to a verb which does not obey it, for a device that cannot be, and for an
/// --out that something else stands in the way of.
void check_common_flags(const CLI::App& app, const Globals& globals);

/// The verb that the words so far select.
const CLI::App* chosen_verb(const CLI::App& app);

/// "data phantom " for that verb, "" for the program itself.
std::string path_of(const CLI::App& verb);

}  // namespace hearth::cli
