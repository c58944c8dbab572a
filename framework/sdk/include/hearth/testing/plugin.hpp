// Opens a built plugin as the host does, so that what is tested is what will run.
#pragma once

#include <dlfcn.h>

#include <filesystem>
#include <hearth/plugin.hpp>
#include <hearth/testing/made.hpp>
#include <hearth/testing/options.hpp>
#include <map>
#include <string>
#include <vector>

namespace hearth::testing {

/// A library with HEARTH_PLUGIN in it. It stays loaded until the process ends, as in the host. Whether the host
/// would accept the file is what `hearth plugins check FILE` says; here only the descriptor's size is compared.
class Plugin {
  public:
    /// Throws PluginError where the file cannot be loaded or was built with other headers.
    explicit Plugin(const std::filesystem::path& file) : file_(file.string()) {
        void* library = dlopen(file_.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) throw PluginError(file_ + ": cannot be loaded: " + dlerror());
        const auto entry = reinterpret_cast<HearthPluginEntry>(dlsym(library, "hearth_plugin"));
        if (entry == nullptr)
            throw PluginError(file_ + ": found no symbol hearth_plugin, expected HEARTH_PLUGIN");
        descriptor_ = entry();
        if (descriptor_->struct_size != sizeof(HearthPlugin) || descriptor_->api_major != HEARTH_API_MAJOR)
            throw PluginError(file_ +
                              ": found a plugin of other headers of Hearth, expected those of this test");
    }

    const HearthPlugin& descriptor() const { return *descriptor_; }

    /// Throws PluginError with the ids that there are.
    const HearthComponent& component(Kind kind, const std::string& id) const {
        std::vector<std::string> ids;
        for (std::uint32_t i = 0; i < descriptor_->component_count; ++i) {
            const auto& entry = descriptor_->components[i];
            if (entry.kind == kind && entry.id == id) return entry;
            ids.push_back(to_string(entry.kind) + " '" + entry.id + "'");
        }
        throw PluginError(file_ + ": found " + join(ids) + ", expected " + to_string(kind) + " '" + id + "'");
    }

    /// make<Loss>("variance-floor", {"gamma=0.5"}, {{"B", 4}, {"D", 3}}): the component with its options at
    /// their defaults but for `words` (options_of), its symbols bound to `sizes`. The batch size B is for inputs
    /// alone: like the host, it is kept from the component.
    template <class T>
    Made<T> make(const std::string& id, const std::vector<std::string>& words = {},
                 const Sizes& sizes = {}) const {
        const auto& entry = component(T::kind, id);
        Schema schema;
        entry.schema(schema);
        return Made<T>(entry, options_of(schema, words), sizes);
    }

  private:
    std::string file_;
    const HearthPlugin* descriptor_ = nullptr;
};

}  // namespace hearth::testing
