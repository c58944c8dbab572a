// hearth probe: probes of a run's frozen features, beside the untrained backbone.
#include <fmt/format.h>

#include "cli/run.hpp"
#include "data/json_text.hpp"

namespace hearth::cli {

void add_probe(CLI::App& app, Globals& globals) {
    struct Flags {
        std::string run, checkpoint = "last";
        std::vector<std::string> overrides;
    };
    auto flags = std::make_shared<Flags>();
    auto* verb =
        app.add_subcommand("probe", "Evaluate a run: linear, k-NN or attentive probe on frozen features");
    verb->add_option("run", flags->run, "Run folder")->required();
    verb->add_option("overrides", flags->overrides, "key=value, for example eval.probe=attentive");
    verb->add_option("--checkpoint", flags->checkpoint, "last, best, or step_N")->capture_default_str();
    verb->footer(
        "Examples:\n  hearth probe runs/demo\n  hearth probe runs/demo eval.probe=attentive "
        "eval.network=teacher\n"
        "  hearth probe runs/mine/20261124-200130 --checkpoint best --json");
    verb->callback([flags, &globals] {
        const auto run = load_run(flags->run, flags->checkpoint, globals, flags->overrides);
        const auto evaluation = evaluate_run(*run, globals.quiet || globals.json);
        if (globals.json)
            fmt::print("{}\n", data::json_text(eval::to_json(evaluation), 2));
        else
            for (const auto& table : result_tables(evaluation)) fmt::print("{}\n", report::text_table(table));
    });
}

}  // namespace hearth::cli
