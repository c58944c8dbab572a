// Tests reach a component the way a run does: through the library that the build made.
#pragma once

#include <filesystem>
#include <hearth/hearth.hpp>

#include "host/registry.hpp"

namespace hearth::test {

/// The plugins of this build, loaded once.
inline const host::Registry& registry() {
    static const host::Registry loaded = [] {
        host::Registry made;
        made.scan({{std::filesystem::path(HEARTH_TEST_BINARY_DIR) / "lib/hearth/plugins", "test"}});
        return made;
    }();
    return loaded;
}

/// Options at their defaults with some changed: options(type, {{"out", std::int64_t{8}}}).
inline Options options(const host::ComponentType& type,
                       const std::vector<std::pair<std::string, OptionValue>>& changed = {}) {
    Options made(type.schema());
    for (const auto& [name, value] : changed) made.set(name, value);
    return made;
}

/// make<Loss>("restoration", {options}, symbols)
template <class T>
std::shared_ptr<T> make(const std::string& id,
                        const std::vector<std::pair<std::string, OptionValue>>& changed = {},
                        const Symbols& symbols = {}) {
    const host::ComponentType& type = registry().find(T::kind, id);
    return type.create_as<T>(options(type, changed), symbols);
}

/// Symbols of an image [B, channels, height, width].
inline Symbols image_symbols(std::int64_t channels, std::int64_t height, std::int64_t width) {
    Symbols symbols;
    symbols.bind("C", channels);
    symbols.bind("H", height);
    symbols.bind("W", width);
    return symbols;
}

}  // namespace hearth::test
