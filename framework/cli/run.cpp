#include "cli/run.hpp"

#include <algorithm>
#include <iterator>

namespace hearth::cli {
namespace {

/// What these overrides, with the fragments beside them, may change.
std::vector<std::string> may_change(const RunReading& reading, const std::vector<std::string>& overrides) {
    auto out = reading.only;
    std::ranges::copy_if(reading.by_override, std::back_inserter(out), [&](const std::string& key) {
        return std::ranges::any_of(overrides, [&](const auto& word) { return word.starts_with(key + "="); });
    });
    return out;
}

}  // namespace

void RunArguments::add_to(CLI::App& verb) {
    verb.add_option("run", run, "Run folder")->required();
    verb.add_option("overrides", overrides,
                    "key=value of what is read again, for example eval.source=other.csv");
    add_with(verb, with, "Recipe whose sections count on top of the run's; may be given several times");
    verb.add_option("--checkpoint", checkpoint, "last, best, or step_N")->capture_default_str();
}

std::unique_ptr<runs::LoadedRun> load_run(const RunArguments& arguments, const Globals& globals,
                                          const RunReading& reading) {
    check_overrides(arguments.overrides, "run");
    return runs::load_run({.run = arguments.run,
                           .checkpoint = arguments.checkpoint,
                           .overrides = arguments.overrides,
                           .with = find_fragments(arguments.with),
                           .opens = reading.opens,
                           .only = may_change(reading, arguments.overrides),
                           .device = globals.device,
                           .out = globals.out,
                           .plugin_paths = {globals.plugin_paths.begin(), globals.plugin_paths.end()}});
}

std::unique_ptr<runs::LoadedRun> load_run(const std::filesystem::path& folder, const std::string& checkpoint,
                                          const Globals& globals) {
    return runs::load_run({.run = folder,
                           .checkpoint = checkpoint,
                           .overrides = {},
                           .with = {},
                           .opens = {},
                           .only = {},
                           .device = globals.device,
                           .out = {},
                           .plugin_paths = {globals.plugin_paths.begin(), globals.plugin_paths.end()}});
}

}  // namespace hearth::cli
