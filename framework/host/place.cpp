#include "host/place.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>

#include "host/registry.hpp"

namespace hearth::host {
namespace {

// A list that only grows, at its head: it may be read by a signal's handler at any time.
struct KnownPlace {
    Place place;
    const KnownPlace* next;
};
std::atomic<const KnownPlace*> known_places = nullptr;

std::mutex places_mutex;
std::map<const Component*, const Place*>& places_of_components() {
    static auto& map = *new std::map<const Component*, const Place*>;  // components may outlive statics
    return map;
}

/// With places_mutex held.
const Place& add_place(Place place) {
    if (const auto* same = find_place(place.text.c_str());
        same != nullptr && same->text == place.text && same->file == place.file && same->plugin == place.plugin)
        return *same;
    const auto* added = new KnownPlace{std::move(place), known_places.load()};
    known_places.store(added);
    return added->place;
}

}  // namespace

void remember_place(const std::string& where, const std::string& id, const Component* component,
                    const Library& library) {
    const std::lock_guard lock(places_mutex);
    const auto& place = add_place({.text = where + ": " + id,
                                   .component = id,
                                   .plugin = fmt::format("{} {}", library.plugin->id, library.plugin->version),
                                   .file = library.file.string()});
    places_of_components().try_emplace(component, &place);
}

void forget_place(const Component* component) {
    const std::lock_guard lock(places_mutex);
    places_of_components().erase(component);
}

std::string place_of(const Component& component, const std::string& otherwise) {
    const std::lock_guard lock(places_mutex);
    const auto found = places_of_components().find(&component);
    return found == places_of_components().end() ? otherwise : found->second->text;
}

const Place* find_place(const char* where) noexcept {
    for (const auto* known = known_places.load(); known != nullptr; known = known->next) {
        const auto size = known->place.text.size();
        if (std::strncmp(where, known->place.text.c_str(), size) == 0 &&
            (where[size] == '\0' || where[size] == ':'))
            return &known->place;
    }
    return nullptr;
}

std::string with_plugin(const std::string& where) {
    const auto* place = find_place(where.c_str());
    if (place == nullptr) return where;
    return fmt::format("{} (plugin {}, {}){}", place->text, place->plugin, place->file,
                       where.substr(place->text.size()));
}

}  // namespace hearth::host
