// hearth probe measures a run's frozen features by probes, beside the untrained backbone.
#include <fmt/format.h>

#include "base/json_text.hpp"
#include "cli/run.hpp"
#include "runs/loaded_run.hpp"
#include "summary/print_table.hpp"
#include "summary/result_tables.hpp"

namespace hearth::cli {

void add_probe(CLI::App& app, Globals& globals) {
    auto arguments = std::make_shared<RunArguments>();
    auto* verb =
        app.add_subcommand("probe", "Evaluate a run: linear, k-NN or attentive probe on frozen features");
    arguments->add_to(*verb);
    verb->footer(
        "Writes eval.json into the run's folder. Another question (key=value of [eval] or [probe], --with, "
        "or\n--checkpoint) leaves that alone: its answer goes to --out FOLDER, or without it to "
        "RUN/asked/QUESTION.\n--out RUN puts it in place of the run's own.\n\n"
        "Examples:\n  hearth probe runs/demo\n  hearth probe runs/demo eval.probe=attentive "
        "eval.network=teacher\n"
        "  hearth probe runs/demo eval.source=other.csv eval.label=finding --out results/other\n"
        "  hearth probe runs/demo --with my-data.toml\n"
        "  hearth probe runs/mine/20261124-200130 --checkpoint best --json");
    verb->callback([arguments, &globals] {
        const auto run =
            load_run(*arguments, globals,
                     {.opens = {"probe", "eval"}, .only = {"probe", "eval"}, .by_override = {"data.patient"}});
        const auto evaluation = runs::evaluate_run(*run, globals.quiet || globals.json);
        if (globals.json) {
            base::print_json(eval::to_json(evaluation), 2);
            return;
        }
        summary::print_results(summary::result_tables(evaluation), summary::not_above(evaluation));
        if (run->results != run->folder) fmt::print("results: {}\n", (run->results / "eval.json").string());
    });
}

}  // namespace hearth::cli
