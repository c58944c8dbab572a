// Writes the project that a plugin starts from (`hearth plugins new`): a worked component of its kind under the
// name that was asked for, its test, two recipes, and what builds and checks them.
//
//   const auto files = write_project({.kind = Kind::loss, .id = "my-loss", .folder = "my-loss"});
#pragma once

#include <filesystem>
#include <hearth/component.hpp>
#include <string>
#include <vector>

namespace hearth::authoring {

/// The kind that a word names. Throws RecipeError with the nearest kind.
Kind kind_of(const std::string& word);

/// Throws RecipeError for what cannot be an id: a lower-case letter, then lower-case letters, digits and hyphens,
/// such as "my-loss".
void check_id(const std::string& id);

struct NewPlugin {
    Kind kind = Kind::loss;
    std::string id;                     ///< see check_id()
    std::filesystem::path folder = {};  ///< made here; must not be there yet
};

/// One file of the project.
struct ProjectFile {
    std::string path;  ///< below the project's folder
    std::string text;
};

/// What the project consists of, sorted by path.
std::vector<ProjectFile> project_files(const NewPlugin& plugin);

/// Writes them and returns their paths below the folder. Throws RecipeError where the folder is there already,
/// DataError where it cannot be written.
std::vector<std::string> write_project(const NewPlugin& plugin);

}  // namespace hearth::authoring
