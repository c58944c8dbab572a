// Guards the calls into one component of a plugin, and refuses what they must not return.
#include <fmt/format.h>

#include "host/declarations.hpp"
#include "host/registry.hpp"

namespace hearth::host {
namespace {

/// An option that is declared twice is reported by the SDK, which cannot know whose it is.
Schema schema_of(const HearthComponent& entry) {
    Schema schema;
    try {
        entry.schema(schema);
    } catch (const Error& error) {
        if (error.code() != ExitCode::internal) throw;
        throw PluginError(error.what());
    }
    return schema;
}

void refuse(const std::string& call, const std::string& problem) {
    if (!problem.empty()) throw PluginError(call + ": " + problem);
}

}  // namespace

ComponentType::ComponentType(const HearthComponent* entry, std::shared_ptr<const Library> library)
    : entry_(entry), library_(std::move(library)) {
    const auto call = place() + ": schema";
    schema_ = guarded(call, [&] { return schema_of(*entry_); });
    refuse(call, check_schema(schema_, kind()));
}

std::string ComponentType::place() const {
    return fmt::format("{} '{}' of plugin {} {} ({})", to_string(entry_->kind), entry_->id,
                       library_->plugin->id, library_->plugin->version, library_->file.string());
}

Ports ComponentType::reads(const Options& options) const {
    const auto call = place() + ": reads";
    auto ports = guarded(call, [&] { return entry_->reads(options); });
    refuse(call, check_reads(ports));
    return ports;
}

Ports ComponentType::writes(const Options& options, const Symbols& symbols) const {
    const auto call = place() + ": writes";
    auto ports = guarded(call, [&] { return entry_->writes(options, symbols); });
    refuse(call, check_writes(ports, kind()));
    for (auto& port : ports) port.shape = symbols.resolve(port.shape);
    return ports;
}

std::shared_ptr<Component> ComponentType::create(const Options& options, const Symbols& symbols) const {
    const auto call = place() + ": create";
    auto made = guarded(call, [&] { return entry_->create(options, symbols); });
    if (made == nullptr) throw PluginError(call + ": returned a null pointer, expected a component");
    return made;
}

}  // namespace hearth::host
