// hearth sweep trains every recipe with every seed, in one run folder each, and makes one table of what came
// out.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <hearth/text.hpp>
#include <iterator>
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
    std::vector<std::string> words;     ///< folders, recipes and overrides
    std::vector<std::string> with;      ///< fragments, on top of every recipe
    std::vector<std::string> finetune;  ///< overrides for recipes in finetune/
    std::string seeds = "1";
    bool dry_run = false, no_finetune = false;
};

const std::string from_scratch =
    "from scratch";  ///< the row of what is fine-tuned without having learned before

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

/// The recipes of a folder, in alphabetical order; its subfolders are not searched.
std::vector<fs::path> recipes_in(const fs::path& folder) {
    std::vector<fs::path> out;
    if (!fs::is_directory(folder)) return out;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == ".toml") out.push_back(entry.path());
    std::sort(out.begin(), out.end());
    return out;
}

/// The recipes that the words name, and those that go on from what they learn: of a folder, those in its
/// subfolder `finetune`.
struct Group {
    std::vector<fs::path> recipes, finetune;
};

std::vector<Group> find_recipes(const std::vector<std::string>& words) {
    std::vector<Group> out;
    for (const auto& word : words) {
        if (word.find('=') != std::string::npos) continue;
        if (!fs::exists(word))
            throw RecipeError(
                fmt::format("{}: found no such recipe or folder, expected a recipe (.toml), a folder of "
                            "recipes, or key=value",
                            word));
        if (!fs::is_directory(word)) {
            out.push_back({.recipes = {word}, .finetune = {}});
            continue;
        }
        auto inside = recipes_in(word);
        if (inside.empty())
            throw RecipeError(fmt::format("{}: found no recipe, expected .toml files in this folder", word));
        out.push_back({.recipes = std::move(inside), .finetune = recipes_in(fs::path(word) / "finetune")});
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

/// What makes the weights that a fine-tuning starts from: import also resamples positions to its image size.
std::vector<std::string> import_arguments(const runs::Job& job, const std::vector<std::string>& with,
                                          const Globals& globals) {
    std::vector<std::string> out = {"import", job.weights.string(), job.file.string()};
    std::ranges::copy_if(job.overrides, std::back_inserter(out),
                         [](const std::string& word) { return word.find(".init_from=") == std::string::npos; });
    for (const auto& fragment : with) out.insert(out.end(), {"--with", fragment});
    out.insert(out.end(), {"--prefix", job.prefix, "--out", job.start.string(), "--quiet"});
    for (const auto& folder : globals.plugin_paths) out.insert(out.end(), {"--plugin-path", folder});
    return out;
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

/// The first network that has a backbone of its own.
const recipe::NetworkSpec& first_trained(const recipe::Recipe& recipe) {
    for (const auto& network : recipe.networks)
        if (network.backbone) return network;
    throw RecipeError(
        fmt::format("recipe '{}' has no network with a backbone, so nothing can be fine-tuned with it "
                    "or from it; --no-finetune leaves that out",
                    recipe.name));
}

/// The network that the results of a recipe speak of.
const recipe::NetworkSpec& evaluated(const recipe::Recipe& recipe) {
    const auto& read = recipe.eval ? recipe.eval : recipe.probe;
    const auto* network = read ? recipe.network(read->network) : nullptr;
    return network != nullptr ? *network : first_trained(recipe);
}

/// Overrides of `next`: its backbone is built as the one that was trained where it does not say.
std::vector<std::string> built_alike(const recipe::Recipe& trained, const recipe::Recipe& next) {
    const auto& into = first_trained(next);
    const auto& from = evaluated(trained);
    const auto* built = from.follows.empty() ? &from : trained.network(from.follows);
    std::vector<std::string> out;
    if (built == nullptr || !built->backbone) return out;  // what is missing is said when weights are read
    const auto& options = built->backbone->options;
    for (std::size_t i = 0; i < options.keys().size(); ++i)
        if (const auto& name = options.keys()[i]; into.backbone->options.find(name) == nullptr)
            out.push_back(fmt::format("networks.{}.backbone.{}={}", into.name, name, options.at(i).to_toml()));
    return out;
}

/// Lists the jobs of a sweep; two files never share a name.
class Planner {
  public:
    Planner(const SweepFlags& flags, fs::path out, const Globals& globals)
        : flags_(flags), out_(std::move(out)), globals_(globals) {}

    /// Each recipe with each combination of values and each seed, then what is fine-tuned from it. `words` are the
    /// overrides.
    std::vector<runs::Job> plan(const std::vector<std::string>& words) {
        const auto seeds = read_seeds(flags_.seeds);
        bool finetunes = false;
        for (const auto& group : find_recipes(flags_.words)) {
            const auto after = flags_.no_finetune ? std::vector<fs::path>() : group.finetune;
            finetunes = finetunes || !after.empty();
            for (const auto& file : group.recipes)
                for (const auto& overrides : combinations(words))
                    for (const auto seed : seeds) {
                        const auto label = label_of(words, overrides);
                        const auto recipe = train(file, overrides, label, seed);
                        // Whoever has seen all labels has nothing to show with few of them.
                        if (!recipe.data.label.empty()) continue;
                        for (const auto& next : after) finetune(next, jobs_[trained_], recipe);
                    }
            for (const auto& next : after)
                for (const auto seed : seeds) finetune(next, scratch(seed), {});
        }
        if (!flags_.finetune.empty() && !finetunes)
            throw RecipeError(fmt::format(
                "--finetune {}: nothing is fine-tuned here; expected recipes in a subfolder `finetune` of a "
                "folder of recipes, and no --no-finetune",
                flags_.finetune.front()));
        return std::move(jobs_);
    }

  private:
    recipe::Recipe load(runs::Job& job) const {
        RecipeArguments arguments{job.file.string(), job.overrides, flags_.with};
        arguments.overrides.push_back(fmt::format("train.seed={}", job.seed));
        auto recipe = arguments.load(globals_, recipe::table_sections);
        job.hash = train::recipe_hash(recipe);
        return recipe;
    }
    void expect_one(const std::string& name, const fs::path& file) {
        const auto [known, fresh] = files_.emplace(name, file);
        if (!fresh && known->second != file)
            throw RecipeError(fmt::format("{} and {} are both called '{}'; give one of them another name",
                                          known->second.string(), file.string(), name));
    }
    void add(runs::Job job, const recipe::Recipe& recipe) {
        job.state = state_of(job, recipe);
        jobs_.push_back(std::move(job));
    }

    recipe::Recipe train(const fs::path& file, const std::vector<std::string>& overrides,
                         const std::string& label, std::int64_t seed) {
        runs::Job job{.recipe = "", .file = file, .folder = {}, .overrides = overrides, .seed = seed};
        auto recipe = load(job);
        job.recipe = recipe.name + label;
        expect_one(job.recipe, file);
        job.folder = out_ / as_file_name(job.recipe) / fmt::format("seed-{}", seed);
        trained_ = jobs_.size();
        add(std::move(job), recipe);
        return recipe;
    }

    /// What stands for the run of no recipe.
    runs::Job scratch(std::int64_t seed) const {
        return {.recipe = from_scratch,
                .file = {},
                .folder = out_ / "scratch" / fmt::format("seed-{}", seed),
                .overrides = {},
                .seed = seed};
    }

    /// `trained` is the recipe of the run; nothing: from scratch.
    void finetune(const fs::path& file, runs::Job run, const std::optional<recipe::Recipe>& trained) {
        runs::Job job{.recipe = run.recipe,
                      .weights = trained ? run.folder / "checkpoints" / "last.safetensors" : fs::path(),
                      .file = file,
                      .folder = {},
                      .overrides = flags_.finetune,
                      .seed = run.seed};
        auto recipe = load(job);
        job.finetune = recipe.name;
        expect_one(job.finetune, file);
        const auto folder = run.folder.parent_path() / as_file_name(job.finetune) / run.folder.filename();
        if (trained) {
            const auto alike = built_alike(*trained, recipe);
            job.overrides.insert(job.overrides.end(), alike.begin(), alike.end());
            job.prefix = evaluated(*trained).name + ".backbone.";
            job.start = folder;
            job.start += "-start.safetensors";
            job.overrides.push_back(
                fmt::format("networks.{}.init_from=\"{}\"", first_trained(recipe).name, job.start.string()));
            recipe = load(job);
        }
        job.folder = folder;
        add(std::move(job), recipe);
    }

    const SweepFlags& flags_;
    fs::path out_;
    const Globals& globals_;
    std::vector<runs::Job> jobs_;
    std::size_t trained_ = 0;  ///< the place of the last job that is no fine-tuning
    std::map<std::string, fs::path> files_;
};

/// "full seed 0", "full finetune-1 seed 0".
std::string text_of(const runs::Job& job) {
    return fmt::format("{}{} seed {}", job.recipe, job.finetune.empty() ? "" : " " + job.finetune, job.seed);
}

/// Whether the run that made the weights of `job` is finished.
bool was_trained(const runs::Job& job, const std::vector<runs::Job>& jobs) {
    return std::ranges::any_of(jobs, [&](const runs::Job& other) {
        return other.finetune.empty() && other.recipe == job.recipe && other.seed == job.seed &&
               other.state == "finished";
    });
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
        rows.push_back({{"recipe", job.recipe},
                        {"finetune", job.finetune.empty() ? nlohmann::json() : nlohmann::json(job.finetune)},
                        {"seed", job.seed},
                        {"state", job.state},
                        {"run", job.folder.string()}});
    return rows;
}

/// For a terminal, where a path a line would not fit.
report::Table table_of(const std::vector<runs::Job>& jobs, const fs::path& out) {
    report::Table table;
    table.headers = {"recipe", "fine-tuning", "seed", "state"};
    table.align = {report::Align::left, report::Align::left, report::Align::right, report::Align::left};
    for (const auto& job : jobs)
        table.rows.push_back({job.recipe, job.finetune, std::to_string(job.seed), job.state});
    table.caption = fmt::format("{} runs, in {}/RECIPE/seed-N and {}/RECIPE/FINE-TUNING/seed-N", jobs.size(),
                                out.string(), out.string());
    return table;
}

void sweep(const SweepFlags& flags, Globals& globals) {
    std::vector<std::string> assignments;
    std::copy_if(flags.words.begin(), flags.words.end(), std::back_inserter(assignments),
                 [](const std::string& word) { return word.find('=') != std::string::npos; });
    if (globals.seed >= 0) throw RecipeError("found --seed, expected --seeds: how many, or which (0,7,42)");
    const fs::path out = globals.out.empty() ? fs::path("runs/sweep") : fs::path(globals.out);
    auto jobs = Planner(flags, out, globals).plan(assignments);
    const auto published = find_published(flags.words);
    const auto print = [&](const std::string& line) {
        if (!globals.quiet && !globals.json) fmt::print(stderr, "{}\n", line);
    };
    for (const auto& [name, figures] : published.rows)
        if (std::ranges::none_of(jobs, [&](const runs::Job& job) { return job.recipe == name; }))
            print(fmt::format("warning: published.csv has figures of '{}', which none of these runs is called",
                              name));
    if (flags.dry_run) {
        if (globals.json)
            base::print_json(nlohmann::json({{"runs", json_of(jobs)}}), 2);
        else if (::isatty(STDOUT_FILENO) == 1)
            summary::print_table(table_of(jobs, out));
        else
            for (const auto& job : jobs)
                fmt::print("{}{}  seed {}  {}  {}\n", job.recipe,
                           job.finetune.empty() ? "" : "  " + job.finetune, job.seed, job.state,
                           job.folder.string());
        return;
    }
    const auto start = std::chrono::steady_clock::now();
    std::size_t done = 0, ran = 0;
    for (auto& job : jobs) {
        ++done;
        if (job.state == "finished") {
            print(fmt::format("[{}/{}] {}: finished before", done, jobs.size(), text_of(job)));
            continue;
        }
        if (!job.weights.empty() && !was_trained(job, jobs)) {  // why was said
            job.state = "without weights";
            print(fmt::format("[{}/{}] {}: left out, since {} seed {} is not finished", done, jobs.size(),
                              text_of(job), job.recipe, job.seed));
            continue;
        }
        std::string eta;
        const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (ran > 0)
            eta = ", ETA " + base::duration_text(elapsed / static_cast<double>(ran) *
                                                 static_cast<double>(jobs.size() - done + 1));
        print(fmt::format("[{}/{}] {}{}", done, jobs.size(), text_of(job), eta));
        fs::create_directories(job.folder.parent_path());
        const auto log = globals.quiet || globals.json
                             ? job.folder.parent_path() / (job.folder.filename().string() + ".log")
                             : fs::path();
        const auto made =
            log.empty() ? job.folder.parent_path() / (job.folder.filename().string() + "-start.log") : log;
        fs::create_directories(job.folder.parent_path());
        auto ended = job.weights.empty() || job.state != "new"
                         ? Ended()
                         : run_hearth(import_arguments(job, flags.with, globals), made);
        if (ended.code == 0 && ended.signal == 0)
            ended = run_hearth(train_arguments(job, flags.with, globals), log);
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
            print(fmt::format("{} {}; going on with the others", text_of(job), job.state));
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
    verb->add_option("--finetune", flags->finetune, "key=value for the recipes in finetune/; repeatable")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    verb->add_flag("--no-finetune", flags->no_finetune, "Leave the recipes in finetune/ out");
    verb->add_flag("--dry-run", flags->dry_run, "Only list the runs and what is there of them");
    verb->footer(
        "Runs go to OUT/RECIPE/seed-N (--out, default runs/sweep), the table to OUT/sweep.md, sweep.csv and\n"
        "sweep.html, beside the figures of a published.csv in the folder of recipes, if there is one. "
        "What is\n"
        "finished is skipped, what was interrupted goes on: after Ctrl-C, give the same command again. A run "
        "that\n"
        "fails is reported and the others go on; the exit code is then that of the first one that failed.\n\n"
        "Where a folder of recipes has a subfolder finetune, each recipe in that goes on with labels from the\n"
        "weights of every run that trained without (and from scratch), in OUT/RECIPE/FINETUNE/seed-N: more\n"
        "columns of the table. key=value is for the recipes, --finetune key=value for those, --with for "
        "both.\n\n"
        "Examples:\n  hearth sweep recipes/mine --seeds 3\n"
        "  hearth sweep a.toml b.toml train.epochs=50 --seeds 0,1 --out runs/short\n"
        "  hearth sweep a.toml networks.student.heads.project.out=64,256 optimizer.lr=1e-4,5e-4\n"
        "  hearth sweep recipes/ablation --with my-data.toml\n"
        "  hearth sweep recipes/childcxr --seeds 3 train.threads=1 --finetune train.threads=1\n"
        "  hearth sweep recipes/mine --seeds 3 --dry-run");
    verb->callback([flags, &globals] { sweep(*flags, globals); });
}

}  // namespace hearth::cli
