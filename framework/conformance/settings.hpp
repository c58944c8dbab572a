// Says what the schema and the ports of a component leave open: options and sizes to test it with, what its
// inputs hold, and which cases cannot hold for it. All of it may be left to the defaults.
//
// A file of that, LIBRARY.test.toml beside LIBRARY.so, has a table for each component:
//   [gain]                                # or ["head/gain"], where several kinds share the name
//   options = { width = 16 }              # small ones, so that the cases are fast
//   symbols = { L = 16, D = 8 }           # sizes of the symbols of its reads
//   inputs = { weights = "distribution" } # see Values
//   skip = { split = "a mean over the batch" }
#pragma once

#include <cstdint>
#include <filesystem>
#include <hearth/component.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "recipe/value.hpp"

namespace hearth::conformance {

/// What a made tensor holds; where nobody says, name and documentation of the port decide (values_of()).
enum class Values {
    normal,        ///< mean 0, deviation 1
    pixels,        ///< an image, between 0 and 1
    unit,          ///< normal, divided by the length along the last axis
    distribution,  ///< positive, with the sum 1 along the last axis
    positive,      ///< between 0.5 and 1.5
    spots,         ///< 0, but for a rectangle of numbers between 0 and 1 in most samples
    binary,        ///< 0 and 1
    labels,        ///< 0, 1 and at times -1, which is unknown
    order,         ///< int64: the numbers from 0 along the last axis, in random order
    index          ///< int64: the numbers from 0 along the first axis
};
/// Throws RecipeError in the name of `where` for a word that is none.
Values to_values(const std::string& word, const std::string& where);

/// What is said about one component.
struct Settings {
    recipe::Table options;  ///< for bind_options()
    std::map<std::string, std::int64_t> symbols;
    std::map<std::string, Values> inputs;     ///< by port
    std::map<std::string, std::string> skip;  ///< case -> why it cannot hold
};

/// Settings of all components of a library, by the name that its file calls them.
using SettingsOfAll = std::map<std::string, Settings>;

/// LIBRARY.test.toml of LIBRARY.so.
std::filesystem::path settings_file(const std::filesystem::path& library);
/// Throws RecipeError for what cannot be read, a key or a word that is unknown, and a skip without a reason or
/// of no case (`cases`).
SettingsOfAll read_settings(const std::filesystem::path& file, const std::vector<std::string>& cases);
/// Those of "gain" or "head/gain"; empty ones where the file has none.
Settings settings_of(const SettingsOfAll& all, Kind kind, const std::string& id);

/// Sets one option from "key=value" or one symbol from "D=64", as they stand on a command line. Throws
/// RecipeError for words that are not like that.
void set_option(Settings& settings, const std::string& word);
void set_symbol(Settings& settings, const std::string& word);

}  // namespace hearth::conformance
