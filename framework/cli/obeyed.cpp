#include "cli/obeyed.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <limits>
#include <map>
#include <set>

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

using Flags = std::vector<std::string>;

const Flags prints = {"--json", "--quiet"};

Flags operator+(Flags flags, const Flags& more) {
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
}

/// By verb, as typed. --seed of a sweep is answered by the verb itself, which has --seeds.
const std::map<std::string, Flags>& obeyed() {
    const Flags computes = prints + Flags{"--device", "--plugin-path"};
    const Flags of_a_run = computes + Flags{"--strict", "--trust"};
    static const std::map<std::string, Flags> by_verb = {
        {"train", computes + Flags{"--out", "--seed", "--locked", "--strict"}},
        {"check", computes + Flags{"--seed", "--locked"}},
        {"bench", computes + Flags{"--seed", "--locked"}},
        {"plan", prints + Flags{"--plugin-path", "--locked"}},
        {"sweep", computes + Flags{"--out", "--seed", "--locked", "--strict"}},
        {"probe", of_a_run + Flags{"--out"}},
        {"detect", of_a_run + Flags{"--out", "--seed", "--locked"}},
        {"pictures", of_a_run + Flags{"--out"}},
        {"report", of_a_run + Flags{"--out"}},
        {"embed", of_a_run + Flags{"--out", "--seed", "--locked"}},
        {"export", of_a_run + Flags{"--out"}},
        {"import", prints + Flags{"--out", "--plugin-path"}},
        {"runs list", prints},
        {"runs show", prints},
        {"runs best", prints},
        {"compare", prints + Flags{"--out"}},
        {"data phantom", prints + Flags{"--out", "--seed"}},
        {"data import", prints + Flags{"--out", "--seed"}},
        {"data recipe", prints + Flags{"--out"}},
        {"data check", prints},
        {"data stats", prints},
        {"data preview", prints + Flags{"--out", "--seed", "--plugin-path", "--locked"}},
        {"recipes list", prints},
        {"recipes show", prints + Flags{"--seed", "--device"}},
        {"plugins list", prints + Flags{"--plugin-path"}},
        {"plugins show", prints + Flags{"--plugin-path"}},
        {"plugins check", prints + Flags{"--plugin-path"}},
        {"plugins lock", prints + Flags{"--plugin-path"}},
        {"plugins test", prints + Flags{"--seed"}},
        {"plugins pages", prints + Flags{"--plugin-path"}},
        {"plugins new", prints + Flags{"--out", "--plugin-path"}},
        {"doctor", prints + Flags{"--plugin-path"}}};
    return by_verb;
}

const std::map<std::string, std::string> flag_values = {
    {"--out", " PATH"}, {"--seed", " N"}, {"--device", " NAME"}, {"--plugin-path", " DIR"}};

/// "--json, --out PATH".
std::string listed(const Flags& flags) {
    Flags words;
    for (const auto& flag : flags) {
        const auto value = flag_values.find(flag);
        words.push_back(flag + (value == flag_values.end() ? "" : value->second));
    }
    return join(words);
}

/// Verbs whose --out is a folder; of the others it is a file, of import what its ending says.
const std::set<std::string> write_a_folder = {"train",  "sweep",  "probe",        "detect",     "pictures",
                                              "report", "export", "data phantom", "plugins new"};

/// Throws RecipeError where a file stands in the way of --out, or a folder of a file.
void check_out(const fs::path& out, const std::string& verb) {
    const bool folder =
        write_a_folder.contains(verb) || (verb == "import" && out.extension() != ".safetensors");
    std::error_code unknown;
    auto there = out;  // or what there is above it
    while (!there.empty() && !fs::exists(there, unknown) && there != there.parent_path())
        there = there.parent_path();
    if (there.empty() || !fs::exists(there, unknown)) return;
    const bool is_folder = fs::is_directory(there, unknown);
    if (there == out ? is_folder == folder || (is_folder && !out.has_extension()) : is_folder) return;
    throw RecipeError(fmt::format("--out {}: found the {} {}, expected {}; choose another --out, or remove it",
                                  out.string(), is_folder ? "folder" : "file", there.string(),
                                  is_folder ? "a file to write" : "a folder, or nothing there yet"));
}

std::string name_of(const CLI::App& verb) {
    auto name = path_of(verb);
    name.pop_back();
    return name;
}

}  // namespace

void add_common_flags(CLI::App& app, Globals& globals) {
    app.add_flag("--json", globals.json, "Print results as JSON");
    app.add_flag("--quiet", globals.quiet, "No progress, only results and errors");
    app.add_option("-o,--out", globals.out, "Folder or file to write to");
    app.add_option("--seed", globals.seed, "Same as train.seed=N")
        ->check(CLI::Range(0LL, std::numeric_limits<long long>::max(), "NONNEGATIVE"));
    app.add_option("--device", globals.device, "Same as train.device=NAME: auto, cpu, cuda, cuda:1");
    app.add_option("--plugin-path", globals.plugin_paths, "Folder with plugins, searched first")
        ->type_name("DIR")
        ->allow_extra_args(false);
    app.add_flag("--locked", globals.locked, "Refuse plugins that the recipe's plugins.lock does not name");
    app.add_flag("--strict", globals.strict, "Refuse a run whose plugins are not those it used");
    app.add_flag("--trust", globals.trust, "Run the plugins that a run brings with it");
}

void mention_common_flags(CLI::App& app) {
    for (auto* verb : app.get_subcommands(nullptr)) {
        mention_common_flags(*verb);
        if (verb->get_subcommands(nullptr).empty())
            verb->footer(verb->get_footer() + "\n\nAlso: " + listed(obeyed().at(name_of(*verb))));
    }
}

void check_common_flags(const CLI::App& app, const Globals& globals) {
    const auto* verb = chosen_verb(app);
    const auto known = obeyed().find(verb == &app ? "" : name_of(*verb));
    if (known == obeyed().end()) return;  // a verb of verbs alone: CLI11 asks for one
    for (const auto* flag : {"--json", "--quiet", "--out", "--seed", "--device", "--plugin-path", "--locked",
                             "--strict", "--trust"})
        if (app.get_option(flag)->count() > 0 && std::ranges::find(known->second, flag) == known->second.end())
            throw RecipeError(
                fmt::format("found {}, which `hearth {}` does not obey; it takes {}; see `hearth {} "
                            "--help`",
                            flag, known->first, listed(known->second), known->first));
    if (!globals.out.empty()) check_out(globals.out, known->first);
    if (!globals.device.empty() && !recipe::is_device(globals.device))
        throw RecipeError(
            fmt::format("--device: found \"{}\", expected auto, cpu, cuda or cuda:N", globals.device));
}

const CLI::App* chosen_verb(const CLI::App& app) {
    const auto parsed = app.get_subcommands();
    return parsed.empty() ? &app : chosen_verb(*parsed.front());
}

std::string path_of(const CLI::App& verb) {
    return verb.get_parent() == nullptr ? "" : path_of(*verb.get_parent()) + verb.get_name() + " ";
}

}  // namespace hearth::cli
