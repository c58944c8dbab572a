// A place says where a component stands in a recipe and which plugin it is of. Guards name components by the
// text of their place; what goes wrong there is reported with plugin, version and file.
#pragma once

#include <hearth/component.hpp>
#include <string>
#include <utility>

#include "host/guard.hpp"

namespace hearth::host {

struct Library;

struct Place {
    std::string text;          ///< "r.toml:7:1: student.backbone"
    std::string component;     ///< "student.backbone"
    std::string plugin, file;  ///< "scale 1.2.3", and its library
};

/// Remembers that `component`, made by `library`, is the one called `id` at `where` of a recipe. One that several
/// passes run is called by the first of these names. Places are few and stay until the process ends.
void remember_place(const std::string& where, const std::string& id, const Component* component,
                    const Library& library);
/// To be called when a component is gone.
void forget_place(const Component* component);

/// The text of a component's place; `otherwise` where it has none.
std::string place_of(const Component& component, const std::string& otherwise);

/// guarded() of a function `call` of a component, which is called by its place; by `otherwise` where it has none.
template <class F>
auto guarded_call(const Component& component, const std::string& otherwise, const std::string& call, F&& body) {
    return guarded(place_of(component, otherwise) + ": " + call, std::forward<F>(body));
}

/// The place whose text, or the text and ": WORDS", is `where`; null where there is none. Async-signal-safe.
const Place* find_place(const char* where) noexcept;

/// "r.toml:7:1: student.backbone: after_step" as "r.toml:7:1: student.backbone (plugin scale 1.2.3, FILE):
/// after_step"; what begins with no place stays as it is.
std::string with_plugin(const std::string& where);

}  // namespace hearth::host
