// hearth plan shows passes, ports and shapes of a recipe before any data is opened.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "cli/run.hpp"
#include "plan/plan.hpp"
#include "runs/opened_tables.hpp"
#include "train/run_plugins.hpp"

namespace hearth::cli {
namespace {

nlohmann::json wires(const std::vector<plan::Wire>& list) {
    nlohmann::json out = nlohmann::json::array();
    for (const auto& wire : list)
        if (!wire.name.empty())
            out.push_back({{"port", wire.port}, {"name", wire.name}, {"shape", to_string(wire.shape)}});
    return out;
}

nlohmann::json to_json(const plan::Plan& plan) {
    nlohmann::json nodes = nlohmann::json::array();
    for (const auto& node : plan.nodes())
        nodes.push_back({{"id", node.id},
                         {"kind", to_string(node.kind)},
                         {"use", node.use},
                         {"network", node.network},
                         {"trained", node.trained},
                         {"runs", node.runs},
                         {"reads", wires(node.reads)},
                         {"writes", wires(node.writes)}});
    nlohmann::json phases = nlohmann::json::array();
    for (const auto& phase : plan.phases()) {
        if (phase.name.empty()) continue;
        nlohmann::json runs = nlohmann::json::array();
        for (std::size_t i = 0; i < phase.uses.size(); ++i)
            if (phase.uses[i].runs && !phase.uses[i].reused) runs.push_back(plan.nodes()[i].id);
        phases.push_back({{"name", phase.name},
                          {"trains", phase.trains},
                          {"repeat", phase.repeat},
                          {"every", phase.every},
                          {"runs", runs}});
    }
    return {{"nodes", nodes}, {"phases", phases}, {"warnings", plan.warnings()}};
}

/// The files whose code the recipe runs.
std::string plugins_text(const std::vector<plan::UsedPlugin>& plugins) {
    std::string out = "\nplugins\n";
    for (const auto& [library, components] : plugins)
        out += fmt::format("  {:<24} {} ({})\n",
                           fmt::format("{} {}", library->plugin->id, library->plugin->version),
                           library->file.string(), library->origin);
    return out;
}

nlohmann::json plugins_json(const std::vector<plan::UsedPlugin>& plugins) {
    auto out = nlohmann::json::array();
    for (const auto& plugin : plugins) {
        out.push_back(train::to_json(plugin));
        out.back()["origin"] = plugin.library->origin;
    }
    return out;
}

/// The plan of one stage as it is printed.
std::string shown(const plan::Plan& plan, bool mermaid, bool dot) {
    return mermaid ? plan::to_mermaid(plan) : dot ? plan::to_dot(plan) : plan::to_text(plan);
}

}  // namespace

void add_plan(CLI::App& app, Globals& globals) {
    struct Flags {
        RecipeArguments arguments;
        std::string stage;
        bool mermaid = false, dot = false;
    };
    auto flags = std::make_shared<Flags>();
    auto* verb = app.add_subcommand("plan", "Show passes, ports and shapes; finds every wiring mistake");
    flags->arguments.add_to(*verb);
    add_stage(*verb, flags->stage, "all, in a picture the first");
    auto* mermaid = verb->add_flag("--mermaid", flags->mermaid, "As a Mermaid flowchart");
    verb->add_flag("--dot", flags->dot, "As Graphviz")->excludes(mermaid);
    verb->footer(
        "Opens no data: a recipe without data.source can be planned.\n\n"
        "Examples:\n  hearth plan recipe.toml\n  hearth plan recipe.toml data.size=512 "
        "--mermaid\n  hearth plan recipe.toml --with my-data.toml");
    verb->callback([flags, &globals] {
        if (globals.json && (flags->mermaid || flags->dot))
            throw RecipeError("found --json with --mermaid or --dot, expected one of them");
        const auto recipe = flags->arguments.load(globals, {});
        const auto registry = make_registry(globals, &recipe);
        auto stages = recipe::stages(recipe);
        if (!flags->stage.empty() || ((flags->mermaid || flags->dot) && stages.size() > 1))
            stages = {stage_of(recipe, flags->stage)};  // a picture is of one
        auto json = nlohmann::json::array();
        for (const auto& stage : stages) {
            auto plan = plan::Plan::build(stage, registry);
            plan.train(false);
            if (&stage == &stages.back()) runs::check_readable(stage, plan);
            if (globals.json) {
                json.push_back(to_json(plan));
                json.back()["plugins"] = plugins_json(plan::used_plugins(stage, registry));
                if (stage.stage) json.back()["stage"] = stage.stage->name;
                continue;
            }
            if (stage.stage && !flags->mermaid && !flags->dot)
                fmt::print("{}stage {} ({} of {})\n", &stage == &stages.front() ? "" : "\n", stage.stage->name,
                           stage.stage->number + 1, stage.stage->count);
            fmt::print("{}", shown(plan, flags->mermaid, flags->dot));
        }
        if (!globals.json) {
            if (!flags->mermaid && !flags->dot)
                fmt::print("{}", plugins_text(plan::used_plugins(recipe, registry)));
            return;
        }
        base::print_json(stages.front().stage ? nlohmann::json({{"stages", json}}) : json.front(), 2);
    });
}

}  // namespace hearth::cli
