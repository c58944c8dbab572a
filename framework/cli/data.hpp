// The verbs of `hearth data` have one file each.
#pragma once

#include "cli/cli.hpp"

namespace hearth::cli {

void add_data_import(CLI::App& data, Globals& globals);
void add_data_check(CLI::App& data, Globals& globals);
void add_data_recipe(CLI::App& data, Globals& globals);
void add_data_stats(CLI::App& data, Globals& globals);

/// MANIFEST [--where FILTER], which check and stats take.
struct SourceArguments {
    std::string source, where;
    void add_to(CLI::App& verb);
};

}  // namespace hearth::cli
