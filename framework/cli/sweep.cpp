// hearth sweep: every recipe with every seed, one run folder each, and one table of what came out.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <hearth/text.hpp>
#include <numeric>

#include "cli/run.hpp"
#include "train/files.hpp"
#include "train/progress.hpp"
#include "train/run_folder.hpp"

extern char** environ;

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

struct SweepFlags {
    std::vector<std::string> words;  ///< folders, recipes and overrides
    std::string seeds = "1";
    bool dry_run = false;
};

struct Job {
    std::string recipe;  ///< its name
    fs::path file, folder;
    std::int64_t seed = 0;
    std::string hash;
    std::string state;  ///< "finished", "new", "unfinished", "failed (exit code 3)"
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
    if (out.empty()) throw RecipeError("--seeds: found no seed, expected at least one");
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

nlohmann::json read_or_null(const fs::path& file) {
    std::ifstream stream(file);
    return stream ? nlohmann::json::parse(stream, nullptr, /*allow_exceptions=*/false) : nlohmann::json();
}

/// What the run folder says about the job. A folder of another recipe is refused, never overwritten.
std::string state_of(const Job& job) {
    const auto run = read_or_null(job.folder / "run.json");
    if (!run.is_object()) return "new";
    const auto hash = run.value("recipe_hash", "");
    if (hash != job.hash)
        throw RecipeError(
            fmt::format("{} holds a run of another recipe (hash {}, expected {}): choose another --out, "
                        "or delete that folder",
                        job.folder.string(), hash, job.hash));
    return run.value("status", "") == "finished" && fs::exists(job.folder / "report.html") ? "finished"
                                                                                           : "unfinished";
}

// Runs this program again, so that a run that fails or runs out of memory takes nothing else with it. What it
// prints goes to the terminal, or to `log` with --quiet.
int run_hearth(const std::vector<std::string>& arguments, const fs::path& log) {
    std::vector<char*> argv;
    std::string program = "hearth";
    argv.push_back(program.data());
    auto words = arguments;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (!log.empty()) {
        posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        posix_spawn_file_actions_adddup2(&actions, 1, 2);
    }
    pid_t child = 0;
    const int failed = posix_spawn(&child, own_program().c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0)
        throw Error(ExitCode::internal, fmt::format("cannot start a run: {}", std::strerror(failed)));
    // Ctrl-C reaches the run too, which writes its checkpoint; this process only waits for it.
    const auto previous = std::signal(SIGINT, SIG_IGN);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    std::signal(SIGINT, previous);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<std::string> train_arguments(const Job& job, const std::vector<std::string>& overrides,
                                         const Globals& globals) {
    std::vector<std::string> out = {"train", job.file.string()};
    out.insert(out.end(), overrides.begin(), overrides.end());
    out.push_back(fmt::format("train.seed={}", job.seed));
    out.insert(out.end(), {"--out", job.folder.string()});
    for (const auto& folder : globals.plugin_paths) out.insert(out.end(), {"--plugin-path", folder});
    if (!globals.device.empty()) out.insert(out.end(), {"--device", globals.device});
    if (job.state != "new") out.emplace_back("--resume");
    if (globals.quiet || globals.json) out.emplace_back("--quiet");
    return out;
}

double deviation(const std::vector<double>& values) {
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
    double sum = 0;
    for (const double value : values) sum += (value - mean) * (value - mean);
    return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

const std::vector<std::pair<const char*, const char*>> columns = {
    {"linear", "trained"}, {"knn", "trained"}, {"linear", "untrained"}, {"knn", "untrained"}};

std::vector<eval::Evaluation> evaluations_of(const std::vector<Job>& jobs, const std::string& recipe) {
    std::vector<eval::Evaluation> out;
    for (const auto& job : jobs)
        if (job.recipe == recipe && job.state == "finished")
            if (auto evaluation = read_evaluation(job.folder)) out.push_back(std::move(*evaluation));
    return out;
}

/// "0.967 ± 0.004 [0.954, 0.979]": mean, deviation over seeds, interval by patient.
std::string auc_text(const std::vector<eval::Evaluation>& runs, const std::string& classifier,
                     const std::string& model) {
    const auto mean = eval::mean_auc(runs, classifier, model);
    if (!mean) return "-";
    std::vector<double> values;
    for (const auto& run : runs)
        for (const auto& score : run.scores)
            if (score.classifier == classifier && score.model == model) values.push_back(score.auc.value);
    auto text = fmt::format("{:.3f}", mean->value);
    if (values.size() > 1) text += fmt::format(" ± {:.3f}", deviation(values));
    if (!std::isnan(mean->low)) text += fmt::format(" [{:.3f}, {:.3f}]", mean->low, mean->high);
    return text;
}

std::vector<std::string> names_of(const std::vector<Job>& jobs) {
    std::vector<std::string> names;
    for (const auto& job : jobs)
        if (std::find(names.begin(), names.end(), job.recipe) == names.end()) names.push_back(job.recipe);
    return names;
}

report::Table sweep_table(const std::vector<Job>& jobs) {
    report::Table table;
    table.title = "Sweep";
    table.headers = {"recipe", "runs", "linear AUC", "k-NN AUC", "linear, untrained", "k-NN, untrained"};
    table.align = {report::Align::left};
    table.align.resize(table.headers.size(), report::Align::right);
    for (const auto& name : names_of(jobs)) {
        const auto runs = evaluations_of(jobs, name);
        const auto of_recipe = [&](const Job& job) { return job.recipe == name; };
        const auto finished = std::count_if(jobs.begin(), jobs.end(), [&](const Job& job) {
            return of_recipe(job) && job.state == "finished";
        });
        std::vector<std::string> row = {
            name, fmt::format("{}/{}", finished, std::count_if(jobs.begin(), jobs.end(), of_recipe))};
        for (const auto& [classifier, model] : columns) row.push_back(auc_text(runs, classifier, model));
        table.rows.push_back(std::move(row));
    }
    table.caption =
        "AUC: mean ± standard deviation over seeds, and the 95 % interval of that mean (bootstrap over test "
        "patients, the same for every seed).";
    return table;
}

std::string sweep_csv(const std::vector<Job>& jobs) {
    std::string out = "recipe,seed,state,classifier,features,auc,low,high,run\n";
    for (const auto& job : jobs) {
        const auto start = fmt::format("{},{},{}", job.recipe, job.seed, job.state);
        const auto evaluation = job.state == "finished" ? read_evaluation(job.folder) : std::nullopt;
        if (!evaluation) out += fmt::format("{},,,,,,{}\n", start, job.folder.string());
        if (evaluation)
            for (const auto& score : evaluation->scores)
                out += fmt::format("{},{},{},{:.6f},{:.6f},{:.6f},{}\n", start, score.classifier, score.model,
                                   score.auc.value, score.auc.low, score.auc.high, job.folder.string());
    }
    return out;
}

void write_tables(const std::vector<Job>& jobs, const fs::path& out) {
    fs::create_directories(out);
    train::write_atomically(out / "sweep.csv", sweep_csv(jobs));
    train::write_atomically(out / "sweep.md", report::markdown_table(sweep_table(jobs)));
}

std::vector<Job> plan_jobs(const SweepFlags& flags, const std::vector<std::string>& overrides,
                           const fs::path& out, const Globals& globals) {
    std::vector<Job> jobs;
    std::map<std::string, fs::path> files;
    for (const auto& file : find_recipes(flags.words))
        for (const auto seed : read_seeds(flags.seeds)) {
            RecipeArguments arguments{file.string(), overrides};
            arguments.overrides.push_back(fmt::format("train.seed={}", seed));
            const auto recipe = arguments.load(globals);
            const auto [known, fresh] = files.emplace(recipe.name, file);
            if (!fresh && known->second != file)
                throw RecipeError(fmt::format("{} and {} are both called '{}'; give one of them another name",
                                              known->second.string(), file.string(), recipe.name));
            Job job{recipe.name,
                    file,
                    out / recipe.name / fmt::format("seed-{}", seed),
                    seed,
                    train::recipe_hash(recipe),
                    ""};
            job.state = state_of(job);
            jobs.push_back(std::move(job));
        }
    return jobs;
}

void sweep(const SweepFlags& flags, Globals& globals) {
    std::vector<std::string> overrides;
    std::copy_if(flags.words.begin(), flags.words.end(), std::back_inserter(overrides),
                 [](const std::string& word) { return word.find('=') != std::string::npos; });
    if (globals.seed >= 0) throw RecipeError("found --seed, expected --seeds: how many, or which (0,7,42)");
    const fs::path out = globals.out.empty() ? fs::path("runs/sweep") : fs::path(globals.out);
    auto jobs = plan_jobs(flags, overrides, out, globals);
    const auto print = [&](const std::string& line) {
        if (!globals.quiet && !globals.json) fmt::print(stderr, "{}\n", line);
    };
    if (flags.dry_run) {
        for (const auto& job : jobs)
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
            eta = ", ETA " + train::duration_text(elapsed / static_cast<double>(ran) *
                                                  static_cast<double>(jobs.size() - done + 1));
        print(fmt::format("[{}/{}] {} seed {}{}", done, jobs.size(), job.recipe, job.seed, eta));
        fs::create_directories(job.folder.parent_path());
        const auto log = globals.quiet || globals.json
                             ? job.folder.parent_path() / (job.folder.filename().string() + ".log")
                             : fs::path();
        const int code = run_hearth(train_arguments(job, overrides, globals), log);
        ++ran;
        job.state = code == 0 ? "finished" : fmt::format("failed (exit code {})", code);
        if (code == static_cast<int>(ExitCode::stopped)) {
            job.state = "unfinished";
            globals.exit_code = code;
            print("stopped; the same command goes on from here");
            break;
        }
        if (code != 0) {
            if (globals.exit_code == 0) globals.exit_code = code;
            print(fmt::format("{} seed {} {}; going on with the others", job.recipe, job.seed, job.state));
        }
        write_tables(jobs, out);
    }
    write_tables(jobs, out);
    if (globals.json) {
        auto rows = nlohmann::json::array();
        for (const auto& job : jobs)
            rows.push_back({{"recipe", job.recipe},
                            {"seed", job.seed},
                            {"state", job.state},
                            {"run", job.folder.string()}});
        fmt::print("{}\n", nlohmann::json({{"runs", rows}, {"table", (out / "sweep.csv").string()}}).dump(2));
        return;
    }
    fmt::print("\n{}\ntable: {}\n", report::text_table(sweep_table(jobs)), (out / "sweep.md").string());
}

}  // namespace

void add_sweep(CLI::App& app, Globals& globals) {
    auto flags = std::make_shared<SweepFlags>();
    auto* verb = app.add_subcommand("sweep", "Train every recipe of a folder with several seeds; one table");
    verb->add_option("recipes", flags->words, "Folders of recipes, recipes, and key=value for all of them")
        ->required()
        ->type_name("WHAT");
    verb->add_option("--seeds", flags->seeds, "How many (3 = 0, 1, 2), or which (0,7,42)")
        ->capture_default_str();
    verb->add_flag("--dry-run", flags->dry_run, "Only list the runs and what is there of them");
    verb->footer(
        "Runs go to OUT/RECIPE/seed-N (--out, default runs/sweep), the table to OUT/sweep.md and sweep.csv. "
        "What is\n"
        "finished is skipped, what was interrupted goes on: after Ctrl-C, give the same command again. A run "
        "that\n"
        "fails is reported and the others go on; the exit code is then that of the first one that failed.\n\n"
        "Examples:\n  hearth sweep recipes/mine --seeds 3\n"
        "  hearth sweep a.toml b.toml train.epochs=50 --seeds 0,1 --out runs/short\n"
        "  hearth sweep recipes/mine --seeds 3 --dry-run");
    verb->callback([flags, &globals] { sweep(*flags, globals); });
}

}  // namespace hearth::cli
