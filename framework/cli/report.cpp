// hearth report: report.html of a run folder.
#include <fmt/format.h>

#include "cli/run.hpp"
#include "data/json_text.hpp"
#include "train/activity.hpp"

namespace hearth::cli {

void add_report(CLI::App& app, Globals& globals) {
    struct Flags {
        std::string run, checkpoint = "last";
    };
    auto flags = std::make_shared<Flags>();
    auto* verb = app.add_subcommand("report", "Write report.html for a run: curves, plan, pictures, results");
    verb->add_option("run", flags->run, "Run folder")->required();
    verb->add_option("--checkpoint", flags->checkpoint, "last, best, or step_N")->capture_default_str();
    verb->footer(
        "Examples:\n  hearth report runs/demo\n  hearth report runs/mine/20261124-200130 --checkpoint best");
    verb->callback([flags, &globals] {
        const auto run = load_run(flags->run, flags->checkpoint, globals);
        const auto page = train::during(globals.quiet, "report", [&] { return write_report(*run); });
        if (globals.json)
            fmt::print("{}\n", data::json_text(nlohmann::json({{"report", page.string()}})));
        else
            fmt::print("{}\n", page.string());
    });
}

}  // namespace hearth::cli
