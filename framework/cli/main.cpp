// The `hearth` command: reads the command line, runs one verb, turns errors into messages and exit codes.
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <limits>
#include <new>
#include <regex>
#include <set>
#include <string_view>

#include "base/json_text.hpp"
#include "base/terminal_text.hpp"
#include "base/utf8.hpp"
#include "cli/obeyed.hpp"
#include "host/last_words.hpp"
#include "host/memory_error.hpp"
#include "recipe/synonyms.hpp"
#include "train/memory.hpp"

namespace hearth::cli {
namespace {

std::vector<std::string> verb_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const auto* verb : app.get_subcommands(nullptr)) names.push_back(verb->get_name());
    return names;
}

/// "; write train.epochs=3" for words[at] = "--epochs" and the word after it, where the verb takes a recipe;
/// otherwise "".
std::string key_instead(const CLI::App& verb, const std::vector<std::string>& words, std::size_t at) {
    if (verb.get_option_no_throw("recipe") == nullptr || verb.get_option_no_throw("overrides") == nullptr)
        return "";
    const auto& flag = words[at];
    const auto equals = flag.find('=');
    const auto key = recipe::full_key(flag.substr(2, equals == std::string::npos ? equals : equals - 2));
    if (key.empty()) return "";
    const bool next = at + 1 < words.size() && !words[at + 1].starts_with("-") &&
                      words[at + 1].find('=') == std::string::npos;
    const auto value = equals != std::string::npos ? flag.substr(equals + 1) : next ? words[at + 1] : "VALUE";
    return fmt::format("; write {}={}", key, value);
}

bool is_in(const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

/// The flags that count at `verb`; only those that take a value, or all.
std::vector<std::string> flags_of(const CLI::App& app, const CLI::App& verb, bool with_value) {
    std::vector<std::string> out;
    for (const auto* at : {&app, &verb})
        for (const auto* option : at->get_options())
            if (!with_value || option->get_items_expected_max() > 0) {
                for (const auto& name : option->get_lnames()) out.push_back("--" + name);
                if (!with_value) continue;
                for (const auto& name : option->get_snames()) out.push_back("-" + name);
            }
    return out;
}

/// A word where a verb belongs that is none, with those there are; "" where there is none.
std::string unknown_verb(const CLI::App& app, const std::vector<std::string>& words) {
    const auto* verb = chosen_verb(app);
    const auto names = verb_names(*verb), flags_with_value = flags_of(app, *verb, /*with_value=*/true);
    bool is_value = false;
    for (const auto& word : words) {
        if (!names.empty() && !is_value && !word.starts_with("-") && verb->get_name() != word &&
            !is_in(names, word))
            return fmt::format("unknown verb '{}'{}; expected one of {}", word, did_you_mean(word, names),
                               join(names));
        is_value = is_in(flags_with_value, word);
    }
    return "";
}

/// CLI11's words for a value that a flag cannot have, in ours.
std::string in_our_words(const std::string& text, const std::vector<std::string>& flags_with_value) {
    static const std::regex out_of_range(R"((.*): Value (.*) not in range (\S+) to (\S+))"),
        too_often(R"((.*): At Most 1 required but received (\d+))"),
        not_a_number(R"(Could not convert: (.*) = (.*))");
    std::smatch part;
    if (std::regex_match(text, part, out_of_range)) {
        const bool whole = part.str(3).find('.') == std::string::npos;
        const auto bound = [&](int i) {
            return whole ? part.str(i) : fmt::format("{}", std::stod(part.str(i)));
        };
        const bool open = part.str(4) == std::to_string(std::numeric_limits<std::int64_t>::max());
        return fmt::format("{}: found {}, expected a {}number from {}{}", part.str(1), part.str(2),
                           whole ? "whole " : "", bound(3), open ? "" : " to " + bound(4));
    }
    if (std::regex_match(text, part, too_often))
        return fmt::format("{}: found it {} times, expected it once", part.str(1), part.str(2));
    if (std::regex_match(text, part, not_a_number))
        return fmt::format("{}: found {}, expected {}", part.str(1), part.str(2),
                           is_in(flags_with_value, part.str(1)) ? "a number" : "no value");
    return text;
}

std::string usage_problem(const CLI::App& app, const std::vector<std::string>& words,
                          const CLI::ParseError& error) {
    const auto* verb = chosen_verb(app);
    const auto flags = flags_of(app, *verb, /*with_value=*/false);
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto& word = words[i];
        if (!word.starts_with("--") || is_in(flags, word.substr(0, word.find('=')))) continue;
        const auto instead = key_instead(*verb, words, i);
        return fmt::format("unknown flag '{}'{}", word, instead.empty() ? did_you_mean(word, flags) : instead);
    }
    const auto unknown = unknown_verb(app, words);
    return unknown.empty() ? in_our_words(error.what(), flags_of(app, *verb, /*with_value=*/true)) : unknown;
}

/// The help, on a terminal with its paragraphs wrapped anew: its text is written for wider ones.
std::string help_text(const CLI::App& app) {
    const auto text = app.help();
    if (::isatty(STDOUT_FILENO) == 0) return text;
    constexpr std::size_t full = 60;  // a line that is shorter ends where it is meant to
    std::string joined;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const bool prose = joined.size() > begin + full && joined[begin] != ' ';
        joined += text[at];
        if (text[at] != '\n') continue;
        const auto rest = std::string_view(text).substr(at + 1);
        const bool goes_on = !rest.empty() && rest[0] != ' ' && rest[0] != '\n' && !rest.starts_with("Usage:");
        if (prose && goes_on)
            joined.back() = ' ';
        else
            begin = joined.size();
    }
    return base::for_terminal(joined, stdout);
}

int run(int argc, char** argv) {
    Globals globals;
    globals.command.assign(argv, argv + argc);
    CLI::App app("Hearth: composable self-supervised learning for radiographs", "hearth");
    app.set_version_flag("--version", "hearth " HEARTH_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    add_common_flags(app, globals);
    app.footer(
        "Examples:\n  hearth train recipe.toml\n  hearth train recipe.toml "
        "data.source=chests.csv optimizer.lr=1e-4\n\n"
        "Exit codes: 0 ok, 1 internal, 2 usage or recipe, 3 data, 4 plugin, 5 not-a-number or collapse, 6 out "
        "of memory,\n"
        "7 a process of several was lost, 75 stopped and resumable, 128 + N died of signal N.");
    add_train(app, globals);
    add_check(app, globals);
    add_bench(app, globals);
    add_plan(app, globals);
    add_sweep(app, globals);
    add_probe(app, globals);
    add_detect(app, globals);
    add_pictures(app, globals);
    add_report(app, globals);
    add_runs(app, globals);
    add_compare(app, globals);
    add_embed(app, globals);
    add_export(app, globals);
    add_import(app, globals);
    add_data(app, globals);
    add_recipes(app, globals);
    add_plugins(app, globals);
    add_doctor(app, globals);
    mention_common_flags(app);
    app.parse_complete_callback([&] {
        check_common_flags(app, globals);
        if (globals.json) base::keep_stdout_for_json();
    });
    const std::vector<std::string> words(globals.command.begin() + 1, globals.command.end());
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) {  // --help, --version
        if (const auto unknown = unknown_verb(app, words); !unknown.empty())
            throw RecipeError(fmt::format("{}; see `hearth {}--help`", unknown, path_of(*chosen_verb(app))));
        if (dynamic_cast<const CLI::CallForHelp*>(&success) == nullptr) return app.exit(success);
        fmt::print("{}", help_text(app));
        return 0;
    } catch (const CLI::ParseError& error) {
        const auto* verb = chosen_verb(app);
        throw RecipeError(
            fmt::format("{}; see `hearth {}--help`", usage_problem(app, words, error), path_of(*verb)));
    }
    return globals.exit_code;
}

bool computes(int argc, char** argv) {
    static const std::set<std::string_view> computing = {"train",    "bench",  "check", "probe", "detect",
                                                         "pictures", "report", "sweep", "embed"};
    return std::any_of(argv, argv + argc, [](const char* word) { return computing.count(word) != 0; });
}

// GNU OpenMP lets idle threads spin for milliseconds after every operation: next to another busy process a step
// then takes ten times as long. It reads its settings before main, so a verb that computes starts the program
// again with a shorter spin (docs/benchmarks.md, "Beside another process"). What the user has set stays.
void shorten_openmp_spin(char** argv) {
    if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
    if (setenv("GOMP_SPINCOUNT", "10000", 0) != 0) return;
    execv(own_program().c_str(), argv);  // returns only where it fails: then all goes on as it was
}

// As by Ctrl-C when its parent is gone: a run writes its checkpoint first.
void end_with_parent() {
    const char* parent = std::getenv(parent_variable);
    if (parent == nullptr) return;
    prctl(PR_SET_PDEATHSIG, SIGINT);
    if (std::to_string(getppid()) != parent) std::raise(SIGINT);  // it went before we asked
    unsetenv(parent_variable);
}

int fail(ExitCode code, const std::string& message) {
    // What a plugin's author or a file wrote into an exception does not get to command the terminal.
    base::print_text("error: " + base::printable(message, "\n\t"));
    return static_cast<int>(code);
}

/// Runs a verb; an exception becomes a message and an exit code.
int run_guarded(int argc, char** argv) {
    const auto lost = [] { return fmt::format("cannot write the output: {}", std::strerror(errno)); };
    try {
        const int code = run(argc, argv);
        if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
        return code != 0 ? code : fail(ExitCode::data, lost());
    } catch (const Error& error) {
        return fail(error.code(), error.what());
    } catch (const std::exception& error) {
        if (host::is_out_of_memory(error))
            return fail(ExitCode::out_of_memory, "out of memory: " + host::reason_of(error) +
                                                     "; lower train.batch, or set data.cache = \"packed\"");
        if (dynamic_cast<const c10::Error*>(&error) != nullptr)
            return fail(ExitCode::internal, "internal error in LibTorch: " + host::reason_of(error));
        if (std::ferror(stdout) != 0) return fail(ExitCode::data, lost());
        return fail(ExitCode::internal, std::string("internal error: ") + error.what());
    }
}

}  // namespace
}  // namespace hearth::cli

int main(int argc, char** argv) {
    if (hearth::cli::computes(argc, argv)) {
        hearth::cli::shorten_openmp_spin(argv);
        hearth::train::keep_freed_memory();
    }
    hearth::cli::end_with_parent();
    hearth::host::leave_last_words();
    const int code = hearth::cli::run_guarded(argc, argv);
    hearth::host::expect_the_end();
    return code;
}
