// Finds, identifies, loads and registers plugins. The only place of the host that knows about shared libraries.
//
//   host::Registry registry;
//   registry.scan(host::search_path({.from_command_line = {...}}));
//   auto blur = registry.find(Kind::augment, "blur", where).create_as<Augment>(options, symbols);
#pragma once

#include <filesystem>
#include <functional>
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

/// A library that is about to be loaded: none of its code has run.
struct Candidate {
    std::filesystem::path file;
    std::string origin, sha256;
};
/// Asked of each: false leaves it out, and an exception refuses it and ends the search.
using Approve = std::function<bool(const Candidate&)>;

struct SearchRequest {
    std::vector<std::filesystem::path> from_command_line;
    std::vector<std::filesystem::path> from_recipe;  ///< already absolute
    bool environment = true;  ///< HEARTH_PLUGIN_PATH, the user's and the installed folder
    Approve approve = {};     ///< none: all are
};
/// The search order: command line, recipe, HEARTH_PLUGIN_PATH, user data folder, installed folder (beside the
/// executable). Folders of a recipe that are gone are left out where the command line names others.
std::vector<SearchEntry> search_path(const SearchRequest& request);

/// Why others could put plugins into this folder, "" where they cannot: anybody may write to it, or it belongs
/// neither to this user, nor to root, nor to the owner of this program.
std::string unsafe_folder(const std::filesystem::path& folder);

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
    /// A component of this kind: null and another kind's class are a PluginError. Its destructor is guarded too.
    std::shared_ptr<Component> create(const Options& options, const Symbols& symbols) const;
    template <class T>
    std::shared_ptr<T> create_as(const Options& options, const Symbols& symbols) const {
        return std::static_pointer_cast<T>(create(options, symbols));  // create() has checked the kind
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
    void scan(const std::vector<SearchEntry>& folders, const Approve& approve = {});
    /// Loads one file, which nobody is asked about.
    void load(const std::filesystem::path& file, const std::string& origin);
    /// Throws RecipeError with the nearest name when there is none. `where` is put in front of the message
    /// ("file:line:column: ").
    const ComponentType& find(Kind kind, const std::string& id, const std::string& where = "") const;
    const ComponentType* try_find(Kind kind, const std::string& id) const;
    std::vector<const ComponentType*> components() const;
    const std::vector<std::shared_ptr<const Library>>& libraries() const { return libraries_; }
    const std::vector<SearchEntry>& searched() const { return searched_; }
    /// What approve() left out.
    const std::vector<Candidate>& left_out() const { return left_out_; }
    /// Of folders that others could put plugins into.
    const std::vector<std::string>& warnings() const { return warnings_; }

  private:
    void load(const std::filesystem::path& file, const std::string& origin, const Approve& approve);
    [[noreturn]] void refuse_unknown(Kind kind, const std::string& id, const std::string& where) const;
    std::vector<std::shared_ptr<const Library>> libraries_;
    std::map<std::string, std::shared_ptr<Library>> by_name_;  ///< file name -> the one that was loaded
    std::map<std::pair<Kind, std::string>, ComponentType> components_;
    std::vector<SearchEntry> searched_;
    std::vector<Candidate> left_out_;
    std::vector<std::string> warnings_;
};

}  // namespace hearth::host

#include "host/guard.hpp"
