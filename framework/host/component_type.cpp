// Guards the calls into one component of a plugin.
#include <fmt/format.h>

#include "host/registry.hpp"

namespace hearth::host {
namespace {

std::string place(const HearthComponent& entry, const Library& library) {
    return fmt::format("{} '{}' of plugin {} {} ({})", to_string(entry.kind), entry.id, library.plugin->id,
                       library.plugin->version, library.file.string());
}

}  // namespace

ComponentType::ComponentType(const HearthComponent* entry, std::shared_ptr<const Library> library)
    : entry_(entry), library_(std::move(library)) {
    guarded(place(*entry_, *library_) + ": schema", [&] { entry_->schema(schema_); });
}

Ports ComponentType::reads(const Options& options) const {
    return guarded(place(*entry_, *library_) + ": reads", [&] { return entry_->reads(options); });
}

Ports ComponentType::writes(const Options& options, const Symbols& symbols) const {
    auto ports =
        guarded(place(*entry_, *library_) + ": writes", [&] { return entry_->writes(options, symbols); });
    for (auto& port : ports) port.shape = symbols.resolve(port.shape);
    return ports;
}

std::shared_ptr<Component> ComponentType::create(const Options& options, const Symbols& symbols) const {
    const auto where = place(*entry_, *library_) + ": create";
    auto made = guarded(where, [&] { return entry_->create(options, symbols); });
    if (made == nullptr) throw PluginError(where + ": returned a null pointer, expected a component");
    return made;
}

}  // namespace hearth::host
