// hearth report writes report.html of a run folder.
#include <fmt/format.h>

#include "base/activity.hpp"
#include "base/json_text.hpp"
#include "cli/run.hpp"
#include "summary/run_report.hpp"

namespace hearth::cli {

void add_report(CLI::App& app, Globals& globals) {
    auto arguments = std::make_shared<RunArguments>();
    auto* verb = app.add_subcommand("report", "Write report.html for a run: curves, plan, pictures, results");
    arguments->add_to(*verb);
    verb->footer(
        "Reads [data] for its pictures. With other films (key=value, --with) or of another --checkpoint it\n"
        "goes to --out FOLDER, or without it to RUN/asked/QUESTION; what `hearth probe` and `hearth detect` "
        "have written there is in\n"
        "it, in place of the run's own.\n\n"
        "Examples:\n  hearth report runs/demo\n  hearth report runs/mine/20261124-200130 --checkpoint best\n"
        "  hearth report runs/demo data.source=other-films --out other");
    verb->callback([arguments, &globals] {
        const auto run = load_run(*arguments, globals, {.opens = {"data"}, .only = {"data"}});
        const auto page = base::during(globals.quiet, "report", [&] { return summary::write_report(*run); });
        if (globals.json)
            base::print_json(nlohmann::json({{"report", page.string()}}));
        else
            fmt::print("{}\n", page.string());
    });
}

}  // namespace hearth::cli
