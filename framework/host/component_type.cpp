// Guards the calls into one component of a plugin.
#include <fmt/format.h>

#include <array>
#include <boost/core/demangle.hpp>
#include <typeinfo>

#include "host/place.hpp"
#include "host/process_keeper.hpp"
#include "host/registry.hpp"

namespace hearth::host {
namespace {

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
    guarded(place() + ": schema", [&] { entry_->schema(schema_); });
}

std::string ComponentType::place() const {
    return fmt::format("{} '{}' of plugin {} {} ({})", to_string(entry_->kind), entry_->id,
                       library_->plugin->id, library_->plugin->version, library_->file.string());
}

Ports ComponentType::reads(const Options& options) const {
    return guarded(place() + ": reads", [&] { return entry_->reads(options); });
}

Ports ComponentType::writes(const Options& options, const Symbols& symbols) const {
    auto ports = guarded(place() + ": writes", [&] { return entry_->writes(options, symbols); });
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
