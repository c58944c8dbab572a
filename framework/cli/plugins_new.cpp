// hearth plugins new writes the project that a plugin starts from.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "authoring/new_plugin.hpp"
#include "base/json_text.hpp"
#include "cli/plugins.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

/// An id that a plugin at hand has already would be refused once both are found.
void check_is_free(const host::Registry& registry, Kind kind, const std::string& id) {
    const auto refuse = [&](const host::Library& library, const std::string& what) {
        throw RecipeError(
            fmt::format("found the {} '{}' in {}, expected a name that no plugin has; choose another", what, id,
                        library.file.string()));
    };
    if (const auto* type = registry.try_find(kind, id)) refuse(type->library(), to_string(kind));
    for (const auto& library : registry.libraries())
        if (library->plugin->id == id) refuse(*library, "plugin");
}

/// What CMake is told so that it finds this Hearth: the prefix that it is installed in, or the folder it was built
/// in.
std::string where_hearth_is() {
    const auto prefix = fs::path(own_program()).parent_path().parent_path();
    const bool built = fs::exists(prefix / "HearthConfig.cmake");
    return fmt::format("-D{}={}", built ? "Hearth_DIR" : "CMAKE_PREFIX_PATH", prefix.string());
}

/// What to type next, in the order of the lines.
std::vector<std::string> next_steps(const authoring::NewPlugin& plugin) {
    return {fmt::format("cd {}", plugin.folder.string()),
            fmt::format("cmake -S . -B build {}", where_hearth_is()), "cmake --build build",
            "ctest --test-dir build --output-on-failure",
            fmt::format("hearth --plugin-path build/lib/hearth/plugins train recipes/{}.toml", plugin.id)};
}

void print(const authoring::NewPlugin& plugin, const std::vector<std::string>& files, const Globals& globals) {
    const auto steps = next_steps(plugin);
    if (globals.json) {
        const nlohmann::ordered_json told = {{"kind", to_string(plugin.kind)},
                                             {"id", plugin.id},
                                             {"folder", plugin.folder.string()},
                                             {"files", files},
                                             {"next", steps}};
        base::print_json(told, 2);
        return;
    }
    fmt::print("{} '{}' in {}\n", to_string(plugin.kind), plugin.id, plugin.folder.string());
    for (const auto& file : files) fmt::print("  {}\n", file);
    if (globals.quiet) return;
    fmt::print("\nIt is a worked example under your name: build it, then change it.\n");
    for (const auto& step : steps) fmt::print("  {}\n", step);
}

}  // namespace

void add_plugins_new(CLI::App& plugins, Globals& globals) {
    struct Words {
        std::string kind, name;
    };
    auto words = std::make_shared<Words>();
    auto* verb = plugins.add_subcommand(
        "new", "Write a project of your own: one component, its test, recipes, what builds and checks it");
    verb->add_option("kind", words->kind, "augment, backbone, head or loss")->required();
    verb->add_option("name", words->name, "Id of the component, such as my-loss")->required();
    verb->footer(
        "The project goes to a folder of that name, or to --out, which must not be there yet.\n"
        "Examples:\n  hearth plugins new loss my-loss\n  hearth plugins new backbone tiny-net --out "
        "~/src/tiny-net");
    verb->callback([words, &globals] {
        authoring::NewPlugin plugin{
            .kind = authoring::kind_of(words->kind), .id = words->name, .folder = globals.out};
        authoring::check_id(plugin.id);
        if (plugin.folder.empty()) plugin.folder = plugin.id;
        check_is_free(make_registry(globals), plugin.kind, plugin.id);
        print(plugin, authoring::write_project(plugin), globals);
    });
}

}  // namespace hearth::cli
