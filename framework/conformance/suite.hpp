// Puts the components of a plugin's library to all cases, each in a process of its own.
//
//   const auto results = conformance::run_suite(conformance::components_of(library, limits), request, limits);
//   fmt::print("{}", conformance::results_text(results, 80));
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "conformance/child.hpp"
#include "conformance/settings.hpp"

namespace hearth::conformance {

/// A component of a library that can be loaded.
struct Tested {
    std::filesystem::path library;
    Kind kind;
    std::string id;
    Settings settings;
    std::string name() const { return to_string(kind) + "/" + id; }
};

enum class Verdict { passed, failed, skipped };
std::string to_string(Verdict verdict);

/// How one case ended for one component.
struct Result {
    std::string component;  ///< "loss/gain"
    std::string name;       ///< of the case
    Verdict verdict = Verdict::passed;
    std::string text;   ///< what was found and expected, or why it does not apply
    std::string again;  ///< the command that runs this case alone
    double seconds = 0;
};

/// The components of a library, which is loaded in a child. Throws PluginError with the reason where it is
/// refused, or with how the child died.
std::vector<Tested> components_of(const std::filesystem::path& library, const Limits& limits);

struct Request {
    std::vector<std::string> cases;  ///< empty: all
    std::uint64_t seed = 0;
    std::string arguments;  ///< what the command that runs a case again has besides: options and sizes
};
/// One result for each component and case, in their order; `done` is told each as it ends. Throws RecipeError
/// for settings that do not fit a component, before any case runs.
std::vector<Result> run_suite(const std::vector<Tested>& components, const Request& request,
                              const Limits& limits, const std::function<void(const Result&)>& done = nullptr);

/// A table of components, or of the cases where there is but one, and what failed with the command that shows
/// it again; no line is longer than `width`, commands excepted.
std::string results_text(const std::vector<Result>& results, std::size_t width);
nlohmann::ordered_json results_json(const std::vector<Result>& results);
/// The cases with what they hold a component to.
std::string cases_text(std::size_t width);
nlohmann::ordered_json cases_json();

std::size_t count(const std::vector<Result>& results, Verdict verdict);

}  // namespace hearth::conformance
