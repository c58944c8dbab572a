// [validate]: what may be watched.
#include <fmt/format.h>

#include <hearth/text.hpp>

#include "recipe/dropped.hpp"
#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

bool is_section_metric(const std::string& watch) {
    return watch == "detect.auroc" || watch == "probe.auc";
}

}  // namespace

std::string ValidateSpec::section() const {
    return is_section_metric(watch) ? watch.substr(0, watch.find('.')) : "data";
}

const Origin& ValidateSpec::place(const std::string& key) const {
    const auto found = written.find(key);
    return found == written.end() ? origin : found->second;
}

bool can_watch(const std::string& watch, const std::vector<std::string>& losses, bool detects, bool probes) {
    if (watch == "detect.auroc") return detects;
    if (watch == "probe.auc") return probes;
    const auto dot = watch.find('.');
    return (watch == "total" && !losses.empty()) ||
           (dot != std::string::npos && dot + 1 < watch.size() && contains(losses, watch.substr(0, dot)));
}

void check_validate(const ValidateSpec& spec, Diagnostics& problems) {
    if (spec.where.empty() && spec.written.contains("where"))
        problems.add(
            spec.place("where"),
            "validate.where: found \"\", expected which rows are validated on, such as 'split == \"val\"'");
    if (is_section_metric(spec.watch) && spec.best == "lowest")
        problems.add(
            spec.place(spec.written.contains("best") ? "best" : "watch"),
            fmt::format("validate.best: found \"lowest\" with watch = \"{}\", of which more is better: "
                        "write best = \"highest\"",
                        spec.watch));
}

void check_watch(const Recipe& recipe, const std::vector<std::string>& losses, Diagnostics& problems) {
    const auto& spec = *recipe.validate;
    if (can_watch(spec.watch, losses, recipe.detect.has_value(), recipe.probe.has_value())) return;
    if (is_section_metric(spec.watch)) {
        problems.add(
            spec.place("watch"),
            fmt::format("validate.watch: found \"{0}\" in a recipe without [{1}]{2}, which measures it: add "
                        "[{1}], or watch something else, or remove this with drop.validate = true",
                        spec.watch, spec.section(), dropped_text(recipe.tree, spec.section())));
        return;
    }
    if (spec.watch == "total") {
        problems.add(spec.place("watch"),
                     "validate.watch: found \"total\" in a recipe without [[loss]], whose total it is: watch "
                     "detect.auroc or probe.auc, or remove [validate]");
        return;
    }
    std::vector<std::string> choices = {"total", "detect.auroc", "probe.auc"};
    for (const auto& loss : losses) choices.push_back(loss + ".TERM");
    auto meant = did_you_mean(spec.watch, choices);
    if (const auto dot = spec.watch.find('.'); dot != std::string::npos && meant.empty())
        meant = did_you_mean(spec.watch.substr(0, dot), losses);
    problems.add(spec.place("watch"), fmt::format("validate.watch: found \"{}\", expected one of {}{}",
                                                  spec.watch, join(choices), meant));
}

}  // namespace hearth::recipe
