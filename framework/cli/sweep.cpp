// hearth sweep trains every recipe with every seed, in one run folder each, and makes one table of what came
// out.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <hearth/text.hpp>
#include <numeric>

#include "base/activity.hpp"
#include "base/json_text.hpp"
#include "base/time_text.hpp"
#include "cli/child.hpp"
#include "cli/run.hpp"
#include "summary/plots.hpp"
#include "summary/print_table.hpp"
#include "summary/sweep_table.hpp"
#include "train/progress.hpp"
#include "train/run_folder.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

struct SweepFlags {
    std::vector<std::string> words;  ///< folders, recipes and overrides
    std::vector<std::string> with;   ///< fragments, on top of every recipe
    std::string seeds = "1";
    bool dry_run = false;
};

// "3" -> 0, 1, 2; "0,7" -> 0, 7.
std::vector<std::int64_t> read_seeds(const std::string& text) {
    std::vector<std::int64_t> out;
    std::istringstream stream(text);
    for (std::string word; std::getline(stream, word, ',');) {
        if (word.empty() || word.size() > 9 || word.find_first_not_of("0123456789") != std::string::npos)
            throw RecipeError(fmt::format(
                "--seeds: found '{}', expected how many (3 = seeds 0, 1, 2) or a list (0,7,42)", text));
        out.push_back(std::stoll(word));
    }
    if (out.size() == 1 && text.find(',') == std::string::npos) {
        const auto count = out.front();
        out.resize(static_cast<std::size_t>(count));
        std::iota(out.begin(), out.end(), std::int64_t{0});
    }
    if (out.empty())
        throw RecipeError("--seeds: found 0, expected how many, at least 1; seed 0 alone is written 0,");
    return out;
}

/// The recipes among the words, folders searched (not their subfolders), in alphabetical order within a folder.
std::vector<fs::path> find_recipes(const std::vector<std::string>& words) {
    std::vector<fs::path> out;
    for (const auto& word : words) {
        if (word.find('=') != std::string::npos) continue;
        if (!fs::exists(word))
            throw RecipeError(
                fmt::format("{}: found no such recipe or folder, expected a recipe (.toml), a folder of "
                            "recipes, or key=value",
                            word));
        if (!fs::is_directory(word)) {
            out.emplace_back(word);
            continue;
        }
        std::vector<fs::path> inside;
        for (const auto& entry : fs::directory_iterator(word))
            if (entry.path().extension() == ".toml") inside.push_back(entry.path());
        if (inside.empty())
            throw RecipeError(fmt::format("{}: found no recipe, expected .toml files in this folder", word));
        std::sort(inside.begin(), inside.end());
        out.insert(out.end(), inside.begin(), inside.end());
    }
    if (out.empty()) throw RecipeError("found no recipe, expected at least one recipe or folder of recipes");
    return out;
}

/// What the run folder says about the job. A folder of another recipe is refused, never overwritten.
std::string state_of(const runs::Job& job, const recipe::Recipe& recipe) {
    const auto run = base::read_json_file(job.folder / "run.json");
    if (!run.is_object()) return "new";
    const auto hash = run.value("recipe_hash", "");
    if (hash != job.hash)
        throw RecipeError(
            fmt::format("{} holds a run of another recipe (hash {}, expected {}): choose another --out, "
                        "or delete that folder{}",
                        job.folder.string(), hash, job.hash, train::recipe_changes(job.folder, recipe)));
    return run.value("status", "") == "finished" && fs::exists(job.folder / "report.html") ? "finished"
                                                                                           : "unfinished";
}

/// What became of a run whose process has ended. Only run.json says that it is finished.
std::string state_after(const Ended& ended, const fs::path& folder) {
    const auto run = base::read_json_file(folder / "run.json");
    const auto status = run.is_object() ? run.value("status", "") : "";
    if (ended.code == static_cast<int>(ExitCode::stopped)) return "unfinished";
    if (ended.signal == SIGINT || ended.signal == SIGTERM) return "unfinished";  // somebody means it
    if (ended.signal != 0 || status == "died") return fmt::format("died ({})", ended.text());
    if (ended.code != 0) return fmt::format("failed ({})", ended.text());
    return status == "finished" ? "finished" : "died (it ended without a word)";
}

std::vector<std::string> train_arguments(const runs::Job& job, const std::vector<std::string>& with,
                                         const Globals& globals) {
    std::vector<std::string> out = {"train", job.file.string()};
    out.insert(out.end(), job.overrides.begin(), job.overrides.end());
    out.push_back(fmt::format("train.seed={}", job.seed));
    for (const auto& fragment : with) out.insert(out.end(), {"--with", fragment});
    out.insert(out.end(), {"--out", job.folder.string()});
    for (const auto& folder : globals.plugin_paths) out.insert(out.end(), {"--plugin-path", folder});
    if (globals.locked) out.emplace_back("--locked");
    if (globals.strict) out.emplace_back("--strict");
    if (!globals.device.empty()) out.insert(out.end(), {"--device", globals.device});
    if (job.state != "new") out.emplace_back("--resume");
    if (globals.quiet || globals.json) out.emplace_back("--quiet");
    return out;
}

/// Every combination of the values that the words give: {a=1,2, b=3} -> {{a=1, b=3}, {a=2, b=3}}.
std::vector<std::vector<std::string>> combinations(const std::vector<std::string>& words) {
    std::vector<std::vector<std::string>> out = {{}};
    for (const auto& word : words) {
        std::vector<std::vector<std::string>> longer;
        for (const auto& start : out)
            for (const auto& value : runs::split_values(word)) {
                longer.push_back(start);
                longer.back().push_back(value);
            }
        out = std::move(longer);
    }
    return out;
}

/// What tells this combination from the others: " k=64" of the words that have several values, by the last part
/// of their keys.
std::string label_of(const std::vector<std::string>& words, const std::vector<std::string>& chosen) {
    std::string out;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (runs::split_values(words[i]).size() < 2) continue;
        const auto equals = chosen[i].find('=');
        const auto dot = chosen[i].rfind('.', equals);
        out += " " + (dot == std::string::npos ? chosen[i] : chosen[i].substr(dot + 1));
    }
    return out;
}

std::string as_file_name(std::string name) {
    std::replace(name.begin(), name.end(), ' ', ',');
    for (const char c : {'/', '\\', '"', '\''}) std::replace(name.begin(), name.end(), c, '_');
    return name;
}

std::vector<runs::Job> plan_jobs(const SweepFlags& flags, const std::vector<std::string>& words,
                                 const fs::path& out, const Globals& globals) {
    std::vector<runs::Job> jobs;
    std::map<std::string, fs::path> files;
    for (const auto& file : find_recipes(flags.words))
        for (const auto& overrides : combinations(words))
            for (const auto seed : read_seeds(flags.seeds)) {
                RecipeArguments arguments{file.string(), overrides, flags.with};
                arguments.overrides.push_back(fmt::format("train.seed={}", seed));
                const auto recipe = arguments.load(globals, recipe::table_sections);
                const auto name = recipe.name + label_of(words, overrides);
                const auto [known, fresh] = files.emplace(name, file);
                if (!fresh && known->second != file)
                    throw RecipeError(
                        fmt::format("{} and {} are both called '{}'; give one of them another name",
                                    known->second.string(), file.string(), name));
                runs::Job job{.recipe = name,
                              .file = file,
                              .folder = out / as_file_name(name) / fmt::format("seed-{}", seed),
                              .overrides = overrides,
                              .seed = seed,
                              .hash = train::recipe_hash(recipe),
                              .state = ""};
                job.state = state_of(job, recipe);
                jobs.push_back(std::move(job));
            }
    return jobs;
}

/// The published figures of the folders among the words.
runs::Published find_published(const std::vector<std::string>& words) {
    runs::Published out;
    for (const auto& word : words) {
        auto found = runs::read_published(fs::path(word) / "published.csv");
        if (found.columns.empty()) continue;
        if (!out.columns.empty() && out.columns != found.columns)
            throw DataError(
                fmt::format("{}/published.csv: found other columns than in another folder's, expected {}", word,
                            join(out.columns, ", ")));
        out.columns = found.columns;
        out.rows.merge(found.rows);
    }
    return out;
}

nlohmann::json json_of(const std::vector<runs::Job>& jobs) {
    auto rows = nlohmann::json::array();
    for (const auto& job : jobs)
        rows.push_back(
            {{"recipe", job.recipe}, {"seed", job.seed}, {"state", job.state}, {"run", job.folder.string()}});
    return rows;
}

void sweep(const SweepFlags& flags, Globals& globals) {
    std::vector<std::string> assignments;
    std::copy_if(flags.words.begin(), flags.words.end(), std::back_inserter(assignments),
                 [](const std::string& word) { return word.find('=') != std::string::npos; });
    if (globals.seed >= 0) throw RecipeError("found --seed, expected --seeds: how many, or which (0,7,42)");
    const fs::path out = globals.out.empty() ? fs::path("runs/sweep") : fs::path(globals.out);
    auto jobs = plan_jobs(flags, assignments, out, globals);
    const auto published = find_published(flags.words);
    const auto print = [&](const std::string& line) {
        if (!globals.quiet && !globals.json) fmt::print(stderr, "{}\n", line);
    };
    if (flags.dry_run) {
        if (globals.json) base::print_json(nlohmann::json({{"runs", json_of(jobs)}}), 2);
        for (const auto& job : jobs)
            if (!globals.json)
                fmt::print("{}  seed {}  {}  {}\n", job.recipe, job.seed, job.state, job.folder.string());
        return;
    }
    const auto start = std::chrono::steady_clock::now();
    std::size_t done = 0, ran = 0;
    for (auto& job : jobs) {
        ++done;
        if (job.state == "finished") {
            print(fmt::format("[{}/{}] {} seed {}: finished before", done, jobs.size(), job.recipe, job.seed));
            continue;
        }
        std::string eta;
        const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (ran > 0)
            eta = ", ETA " + base::duration_text(elapsed / static_cast<double>(ran) *
                                                 static_cast<double>(jobs.size() - done + 1));
        print(fmt::format("[{}/{}] {} seed {}{}", done, jobs.size(), job.recipe, job.seed, eta));
        fs::create_directories(job.folder.parent_path());
        const auto log = globals.quiet || globals.json
                             ? job.folder.parent_path() / (job.folder.filename().string() + ".log")
                             : fs::path();
        const auto ended = run_hearth(train_arguments(job, flags.with, globals), log);
        ++ran;
        job.state = state_after(ended, job.folder);
        if (job.state == "unfinished") {
            globals.exit_code = ended.code;
            print("stopped; the same command goes on from here");
            break;
        }
        if (job.state != "finished") {
            const int code = ended.code != 0 ? ended.code : static_cast<int>(ExitCode::plugin);
            if (globals.exit_code == 0) globals.exit_code = code;
            print(fmt::format("{} seed {} {}; going on with the others", job.recipe, job.seed, job.state));
        }
        summary::write_sweep_tables(jobs, published, out);
    }
    base::during(globals.quiet || globals.json, "table of the sweep",
                 [&] { summary::write_sweep_tables(jobs, published, out); });
    if (globals.json) {
        base::print_json(nlohmann::json({{"runs", json_of(jobs)}, {"table", (out / "sweep.csv").string()}}), 2);
        return;
    }
    fmt::print("\n");
    summary::print_table(summary::sweep_table(jobs, published));
    fmt::print("table: {}\n", (out / "sweep.md").string());
}

}  // namespace

void add_sweep(CLI::App& app, Globals& globals) {
    auto flags = std::make_shared<SweepFlags>();
    auto* verb =
        app.add_subcommand("sweep", "Train recipes with several seeds and values of options; one table");
    verb->add_option(
            "recipes", flags->words,
            "Folders of recipes, recipes, key=value for all of them, and key=a,b to try several values")
        ->required()
        ->type_name("WHAT");
    add_with(*verb, flags->with,
             "Put this recipe on top of each, such as my-data.toml of `hearth data recipe`");
    verb->add_option("--seeds", flags->seeds, "How many (3 = 0, 1, 2), or which (0,7,42)")
        ->capture_default_str();
    verb->add_flag("--dry-run", flags->dry_run, "Only list the runs and what is there of them");
    verb->footer(
        "Runs go to OUT/RECIPE/seed-N (--out, default runs/sweep), the table to OUT/sweep.md, sweep.csv and\n"
        "sweep.html, beside the figures of a published.csv in the folder of recipes, if there is one. "
        "What is\n"
        "finished is skipped, what was interrupted goes on: after Ctrl-C, give the same command again. A run "
        "that\n"
        "fails is reported and the others go on; the exit code is then that of the first one that failed.\n\n"
        "Examples:\n  hearth sweep recipes/mine --seeds 3\n"
        "  hearth sweep a.toml b.toml train.epochs=50 --seeds 0,1 --out runs/short\n"
        "  hearth sweep a.toml networks.student.heads.project.out=64,256 optimizer.lr=1e-4,5e-4\n"
        "  hearth sweep recipes/ablation --with my-data.toml\n"
        "  hearth sweep recipes/mine --seeds 3 --dry-run");
    verb->callback([flags, &globals] { sweep(*flags, globals); });
}

}  // namespace hearth::cli
