#include "runs/run_record.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <fstream>
#include <hearth/error.hpp>

#include "recipe/recipe.hpp"

namespace hearth::runs {
namespace {

namespace fs = std::filesystem;

constexpr double quiet_minutes = 15, quiet_hours_anywhere = 24;

nlohmann::json read_object(const fs::path& file) {
    std::ifstream in(file);
    auto json = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object())
        throw DataError(fmt::format(
            "{}: found no JSON object; the file is damaged or was not written to its end", file.string()));
    return json;
}

/// Seconds since 1970 of "2026-11-24T20:01:30Z", nothing for any other text.
std::optional<double> seconds_of(const std::string& utc) {
    std::tm time{};
    const char* end = ::strptime(utc.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time);
    if (end == nullptr || *end != '\0') return std::nullopt;
    return static_cast<double>(::timegm(&time));
}

double seconds_of(fs::file_time_type time) {
    const auto since = std::chrono::file_clock::to_sys(time).time_since_epoch();
    return std::chrono::duration<double>(since).count();
}

double last_sign_of_life(const RunRecord& record) {
    double last = seconds_of(record.run.value("heartbeat", "")).value_or(0);
    std::error_code absent;
    const auto written = fs::last_write_time(record.folder / "metrics.jsonl", absent);
    return absent ? last : std::max(last, seconds_of(written));
}

bool died(const RunRecord& record) {
    if (record.age > quiet_hours_anywhere * 3600) return true;
    const auto pid = record.run.value("pid", pid_t{0});
    const bool here = pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM);
    return record.age > quiet_minutes * 60 && !here;
}

double last_loss(const fs::path& metrics) {
    double loss = std::numeric_limits<double>::quiet_NaN();
    std::ifstream in(metrics);
    for (std::string line; std::getline(in, line);) {
        const auto entry = nlohmann::json::parse(line, nullptr, false);  // the last line may be half written
        if (entry.is_object() && entry.contains("loss") && entry["loss"].is_number()) loss = entry["loss"];
    }
    return loss;
}

std::uintmax_t size_of(const fs::path& folder) {
    std::uintmax_t bytes = 0;
    std::error_code gone;  // a run that goes on replaces its files
    for (const auto& entry : fs::recursive_directory_iterator(folder, gone))
        if (const auto size = entry.is_regular_file(gone) ? entry.file_size(gone) : 0; !gone) bytes += size;
    return bytes;
}

/// train.seed and the like; `fallback` is the default of a recipe that does not say.
std::int64_t integer(const recipe::Table& tree, const char* section, const char* key, std::int64_t fallback) {
    const auto* table = tree.find(section);
    if (table == nullptr || !table->is_table()) return fallback;
    const auto* value = table->table().find(key);
    const auto* number = value == nullptr ? nullptr : std::get_if<std::int64_t>(&value->data);
    return number == nullptr ? fallback : *number;
}

}  // namespace

std::optional<eval::Evaluation> read_evaluation(const fs::path& folder) {
    const auto file = folder / "eval.json";
    if (!fs::exists(file)) return std::nullopt;
    const auto json = read_object(file);
    try {
        return eval::evaluation_from_json(json);
    } catch (const nlohmann::json::exception& error) {
        throw DataError(
            fmt::format("{}: {}; run `hearth probe` on the folder again", file.string(), error.what()));
    }
}

fs::path run_that_holds(const fs::path& file) {
    if (!fs::is_regular_file(file)) return {};
    for (auto folder = fs::absolute(file).parent_path(); folder.has_relative_path();
         folder = folder.parent_path())
        if (fs::exists(folder / "run.json")) return folder;
    return {};
}

void expect_run(const fs::path& folder) {
    if (fs::exists(folder / "run.json")) return;
    if (const auto run = run_that_holds(folder); !run.empty())
        throw RecipeError(fmt::format("{}: found a file of a run, expected the run's folder: {}",
                                      folder.string(), run.string()));
    throw RecipeError(fmt::format("{}: found {}, expected a run folder such as runs/NAME/TIME", folder.string(),
                                  fs::is_regular_file(folder) ? "a file" : "no run.json"));
}

RunRecord read_run_record(const fs::path& folder) {
    expect_run(folder);
    RunRecord out;
    out.folder = folder;
    out.run = read_object(folder / "run.json");
    try {
        out.recipe = out.run.value("name", "");
        out.status = out.run.value("status", "");
        out.epoch = out.run.value("epoch", std::int64_t{0});
        out.step = out.run.value("step", std::int64_t{0});
        out.age = static_cast<double>(std::time(nullptr)) - last_sign_of_life(out);
        if (out.status == "running" && died(out)) out.status = "died";
    } catch (const nlohmann::json::exception& error) {
        throw DataError(fmt::format("{}: {}", (folder / "run.json").string(), error.what()));
    }
    if (!fs::exists(folder / "resolved.toml"))
        throw DataError(
            fmt::format("{}: found no resolved.toml, expected the recipe of the run", folder.string()));
    out.resolved = recipe::load_tree(folder / "resolved.toml");
    const recipe::TrainSpec defaults;
    out.seed = integer(out.resolved, "train", "seed", defaults.seed);
    out.epochs = integer(out.resolved, "train", "epochs", defaults.epochs);
    out.loss = last_loss(folder / "metrics.jsonl");
    out.bytes = size_of(folder);
    out.evaluation = read_evaluation(folder);
    return out;
}

std::vector<fs::path> find_runs(const fs::path& root) {
    if (!fs::is_directory(root))
        throw RecipeError(fmt::format("{}: found no such folder, expected one with runs", root.string()));
    std::vector<fs::path> out;
    if (fs::exists(root / "run.json")) out.push_back(root);
    for (const auto& entry : fs::recursive_directory_iterator(root))
        if (entry.path().filename() == "run.json" && entry.path().parent_path() != root)
            out.push_back(entry.path().parent_path());
    std::ranges::sort(out);
    return out;
}

}  // namespace hearth::runs
