// Finds, identifies, loads and registers plugins. The only place of the host that knows about shared libraries.
//
//   host::Registry registry;
//   registry.scan(host::search_path({.from_command_line = {...}}));
//   auto blur = registry.find(Kind::augment, "blur", where).create_as<Augment>(options, symbols);
#pragma once

#include <filesystem>
#include <hearth/hearth.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace hearth::host {

/// A folder in which plugins are looked for, and why.
struct SearchEntry {
    std::filesystem::path folder;
    std::string origin;  ///< "--plugin-path", "recipe", "HEARTH_PLUGIN_PATH", "user", "installed"
};

struct SearchRequest {
    std::vector<std::filesystem::path> from_command_line;
    std::vector<std::filesystem::path> from_recipe;  ///< already absolute
    bool environment = true;  ///< HEARTH_PLUGIN_PATH, the user's and the installed folder
};
/// The search order: command line, recipe, HEARTH_PLUGIN_PATH, user data folder, installed folder (beside the
/// executable).
std::vector<SearchEntry> search_path(const SearchRequest& request);

/// One library that was loaded.
struct Library {
    std::filesystem::path file;
    std::string origin;
    const HearthPlugin* plugin = nullptr;
    std::string sha256;
    std::vector<std::filesystem::path> shadows;  ///< later files of the search order with the same file name
};

/// A component that a loaded library offers. Calls into the plugin are guarded: what it throws comes back as a
/// PluginError that names plugin, component and file.
class ComponentType {
  public:
    ComponentType(const HearthComponent* entry, std::shared_ptr<const Library> library);
    Kind kind() const { return entry_->kind; }
    std::string id() const { return entry_->id; }
    std::string summary() const { return entry_->summary; }
    const Library& library() const { return *library_; }
    const Schema& schema() const { return schema_; }
    /// "head 'gain' of plugin gain 0.1.0 (FILE)", for messages.
    std::string place() const;
    Ports reads(const Options& options) const;
    /// With bound symbols replaced in the shapes.
    Ports writes(const Options& options, const Symbols& symbols) const;
    std::shared_ptr<Component> create(const Options& options, const Symbols& symbols) const;
    template <class T>
    std::shared_ptr<T> create_as(const Options& options, const Symbols& symbols) const {
        return std::static_pointer_cast<T>(create(options, symbols));  // kind() was checked by find()
    }

  private:
    const HearthComponent* entry_;
    std::shared_ptr<const Library> library_;
    Schema schema_;
};

/// Why a file would be refused, without running any of its code; "" when it would be accepted. Checks:
/// readable, an ELF library, the build identity section is there and equals ours, the symbol hearth_plugin is
/// exported.
std::string check_file(const std::filesystem::path& file);

class Registry {
  public:
    /// What the search order has.
    static Registry found(const SearchRequest& request);
    /// Loads every libhearth_*.so of the folders, in order. A file name seen before is shadowed, not loaded. A
    /// broken library or two libraries with the same plugin id (or component kind and id) are a PluginError.
    void scan(const std::vector<SearchEntry>& folders);
    /// Loads one file.
    void load(const std::filesystem::path& file, const std::string& origin);
    /// Throws RecipeError with the nearest name when there is none. `where` is put in front of the message
    /// ("file:line:column: ").
    const ComponentType& find(Kind kind, const std::string& id, const std::string& where = "") const;
    const ComponentType* try_find(Kind kind, const std::string& id) const;
    std::vector<const ComponentType*> components() const;
    const std::vector<std::shared_ptr<const Library>>& libraries() const { return libraries_; }
    const std::vector<SearchEntry>& searched() const { return searched_; }

  private:
    std::vector<std::shared_ptr<const Library>> libraries_;
    std::map<std::string, std::shared_ptr<Library>> by_name_;  ///< file name -> the one that was loaded
    std::map<std::pair<Kind, std::string>, ComponentType> components_;
    std::vector<SearchEntry> searched_;
};

/// Calls `body`; an exception that a plugin throws is rethrown as PluginError with `where` in front (component,
/// port, recipe location). Errors of Hearth's own hierarchy keep their exit code; out-of-memory becomes
/// OutOfMemory.
template <class F>
auto guarded(const std::string& where, F&& body) -> decltype(body());

}  // namespace hearth::host

#include "host/guard.hpp"
