#include "cli/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/terminal_text.hpp"
#include "runs/run_record.hpp"
#include "train/dry_run.hpp"

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
    verb.add_option("--checkpoint", checkpoint, "last, best, or step_N; another than last is another question")
        ->capture_default_str();
}

namespace {

std::unique_ptr<runs::LoadedRun> load(runs::RunQuestion question, const Globals& globals) {
    if (globals.locked)
        throw RecipeError(fmt::format(
            "found --locked and the run {}, which has no plugins.lock; --strict refuses plugins that "
            "it did not use",
            question.run.string()));
    question.device = globals.device;
    question.plugin_paths = {globals.plugin_paths.begin(), globals.plugin_paths.end()};
    question.strict = globals.strict;
    question.trust = globals.trust;
    auto run = runs::load_run(question);
    say_about(run->registry, run->folder.string(), globals);
    if (!run->other_plugins.empty() && !globals.quiet) base::print_text("warning: " + run->other_plugins);
    return run;
}

}  // namespace

void expect_no_file_of_a_run(const std::filesystem::path& file) {
    if (file.extension() == ".toml") return;
    if (const auto run = runs::run_that_holds(file); !run.empty())
        throw RecipeError(fmt::format("{}: found a file of a run, expected a recipe or the run's folder: {}",
                                      file.string(), run.string()));
}

void refuse_flags_of_runs(const Globals& globals, bool strict) {
    if (globals.trust || (strict && globals.strict))
        throw RecipeError(fmt::format("found {} and a recipe, expected it with a run folder alone",
                                      globals.trust ? "--trust" : "--strict"));
}

std::unique_ptr<runs::LoadedRun> load_run(const RunArguments& arguments, const Globals& globals,
                                          const RunReading& reading) {
    check_overrides(arguments.overrides, "run");
    auto run = load({.run = arguments.run,
                     .checkpoint = arguments.checkpoint,
                     .overrides = arguments.overrides,
                     .with = find_fragments(arguments.with),
                     .opens = reading.opens,
                     .only = may_change(reading, arguments.overrides),
                     .out = globals.out},
                    globals);
    train::use_threads(run->recipe);
    return run;
}

std::unique_ptr<runs::LoadedRun> load_run(const std::filesystem::path& folder, const std::string& checkpoint,
                                          const Globals& globals) {
    return load({.run = folder, .checkpoint = checkpoint}, globals);
}

std::unique_ptr<runs::LoadedRun> load_own_run(const std::filesystem::path& folder,
                                              const std::string& checkpoint, const Globals& globals) {
    auto own = globals;
    own.locked = false;
    own.trust = own.quiet = true;  // its plugins have just run here, and what there is to say was said
    return load({.run = folder, .checkpoint = checkpoint, .out = folder}, own);
}

}  // namespace hearth::cli
