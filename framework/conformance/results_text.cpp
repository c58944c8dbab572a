// Results as tables and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "conformance/cases.hpp"
#include "conformance/suite.hpp"
#include "report/text.hpp"
#include "report/wrap.hpp"

namespace hearth::conformance {
namespace {

std::vector<std::string> components_in(const std::vector<Result>& results) {
    std::vector<std::string> names;
    for (const auto& result : results)
        if (names.empty() || names.back() != result.component) names.push_back(result.component);
    return names;
}

/// A row for each component: how many cases passed, failed and were skipped, and which failed.
report::Table by_component(const std::vector<Result>& results) {
    using report::Align;
    report::Table table;
    table.headers = {"component", "passed", "failed", "skipped", "what failed"};
    table.align = {Align::left, Align::right, Align::right, Align::right};
    for (const auto& component : components_in(results)) {
        std::vector<Result> own;
        std::vector<std::string> failed;
        std::ranges::copy_if(results, std::back_inserter(own),
                             [&](const Result& result) { return result.component == component; });
        for (const auto& result : own)
            if (result.verdict == Verdict::failed) failed.push_back(result.name);
        table.rows.push_back({component, std::to_string(count(own, Verdict::passed)),
                              std::to_string(failed.size()), std::to_string(count(own, Verdict::skipped)),
                              join(failed)});
    }
    return table;
}

/// A row for each case of one component.
report::Table by_case(const std::vector<Result>& results) {
    report::Table table;
    table.headers = {"case", "result", ""};
    for (const auto& result : results)
        table.rows.push_back(
            {result.name, to_string(result.verdict), result.verdict == Verdict::skipped ? result.text : ""});
    return table;
}

std::string indented(const std::string& text, std::size_t width) {
    std::string out = "  ";
    for (const char c : report::wrapped(text, width - 2)) {
        out += c;
        if (c == '\n') out += "  ";
    }
    while (out.ends_with("  ")) out.resize(out.size() - 2);
    return out.ends_with('\n') ? out : out + '\n';
}

std::string kinds_of(const Case& one) {
    std::vector<std::string> words;
    for (const auto kind : one.kinds) words.push_back(to_string(kind));
    return words.size() == 4 ? "all" : join(words);
}

}  // namespace

std::string results_text(const std::vector<Result>& results, std::size_t width) {
    const auto components = components_in(results).size();
    auto text = report::text_table(components == 1 ? by_case(results) : by_component(results), width);
    for (const auto& result : results) {
        if (result.verdict != Verdict::failed) continue;
        text += fmt::format("\n{}: {} failed\n", result.component, result.name);
        text += indented(result.text, width) + "  " + result.again + "\n";
    }
    return text + fmt::format("\n{} passed, {} failed, {} skipped\n", count(results, Verdict::passed),
                              count(results, Verdict::failed), count(results, Verdict::skipped));
}

nlohmann::ordered_json results_json(const std::vector<Result>& results) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& result : results) {
        nlohmann::ordered_json json = {{"component", result.component},       {"case", result.name},
                                       {"result", to_string(result.verdict)}, {"text", result.text},
                                       {"seconds", result.seconds},           {"command", result.again}};
        list.push_back(std::move(json));
    }
    return {{"results", list},
            {"passed", count(results, Verdict::passed)},
            {"failed", count(results, Verdict::failed)},
            {"skipped", count(results, Verdict::skipped)}};
}

std::string cases_text(std::size_t width) {
    report::Table table;
    table.headers = {"case", "holds where", "of"};
    for (const auto& one : all_cases()) table.rows.push_back({one.name, one.about, kinds_of(one)});
    return report::text_table(table, width);
}

nlohmann::ordered_json cases_json() {
    auto list = nlohmann::ordered_json::array();
    for (const auto& one : all_cases()) {
        auto kinds = nlohmann::ordered_json::array();
        for (const auto kind : one.kinds) kinds.push_back(to_string(kind));
        list.push_back({{"case", one.name}, {"about", one.about}, {"kinds", kinds}});
    }
    return list;
}

}  // namespace hearth::conformance
