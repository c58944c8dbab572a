#include "host/library.hpp"

#include <dlfcn.h>

#include <boost/dll/runtime_symbol_info.hpp>
#include <boost/dll/shared_library.hpp>

#include "base/sha256.hpp"
#include "host/descriptor.hpp"
#include "host/process_keeper.hpp"

namespace hearth::host {
namespace {

HearthPluginEntry open_entry(const std::filesystem::path& file) {
    boost::dll::shared_library library;
    boost::dll::fs::error_code failed;
    library.load(file, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local, failed);
    if (failed) {
        const char* said = dlerror();
        const std::string reason = said == nullptr ? "unknown" : said;
        const bool sanitized = reason.find("libtsan") != std::string::npos;
        throw PluginError(file.string() + ": cannot be loaded: " + reason +
                          (sanitized
                               ? "; it was built with ThreadSanitizer, which has to be in the process from its "
                                 "start: build the plugin without it, or use `hearth plugins test FILE --tsan`"
                               : "; expected every symbol and library it needs to be found: link what is "
                                 "missing into the plugin (hearth_add_plugin(... LINK ...))"));
    }
    // Kept on purpose until the process ends: tensors, autograd nodes and virtual tables of live objects point
    // into the library, and nobody can tell when the last of them is gone.
    static auto& loaded = *new std::vector<boost::dll::shared_library>;
    loaded.push_back(std::move(library));
    return &loaded.back().get<const HearthPlugin*()>("hearth_plugin");
}

}  // namespace

Candidate check_library(const std::filesystem::path& file, const std::string& origin) {
    if (const auto problem = check_file(file); !problem.empty()) throw PluginError(problem);
    return {.file = file, .origin = origin, .sha256 = base::sha256(file)};
}

std::shared_ptr<Library> load_library(const Candidate& checked) {
    auto library = std::make_shared<Library>();
    library->file = checked.file;
    library->origin = checked.origin;
    library->sha256 = checked.sha256;
    const auto name = checked.file.string();
    const ProcessKeeper keeper(name);
    const auto loading = name + ": loading";
    const Inside inside(loading.c_str());  // its static objects are made
    library->plugin = guarded(name + ": hearth_plugin()", open_entry(checked.file));
    if (const auto problem = check_descriptor(library->plugin); !problem.empty())
        throw PluginError(name + ": " + problem);
    return library;
}

std::filesystem::path own_library(const char* library) {
    const auto sdk = boost::dll::symbol_location_ptr(
        reinterpret_cast<const void*>(static_cast<std::string (*)(Kind)>(&to_string)));
    return std::filesystem::path(sdk.string()).parent_path() / library;
}

void* symbol_of_own_library(const char* library, const char* symbol) {
    void* loaded = ::dlopen(own_library(library).c_str(), RTLD_NOW | RTLD_LOCAL);
    void* found = loaded != nullptr ? ::dlsym(loaded, symbol) : nullptr;
    if (found == nullptr)
        throw Error(ExitCode::internal, std::string("found no usable ") + library +
                                            " beside libhearth_sdk.so: " + ::dlerror() +
                                            "; install Hearth again");
    return found;
}

}  // namespace hearth::host
