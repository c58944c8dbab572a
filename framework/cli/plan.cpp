// hearth plan shows passes, ports and shapes of a recipe before any data is opened.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "cli/run.hpp"
#include "plan/plan.hpp"
#include "runs/opened_tables.hpp"

namespace hearth::cli {
namespace {

nlohmann::json wires(const std::vector<plan::Wire>& list) {
    nlohmann::json out = nlohmann::json::array();
    for (const auto& wire : list)
        if (!wire.name.empty())
            out.push_back({{"port", wire.port}, {"name", wire.name}, {"shape", to_string(wire.shape)}});
    return out;
}

std::string to_json(const plan::Plan& plan) {
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
    return base::json_text(nlohmann::json({{"nodes", nodes}, {"warnings", plan.warnings()}}), 2) + "\n";
}

}  // namespace

void add_plan(CLI::App& app, Globals& globals) {
    struct Flags {
        RecipeArguments arguments;
        bool mermaid = false, dot = false;
    };
    auto flags = std::make_shared<Flags>();
    auto* verb = app.add_subcommand("plan", "Show passes, ports and shapes; finds every wiring mistake");
    flags->arguments.add_to(*verb);
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
        auto plan = plan::Plan::build(recipe, registry);
        plan.train(false);
        runs::check_readable(recipe, plan);
        fmt::print("{}", globals.json     ? to_json(plan)
                         : flags->mermaid ? plan::to_mermaid(plan)
                         : flags->dot     ? plan::to_dot(plan)
                                          : plan::to_text(plan));
    });
}

}  // namespace hearth::cli
