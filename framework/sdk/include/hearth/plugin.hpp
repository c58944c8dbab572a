// A plugin exports one C symbol, `hearth_plugin`, which returns a plain-old-data descriptor.
//
//   HEARTH_PLUGIN((hearth::PluginInfo{.id = "blur", .version = "0.1.0", .summary = "...", .paper = "..."}),
//                 hearth::component<Blur>())
//
// A component has the plugin's id and summary unless it is given its own: component<Blur>("one line about it"),
// component<Blur>("blur", "one line about it"). Of several components of one kind each needs an id.
//
// C++ objects cross this boundary, so plugin and host must be built alike. The macro also emits a section whose
// *name* says how the plugin was built; the host reads it before it loads the library (docs/plugins.md).
#pragma once

#include <torch/headeronly/version.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <hearth/component.hpp>
#include <memory>

#define HEARTH_API_MAJOR 2
#define HEARTH_API_MINOR 0

#define HEARTH_STR_(x) #x
#define HEARTH_STR(x) HEARTH_STR_(x)
#if defined(__clang__)
#define HEARTH_COMPILER "clang" HEARTH_STR(__clang_major__)
#else
#define HEARTH_COMPILER "gcc" HEARTH_STR(__GNUC__)
#endif
/// How this translation unit is built: API major, LibTorch, compiler, C++ ABI. What has the same text may be
/// loaded together.
#define HEARTH_BUILD_IDENTITY                                                                           \
    ".hearth.api" HEARTH_STR(HEARTH_API_MAJOR) ".torch" HEARTH_STR(TORCH_VERSION_MAJOR) "_" HEARTH_STR( \
        TORCH_VERSION_MINOR) "_" HEARTH_STR(TORCH_VERSION_PATCH) "." HEARTH_COMPILER                    \
                                                                 ".cxx11abi" HEARTH_STR(                \
                                                                     _GLIBCXX_USE_CXX11_ABI)

extern "C" {

/// One component of a plugin.
struct HearthComponent {
    hearth::Kind kind;
    const char* id;
    const char* summary;
    void (*schema)(hearth::Schema&);
    hearth::Ports (*reads)(const hearth::Options&);
    hearth::Ports (*writes)(const hearth::Options&, const hearth::Symbols&);
    std::shared_ptr<hearth::Component> (*create)(const hearth::Options&, const hearth::Symbols&);
};

/// What a library says about itself. The first three members never move.
struct HearthPlugin {
    std::uint32_t struct_size;
    std::uint16_t api_major, api_minor;
    std::uint32_t component_size, component_align;  ///< of hearth::Component
    std::uint32_t options_size, option_size, schema_size, port_size;
    std::uint32_t context_size, tensors_size, loss_output_size, schedule_size, random_size;
    const char *id, *version, *summary, *license, *url, *paper;
    const HearthComponent* components;
    std::uint32_t component_count;
};

using HearthPluginEntry = const HearthPlugin* (*)();
}

namespace hearth {

/// What an author writes about a plugin.
struct PluginInfo {
    const char *id, *version, *summary, *license = "Apache-2.0", *url = "", *paper = "";
};

/// What T writes, by either form of T::writes.
template <class T>
Ports writes_of(const Options& options, const Symbols& symbols) {
    if constexpr (requires { T::writes(options, symbols); })
        return T::writes(options, symbols);
    else
        return T::writes(options);
}

/// The table entry of a component class; see component.hpp for what T must have. A null pointer stands for the
/// plugin's id, or for its summary.
template <class T>
constexpr HearthComponent component(const char* id, const char* summary) {
    return {T::kind,
            id,
            summary,
            &T::schema,
            &T::reads,
            &writes_of<T>,
            [](const Options& options, const Symbols& symbols) -> std::shared_ptr<Component> {
                return std::make_shared<T>(options, symbols);
            }};
}
template <class T>
constexpr HearthComponent component(const char* summary = nullptr) {
    return component<T>(nullptr, summary);
}

/// The entries with the plugin's id and summary where they have none of their own.
template <std::size_t N>
constexpr std::array<HearthComponent, N> entries_of(const PluginInfo& info, const HearthComponent (&given)[N]) {
    auto entries = std::to_array(given);
    for (auto& entry : entries) {
        if (entry.id == nullptr) entry.id = info.id;
        if (entry.summary == nullptr) entry.summary = info.summary;
    }
    return entries;
}

constexpr HearthPlugin describe(const PluginInfo& info, const HearthComponent* components,
                                std::uint32_t count) {
    return {.struct_size = sizeof(HearthPlugin),
            .api_major = HEARTH_API_MAJOR,
            .api_minor = HEARTH_API_MINOR,
            .component_size = sizeof(Component),
            .component_align = alignof(Component),
            .options_size = sizeof(Options),
            .option_size = sizeof(OptionSpec),
            .schema_size = sizeof(Schema),
            .port_size = sizeof(Port),
            .context_size = sizeof(Context),
            .tensors_size = sizeof(Tensors),
            .loss_output_size = sizeof(LossOutput),
            .schedule_size = sizeof(Schedule),
            .random_size = sizeof(Random),
            .id = info.id,
            .version = info.version,
            .summary = info.summary,
            .license = info.license,
            .url = info.url,
            .paper = info.paper,
            .components = components,
            .component_count = count};
}

}  // namespace hearth

#define HEARTH_PLUGIN(info, ...)                                                                      \
    __attribute__((section(HEARTH_BUILD_IDENTITY), used)) static const char hearth_build_identity[] = \
        HEARTH_BUILD_IDENTITY;                                                                        \
    static const auto hearth_components = hearth::entries_of(info, {__VA_ARGS__});                    \
    extern "C" __attribute__((visibility("default"))) const HearthPlugin* hearth_plugin() {           \
        static const HearthPlugin plugin = hearth::describe(                                          \
            info, hearth_components.data(), static_cast<std::uint32_t>(hearth_components.size()));    \
        return &plugin;                                                                               \
    }
