// Lists what a sweep runs, and what was published of its rows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace hearth::runs {

/// One run of a sweep.
struct Job {
    std::string recipe;  ///< its name, and the values it was given of options that are swept: "full k=64"
    /// The recipe that goes on with labels from what `recipe` has learned; "": this is the training of `recipe`.
    std::string finetune = {};
    /// The checkpoint of whose network `from` the network `into` of `finetune` starts, by way of the file `start`; "": as
    /// drawn.
    std::filesystem::path weights = {}, start = {};
    std::string from = {}, into = {};
    std::filesystem::path file, folder;
    std::vector<std::string> overrides;
    std::int64_t seed = 0;
    std::string hash = {};
    std::string state =
        {};  ///< "finished", "new", "unfinished", "failed (exit code 3)", "died (signal 11, ..)"
};

/// Figures that somebody published for rows of a sweep: published.csv in a folder of recipes, with a column
/// `recipe` and others of any names. Empty where there is no such file.
struct Published {
    std::vector<std::string> columns;
    std::map<std::string, std::vector<std::string>> rows;  ///< by recipe name
};
/// Throws DataError on a file without the column `recipe`, or that names a recipe twice.
Published read_published(const std::filesystem::path& file);

/// "train.batch=8,16" -> {"train.batch=8", "train.batch=16"}. A comma within quotes, brackets or braces divides
/// nothing. Throws RecipeError on an empty value.
std::vector<std::string> split_values(const std::string& assignment);

}  // namespace hearth::runs
