// Guards the calls into one component of a plugin, and refuses what they must not return.
#include <fmt/format.h>

#include <array>
#include <boost/core/demangle.hpp>
#include <typeinfo>

#include "host/declarations.hpp"
#include "host/place.hpp"
#include "host/process_keeper.hpp"
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

bool is_of(Kind kind, const Component* component) {
    switch (kind) {
        case Kind::augment:
            return dynamic_cast<const Augment*>(component) != nullptr;
        case Kind::backbone:
            return dynamic_cast<const Backbone*>(component) != nullptr;
        case Kind::head:
            return dynamic_cast<const Head*>(component) != nullptr;
        case Kind::loss:
            return dynamic_cast<const Loss*>(component) != nullptr;
    }
    return false;
}

const char* base_class(Kind kind) {
    constexpr std::array names = {"hearth::Augment", "hearth::Backbone", "hearth::Head", "hearth::Loss"};
    return names[static_cast<std::size_t>(kind)];
}

/// The same object, whose destructor runs guarded: what it throws or dies of is said to be its plugin's.
std::shared_ptr<Component> guard_destructor(std::shared_ptr<Component> made, const std::string& where) {
    auto* component = made.get();
    return {component, [made = std::move(made), where](Component* gone) mutable {
                const auto place = place_of(*gone, where) + ": destructor";
                forget_place(gone);
                const Inside inside(place.c_str());
                made.reset();
            }};
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
    const auto where = place() + ": create";
    const ProcessKeeper keeper(place());
    auto made = guarded(where, [&] { return entry_->create(options, symbols); });
    if (made == nullptr) throw PluginError(where + ": returned a null pointer, expected a component");
    const Component* component = made.get();
    if (!is_of(kind(), component))
        throw PluginError(fmt::format(
            "{}: returned a {}, expected a class derived from {}; the component's entry is of another kind "
            "than its class",
            where, boost::core::demangle(typeid(*component).name()), base_class(kind())));
    return guard_destructor(std::move(made), place());
}

}  // namespace hearth::host
