// hearth plugins test puts the components of a library to the cases of framework/conformance.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <hearth/text.hpp>
#include <set>
#include <thread>

#include "base/counted.hpp"
#include "base/json_text.hpp"
#include "base/status_line.hpp"
#include "cli/plugins.hpp"
#include "cli/thread_sanitizer.hpp"
#include "conformance/cases.hpp"
#include "conformance/suite.hpp"
#include "host/library.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;
using conformance::Result;
using conformance::Settings;
using conformance::Tested;
using conformance::Verdict;

struct PluginsTestFlags {
    std::string file;
    std::vector<std::string> words;  ///< a component, options
    std::vector<std::string> cases, symbols;
    std::string settings;
    double timeout = 60;
    unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
    bool list = false, tsan = false;
};

const std::vector<std::string> threads_alone = {"threads"};

/// The libraries that FILE names: itself, or those of a folder.
std::vector<fs::path> libraries_of(const std::string& file) {
    if (file.empty())
        throw RecipeError("plugins test: found no file, expected a plugin's library or a folder of them");
    if (!fs::is_directory(file)) return {file};
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(file))
        if (host::is_plugin_name(entry.path().filename().string())) found.push_back(entry.path());
    std::ranges::sort(found);
    if (found.empty())
        throw PluginError(fmt::format("{}: found no libhearth_*.so in this folder, expected plugins", file));
    return found;
}

/// The settings beside the library, or those that --settings names.
conformance::SettingsOfAll settings_for(const fs::path& library, const PluginsTestFlags& flags,
                                        const std::vector<Tested>& components) {
    const auto file = flags.settings.empty() ? conformance::settings_file(library) : fs::path(flags.settings);
    if (!fs::exists(file)) {
        if (flags.settings.empty()) return {};
        throw RecipeError(
            fmt::format("--settings {}: found no such file, expected a TOML file", flags.settings));
    }
    auto all = conformance::read_settings(file, conformance::case_names());
    std::vector<std::string> names;
    for (const auto& tested : components) names.insert(names.end(), {tested.id, tested.name()});
    for (const auto& [name, settings] : all)
        if (std::ranges::find(names, name) == names.end())
            throw RecipeError(fmt::format("{}: found settings of '{}', which {} does not have{}; it has {}",
                                          file.string(), name, library.string(), did_you_mean(name, names),
                                          join(names)));
    return all;
}

void set_from_flags(Settings& settings, const PluginsTestFlags& flags) {
    for (const auto& word : flags.words)
        if (word.find('=') != std::string::npos) conformance::set_option(settings, word);
    for (const auto& word : flags.symbols) conformance::set_symbol(settings, word);
}

/// Those of the libraries that are asked for, with their settings.
std::vector<Tested> asked_components(const PluginsTestFlags& flags, const conformance::Limits& limits) {
    std::vector<std::string> wanted, known;
    for (const auto& word : flags.words)
        if (word.find('=') == std::string::npos) wanted.push_back(word);
    std::vector<Tested> chosen;
    for (const auto& library : libraries_of(flags.file)) {
        const auto components = conformance::components_of(library, limits);
        const auto settings = settings_for(library, flags, components);
        for (auto tested : components) {
            const auto is_it = [&](const std::string& word) {
                return word == tested.id || word == tested.name();
            };
            known.insert(known.end(), {tested.id, tested.name()});
            if (!wanted.empty() && std::ranges::none_of(wanted, is_it)) continue;
            tested.settings = conformance::settings_of(settings, tested.kind, tested.id);
            set_from_flags(tested.settings, flags);
            chosen.push_back(std::move(tested));
        }
    }
    for (const auto& word : wanted)
        if (std::ranges::find(known, word) == known.end())
            throw RecipeError(fmt::format("there is no component '{}' in {}{}; it has {}", word, flags.file,
                                          did_you_mean(word, known), join(known)));
    return chosen;
}

void check_cases(const std::vector<std::string>& cases) {
    const auto known = conformance::case_names();
    for (const auto& name : cases)
        if (std::ranges::find(known, name) == known.end())
            throw RecipeError(fmt::format("--case: there is no case '{}'{}; expected one of {}", name,
                                          did_you_mean(name, known), join(known)));
}

/// What a command needs besides to run a case as this one does.
std::string repeated_arguments(const PluginsTestFlags& flags) {
    std::string out;
    for (const auto& word : flags.words)
        if (word.find('=') != std::string::npos) out += " '" + word + "'";
    for (const auto& word : flags.symbols) out += " --symbol " + word;
    if (flags.tsan) out += " --tsan";
    return out + (flags.settings.empty() ? "" : " --settings '" + flags.settings + "'");
}

void list_cases(const Globals& globals) {
    if (globals.json)
        base::print_json(conformance::cases_json(), 2);
    else
        fmt::print("{}", conformance::cases_text(80));
}

void run_plugins_test(const PluginsTestFlags& flags, const Globals& globals) {
    if (flags.list) return list_cases(globals);
    check_cases(flags.cases);
    if (flags.tsan) run_under_thread_sanitizer(libraries_of(flags.file));
    const conformance::Limits limits = {flags.jobs, flags.timeout};
    const auto components = asked_components(flags, limits);
    const auto& cases = flags.tsan && flags.cases.empty() ? threads_alone : flags.cases;
    const conformance::Request request = {cases, static_cast<std::uint64_t>(std::max(0LL, globals.seed)),
                                          repeated_arguments(flags)};
    base::StatusLine line(stderr, STDERR_FILENO);
    const bool shows = !globals.quiet && !globals.json && base::can_redraw(STDERR_FILENO);
    std::int64_t done = 0;
    const auto results = conformance::run_suite(components, request, limits, [&](const Result& result) {
        if (shows) line.draw({{base::counted(++done, "case"), 2}, {result.component + " " + result.name, 1}});
    });
    if (shows) line.erase();
    if (results.empty())
        throw RecipeError(
            "plugins test: no case applies to what was asked for; see `hearth plugins test --list`");
    if (globals.json)
        base::print_json(conformance::results_json(results), 2);
    else
        fmt::print("{}", conformance::results_text(results, 80));
    if (const auto failed = static_cast<std::int64_t>(count(results, Verdict::failed)); failed > 0)
        throw PluginError(
            fmt::format("{}: {} failed of {}", flags.file, base::counted(failed, "case"), results.size()));
}

}  // namespace

void add_plugins_test(CLI::App& plugins, Globals& globals) {
    auto flags = std::make_shared<PluginsTestFlags>();
    auto* test = plugins.add_subcommand(
        "test", "Put the components of a library to cases, each in a process of its own");
    test->add_option("file", flags->file, "Shared library, or a folder of them");
    test->add_option("words", flags->words, "Component, such as gain or head/gain; options, such as width=16");
    test->add_option("--case", flags->cases, "Only this case; repeatable")->allow_extra_args(false);
    test->add_option("--symbol", flags->symbols, "Size of a symbol of its reads, such as D=64; repeatable")
        ->allow_extra_args(false);
    test->add_option("--settings", flags->settings, "Options, sizes and more; otherwise LIBRARY.test.toml");
    test->add_option("--timeout", flags->timeout, "Seconds for a case")
        ->capture_default_str()
        ->check(CLI::Range(0.001, 1e9));
    test->add_option("--jobs", flags->jobs, "Cases at once")->capture_default_str()->check(CLI::Range(1, 1024));
    test->add_flag("--list", flags->list, "Name the cases and what each holds a component to");
    test->add_flag("--tsan", flags->tsan,
                   "Under ThreadSanitizer, with which the plugin was built; without --case: threads");
    test->footer(
        "Exit code 4 where a case fails; each failure comes with the command that shows it again.\n\n"
        "Examples:\n  hearth plugins test build/lib/hearth/plugins/libhearth_head_mine.so\n"
        "  hearth plugins test build/lib/hearth/plugins head/mine width=8 --symbol D=32 --case gradients\n"
        "  hearth plugins test build-tsan/lib/hearth/plugins/libhearth_augment_mine.so --tsan\n"
        "  hearth plugins test --list");
    test->callback([flags, &globals] { run_plugins_test(*flags, globals); });
}

}  // namespace hearth::cli
