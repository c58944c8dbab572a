// hearth check opens every table of a recipe and makes one micro-step of the real code on generated images.
#include <fmt/format.h>

#include <hearth/text.hpp>
#include <nlohmann/json.hpp>

#include "base/activity.hpp"
#include "base/json_text.hpp"
#include "base/size_text.hpp"
#include "base/terminal_text.hpp"
#include "cli/run.hpp"
#include "runs/opened_tables.hpp"
#include "summary/print_table.hpp"
#include "train/check.hpp"
#include "train/checkpoints.hpp"
#include "train/conduct.hpp"
#include "train/initial_weights.hpp"

namespace hearth::cli {
namespace {

nlohmann::json to_json(const report::Table& table) {
    auto out = nlohmann::json::array();
    for (const auto& row : table.rows) {
        nlohmann::json cells;
        for (std::size_t i = 0; i < row.size(); ++i) cells[table.headers[i]] = row[i];
        out.push_back(std::move(cells));
    }
    return out;
}

/// "1.30 GiB, of which the optimiser 0.87 GiB; a run keeps up to 3".
std::string checkpoint_text(const train::CheckResult& result, std::int64_t most) {
    const auto size = [](std::int64_t bytes) { return base::size_text(static_cast<double>(bytes)); };
    return fmt::format("{}, of which the optimiser {}; a run keeps up to {}",
                       size(result.weight_bytes + result.optimizer_bytes), size(result.optimizer_bytes), most);
}

/// "head.density, on 8 generated images"; "" where nothing fits.
std::string fits_text(const train::CheckResult& result) {
    if (result.fitted.empty()) return "";
    return fmt::format("{}, on {} generated images", join(result.fitted), result.fitted_on);
}

/// What went well.
std::string ok_text(const train::CheckResult& result) {
    std::string out = "ok: ";
    if (!result.terms.empty())
        out += "finite losses, every trained parameter gets a gradient, followers get none";
    out += result.terms.empty() ? "components do as they declare" : ", components do as they declare";
    if (result.fitted.empty()) return out;
    return out + "; " + (result.notes.empty() ? "what fits was fitted" : "what fits was tried, see the note");
}

/// One step of a stage, of which the last is evaluated. `most`: checkpoints of all stages. What it found, as JSON.
nlohmann::json check_stage(const recipe::Recipe& recipe, const host::Registry& registry,
                           const runs::Tables& tables, std::int64_t most, std::int64_t images,
                           Globals& globals) {
    const bool last = !recipe.stage || recipe.stage->number + 1 == recipe.stage->count;
    const auto quiet = globals.quiet || globals.json;
    auto plan = plan::Plan::initial(recipe, registry);
    const auto weights = train::load_initial_weights(recipe, plan);
    runs::check_fit(last ? tables : runs::Tables(), recipe, plan, /*evaluates=*/last);
    if (tables.data) train::expect_a_step(recipe, plan, tables.data->images->size());
    const auto rows = runs::table_of(tables, recipe);
    const auto result =
        base::during(quiet, "one step on generated images", [&] { return train::check(recipe, plan, images); });
    base::during(quiet, "the state, saved and loaded",
                 [&] { train::expect_state_comes_back(recipe, registry, plan, images); });
    const auto there = tables.data ? tables.data->images->size() : 0;
    const auto cache = train::choose_cache(recipe.data, there, there);
    auto notes = runs::notes_on(tables, recipe);
    if (tables.data) {
        for (const auto& note : tables.data->notes) notes.push_back("[data]: " + note);
        if (const auto note = tables.data->images->note(); !note.empty()) notes.push_back("[data]: " + note);
    }
    if (const auto note = cache.warning(); there > 0 && !note.empty()) notes.push_back(note);
    if (!last) notes.clear();  // they are of the recipe, not of a stage
    notes.insert(notes.end(), result.notes.begin(), result.notes.end());
    const nlohmann::json json({{"ok", result.ok()},
                               {"terms", result.terms},
                               {"fitted", result.fitted},
                               {"without_gradient", result.without_gradient},
                               {"follower_gradient", result.follower_gradient},
                               {"problems", result.problems},
                               {"tables", to_json(rows)},
                               {"warnings", weights},
                               {"notes", notes},
                               {"trained_parameters", result.trained},
                               {"seconds", result.seconds},
                               {"memory_mib", result.memory_mib},
                               {"device_memory_mib", result.device_memory_mib},
                               {"checkpoint",
                                {{"bytes", result.weight_bytes + result.optimizer_bytes},
                                 {"weights", result.weight_bytes},
                                 {"optimizer", result.optimizer_bytes},
                                 {"most", most}}},
                               {"cache", {{"kind", cache.kind}, {"bytes", cache.bytes()}}}});
    if (!globals.json) {
        fmt::print("{}: one step on {} generated images of {} x {}\n", recipe.name, result.images,
                   recipe.data.size, recipe.data.size);
        if (!recipe.stage || recipe.stage->number == 0) summary::print_table(rows);
        for (const auto& [name, value] : result.terms) fmt::print("  {:<24} {:.6g}\n", name, value);
        if (result.terms.empty()) fmt::print("  {:<24} none: nothing is trained by gradients\n", "loss");
        if (const auto fits = fits_text(result); !fits.empty()) fmt::print("  {:<24} {}\n", "fitted", fits);
        fmt::print("  {:<24} {:.2f} M trained, {:.2f} M in all\n", "parameters",
                   static_cast<double>(result.trained) / 1e6, static_cast<double>(result.total) / 1e6);
        fmt::print(
            "  {:<24} {:.2f} s for this step, {:.0f} MiB peak{}\n", "cost", result.seconds, result.memory_mib,
            result.device_memory_mib > 0 ? fmt::format(", {:.0f} MiB of the GPU", result.device_memory_mib)
                                         : "");
        base::print_text(fmt::format("  {:<24} {}", "checkpoint", checkpoint_text(result, most)), stdout);
        if (there > 0)
            base::print_text(fmt::format("  {:<24} {}: {}", "training data", there, cache.text()), stdout);
        for (const auto& note : notes) base::print_text("note: " + note, stdout);
        for (const auto& warning : weights) base::print_text("warning: " + warning, stdout);
        for (const auto& problem : result.problems) base::print_text("problem: " + problem, stdout);
        for (const auto& name : result.without_gradient) fmt::print("no gradient: {}\n", name);
        for (const auto& name : result.follower_gradient) fmt::print("gradient where none may be: {}\n", name);
        if (result.ok()) base::print_text(ok_text(result), stdout);
    }
    if (!result.problems.empty())
        globals.exit_code = static_cast<int>(ExitCode::numeric);
    else if (!result.ok() && globals.exit_code == 0)
        globals.exit_code = static_cast<int>(ExitCode::recipe);
    return json;
}

void check(const RecipeArguments& arguments, std::int64_t images, Globals& globals) {
    const auto recipe = arguments.load(globals, recipe::table_sections);
    const auto registry = make_registry(globals, &recipe);
    say_device(recipe, globals.quiet);
    const auto quiet = globals.quiet || globals.json;
    const auto tables = base::during(quiet, "opening the tables", [&] {
        return runs::open_tables(recipe, registry, recipe::table_sections);
    });
    auto json = nlohmann::json::array();
    const auto stages = recipe::stages(recipe);
    const auto most = train::most_checkpoints(stages);
    for (const auto& stage : stages) {
        if (stage.stage && !globals.json)
            fmt::print("{}stage {} ({} of {})\n", &stage == &stages.front() ? "" : "\n", stage.stage->name,
                       stage.stage->number + 1, stage.stage->count);
        auto one = check_stage(stage, registry, tables, most, images, globals);
        if (stage.stage) one["stage"] = stage.stage->name;
        json.push_back(std::move(one));
    }
    if (globals.json)
        base::print_json(stages.front().stage ? nlohmann::json({{"stages", json}}) : json.front(), 2);
}

}  // namespace

void add_check(CLI::App& app, Globals& globals) {
    auto arguments = std::make_shared<RecipeArguments>();
    auto images = std::make_shared<std::int64_t>(2);
    auto* verb =
        app.add_subcommand("check", "Open every table of a recipe, and run one real step on generated images");
    arguments->add_to(*verb);
    verb->add_option("--images", *images, "Images in the step")->check(CLI::Range(1, 4096));
    verb->footer(
        "Opens what [data], [validate], [probe], [eval] and [detect] name, reads an image of each, and counts\n"
        "images, patients and classes. Then says what gets no gradient in a step, and how large a checkpoint\n"
        "is. A component that returns something else than it declared, changes its inputs, draws from\n"
        "something else than its Random or keeps something that no checkpoint has is named (exit code 4).\n"
        "HEARTH_TRACE=1 in the environment prints what every component returns, on standard error.\n\n"
        "Examples:\n  hearth check recipe.toml\n  hearth check recipe.toml --with my-data.toml\n  hearth check "
        "recipe.toml "
        "networks.student.backbone.size=tiny "
        "--images 4");
    verb->callback([=, &globals] { check(*arguments, *images, globals); });
}

}  // namespace hearth::cli
