// hearth bench measures what a training step costs here, and where its time goes.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>
#include <nlohmann/json.hpp>

#include "base/activity.hpp"
#include "base/counted.hpp"
#include "base/json_text.hpp"
#include "cli/cli.hpp"
#include "report/text.hpp"
#include "train/bench.hpp"

namespace hearth::cli {
namespace {

using report::Align;

constexpr std::size_t shown_rows = 8, shown_operations = 14;

bool on_gpu(const train::BenchResult& result) {
    return result.device != "cpu";
}

nlohmann::json to_json(const recipe::Recipe& recipe, const train::BenchResult& result) {
    nlohmann::json operations = nlohmann::json::array();
    for (const auto& [name, seconds, calls] : result.operations)
        operations.push_back({{"name", name}, {"seconds", seconds}, {"calls", calls}});
    nlohmann::json phases = {{"step", {{"min", result.fastest()}, {"median", result.median()}}}};
    for (const auto& [name, seconds] : result.parts) phases[name] = {{"mean", seconds}};
    return {{"recipe", recipe.name},
            {"batch", result.batch},
            {"accumulate", recipe.train.accumulate},
            {"images", result.images},
            {"precision", result.bf16 ? "bf16" : "fp32"},
            {"threads", result.threads},
            {"device", result.device},
            {"steps", result.step_seconds.size()},
            {"step_seconds", result.step_seconds},
            {"phases_s", phases},
            {"components_s", result.components},
            {"operations_s", operations},
            {"images_per_second", result.images_per_second()},
            {"flops", result.flops},
            {"gemm_flops_per_second", result.gemm_flops},
            {"utilisation", result.utilisation() ? nlohmann::json(*result.utilisation()) : nlohmann::json()},
            {"uncounted", result.uncounted},
            {"loader_stall", result.stall},
            {"host_overhead", result.host_overhead ? nlohmann::json(*result.host_overhead) : nlohmann::json()},
            {"peak_memory_mib", result.peak_memory_mib},
            {"device_memory_mib", on_gpu(result) ? nlohmann::json(result.device_memory_mib) : nlohmann::json()},
            {"trained_parameters", result.trained_parameters},
            {"last_loss", result.last_loss}};
}

/// "aten::mm"; "backward of AttentionFunction" for a name of the autograd engine, which has the whole C++ type.
std::string readable(const std::string& operation) {
    constexpr std::string_view engine = "autograd::engine::evaluate_function: ", type = "CppNode<";
    if (!operation.starts_with(engine)) return operation;
    auto name = operation.substr(engine.size());
    if (name.find(type) != std::string::npos)
        name = name.substr(name.rfind(':') + 1, name.rfind('>') - name.rfind(':') - 1);
    return "backward of " + name;
}

report::Table seconds_table(const std::string& title, const std::vector<std::pair<std::string, double>>& rows,
                            double whole) {
    report::Table table;
    table.title = title;
    table.headers = {"", "ms", "of the step"};
    table.align = {Align::left, Align::right, Align::right};
    for (const auto& [name, seconds] : rows)
        table.rows.push_back(
            {name, fmt::format("{:.1f}", 1e3 * seconds), fmt::format("{:.1f} %", 100 * seconds / whole)});
    return table;
}

std::string to_text(const recipe::Recipe& recipe, const train::BenchResult& result) {
    std::string out = fmt::format(
        "{}: {} a step, {} on {}, {}, {}\n"
        "  {:.2f} images/s; a step takes {:.3f} s (fastest {:.3f})\n",
        recipe.name, base::counted(result.images, "image"), result.bf16 ? "bf16" : "fp32", result.device,
        base::counted(result.threads, "thread"), base::counted(std::ssize(result.step_seconds), "step"),
        result.images_per_second(), result.median(), result.fastest());
    if (const auto utilisation = result.utilisation())
        out += fmt::format(
            "  {:.3g} GFLOP an image, {:.3g} GFLOP/s: {:.0f} % of the {:.3g} GFLOP/s of a matrix product "
            "here\n",
            result.flops / 1e9 / static_cast<double>(result.images), result.flops / result.median() / 1e9,
            100 * *utilisation, result.gemm_flops / 1e9);
    else
        out += fmt::format("  GFLOP an image are not known: {} multiply and cannot be counted\n",
                           join(result.uncounted, ", "));
    out += fmt::format(
        "  loader stall {:.1f} %{}, peak memory {:.0f} MiB{}, {:.2f} M trained parameters\n\n",
        100 * result.stall,
        result.host_overhead ? fmt::format(", host overhead {:.1f} %", 100 * *result.host_overhead) : "",
        result.peak_memory_mib,
        on_gpu(result) ? fmt::format(", of the GPU {:.0f} MiB", result.device_memory_mib) : "",
        static_cast<double>(result.trained_parameters) / 1e6);
    double whole = 0;
    for (const auto& [name, seconds] : result.parts) whole += seconds;
    out += report::text_table(seconds_table(on_gpu(result)
                                                ? "Where a step's time goes, the GPU waited for between parts"
                                                : "Where a step's time goes",
                                            result.parts, whole)) +
           "\n";
    auto components = result.components;
    components.resize(std::min(components.size(), shown_rows));
    out += report::text_table(seconds_table("Slowest components, forward", components, whole)) + "\n";
    std::vector<std::pair<std::string, double>> operations;
    double others = 0;
    for (const auto& [name, seconds, calls] : result.operations)
        if (operations.size() < shown_operations)
            operations.emplace_back(fmt::format("{} x {}", readable(name), calls), seconds);
        else
            others += seconds;
    operations.emplace_back("the others", others);
    return out + report::text_table(seconds_table(on_gpu(result)
                                                      ? "Slowest operations to launch, without those they call"
                                                      : "Slowest operations, without those they call",
                                                  operations, whole));
}

}  // namespace

void add_bench(CLI::App& app, Globals& globals) {
    auto arguments = std::make_shared<RecipeArguments>();
    auto request = std::make_shared<train::BenchRequest>();
    auto stage = std::make_shared<std::string>();
    auto* verb =
        app.add_subcommand("bench", "Measure a recipe's training step: images/s and where the time goes");
    arguments->add_to(*verb);
    verb->add_option("--steps", request->steps, "Steps measured")
        ->capture_default_str()
        ->check(CLI::Range(1, 10000));
    verb->add_option("--warmup", request->warmup, "Steps before them")
        ->capture_default_str()
        ->check(CLI::Range(0, 10000));
    add_stage(*verb, *stage);
    verb->add_flag(
        "--generated", request->generated,
        "One batch of phantoms made beforehand: the recipe's data is not opened, nor the loader measured");
    verb->footer(
        "Examples:\n  hearth bench recipe.toml\n  hearth bench recipe.toml train.batch=16 "
        "train.precision=bf16 --generated\n  hearth bench recipe.toml --json > bench.json\n\n"
        "GFLOP are counted in matrix products, linear layers, convolutions and fused attention. Host overhead "
        "is what is "
        "neither\n"
        "inside an operation of LibTorch nor waiting for data; a GPU has none. Its parts are those of steps "
        "that\n"
        "wait for it between any two of them. Nothing is written.");
    verb->callback([=, &globals] {
        const auto recipe =
            stage_of(arguments->load(globals, request->generated ? Opens{} : Opens{"data"}), *stage);
        const auto registry = make_registry(globals, &recipe);
        say_device(recipe, globals.quiet);
        const auto result = base::during(globals.quiet || globals.json, "measuring",
                                         [&] { return train::bench(recipe, registry, *request); });
        if (globals.json)
            base::print_json(to_json(recipe, result), 2);
        else
            fmt::print("{}", to_text(recipe, result));
    });
}

}  // namespace hearth::cli
