#include "conformance/suite.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <hearth/text.hpp>
#include <sstream>

#include "conformance/cases.hpp"

namespace hearth::conformance {
namespace {

/// "died of ...; it printed: ...".
std::string with_printed(const Ended& ended) {
    auto text = ended.printed;
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
    return text.empty() ? ended.death : fmt::format("{}; it printed: {}", ended.death, text);
}

/// The component in this process. One thread computes: the cases share the machine's cores.
const host::ComponentType& loaded(const Tested& tested) {
    at::set_num_threads(1);
    static host::Registry registry;
    registry.load(tested.library, "command line");
    return registry.find(tested.kind, tested.id);
}

bool applies(const Case& one, Kind kind) {
    return std::ranges::find(one.kinds, kind) != one.kinds.end();
}

/// Of a case in a child: "passed", or "failed" or "skipped" and the reason on further lines.
std::string run_case(const Case& one, const Tested& tested, std::uint64_t seed) {
    try {
        Rig rig(loaded(tested), tested.settings, seed);
        one.run(rig);
        return "passed\n";
    } catch (const Skip& skip) {
        return std::string("skipped\n") + skip.what();
    } catch (const c10::Error& error) {
        return std::string("failed\n") + error.what_without_backtrace();
    } catch (const std::exception& error) {
        return std::string("failed\n") + error.what();
    }
}

void read_answer(const Ended& ended, Result& result) {
    result.seconds = ended.seconds;
    const auto line = ended.answer.find('\n');
    const auto word = ended.answer.substr(0, line);
    if (line != std::string::npos) result.text = ended.answer.substr(line + 1);
    result.verdict = word == "passed"    ? Verdict::passed
                     : word == "skipped" ? Verdict::skipped
                                         : Verdict::failed;
    if (!ended.death.empty()) result.text = with_printed(ended);
}

std::string quoted(const std::string& word) {
    const bool plain =
        word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=+:,") ==
        std::string::npos;
    if (plain) return word;
    std::string out = "'";
    for (const char c : word) out += c == '\'' ? "'\\''" : std::string(1, c);
    return out + "'";
}

std::string command(const Tested& tested, const Case& one, const Request& request) {
    return fmt::format("hearth plugins test {} {} --case {} --seed {}{}", quoted(tested.library.string()),
                       tested.name(), one.name, request.seed, request.arguments);
}

/// The settings are those of the user: what is wrong with them is not the plugin's fault.
void check_settings(const std::vector<Tested>& components, const Limits& limits) {
    std::vector<std::function<std::string()>> bodies;
    for (const auto& tested : components)
        bodies.emplace_back([&] {
            try {
                Rig(loaded(tested), tested.settings, 0);
            } catch (const RecipeError& error) {
                return std::string(error.what());
            }
            return std::string();
        });
    std::vector<std::string> problems(components.size());
    run_children(bodies, limits, [&](std::size_t i, const Ended& ended) { problems[i] = ended.answer; });
    std::erase(problems, "");
    if (!problems.empty()) throw RecipeError(join(problems, "\n"));
}

/// What runs in children, and where its result belongs.
struct Jobs {
    std::vector<std::function<std::string()>> bodies;
    std::vector<std::size_t> places;
};

}  // namespace

std::string to_string(Verdict verdict) {
    return verdict == Verdict::passed ? "passed" : verdict == Verdict::failed ? "failed" : "skipped";
}

std::vector<Tested> components_of(const std::filesystem::path& library, const Limits& limits) {
    const auto list = [&] {
        host::Registry registry;
        registry.load(library, "command line");
        std::string lines;
        for (const auto* type : registry.components())
            lines += fmt::format("{} {}\n", static_cast<int>(type->kind()), type->id());
        return lines;
    };
    Ended ended;
    run_children({list}, limits, [&](std::size_t, const Ended& result) { ended = result; });
    if (!ended.death.empty()) {
        const auto text = with_printed(ended);
        const bool named = text.find(library.filename().string()) != std::string::npos;
        throw PluginError(named ? text : fmt::format("{}: loading it {}", library.string(), text));
    }
    std::vector<Tested> out;
    std::istringstream lines(ended.answer);
    int kind = 0;
    for (std::string id; lines >> kind >> id;) out.push_back({library, static_cast<Kind>(kind), id, {}});
    return out;
}

std::vector<Result> run_suite(const std::vector<Tested>& components, const Request& request,
                              const Limits& limits, const std::function<void(const Result&)>& done) {
    check_settings(components, limits);
    std::vector<Result> results;
    Jobs jobs;
    for (const auto& tested : components)
        for (const auto& one : all_cases()) {
            const bool asked =
                request.cases.empty() || std::ranges::find(request.cases, one.name) != request.cases.end();
            if (!asked || !applies(one, tested.kind)) continue;
            results.push_back(
                {tested.name(), one.name, Verdict::skipped, "", command(tested, one, request), 0});
            if (const auto skip = tested.settings.skip.find(one.name); skip != tested.settings.skip.end()) {
                results.back().text = skip->second;
                continue;
            }
            jobs.places.push_back(results.size() - 1);
            jobs.bodies.emplace_back([&] { return run_case(one, tested, request.seed); });
        }
    run_children(jobs.bodies, limits, [&](std::size_t i, const Ended& ended) {
        auto& result = results[jobs.places[i]];
        read_answer(ended, result);
        if (done) done(result);
    });
    return results;
}

std::size_t count(const std::vector<Result>& results, Verdict verdict) {
    return static_cast<std::size_t>(std::ranges::count(results, verdict, &Result::verdict));
}

}  // namespace hearth::conformance
