#include "cli/sweep_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>
#include <map>
#include <numeric>
#include <optional>
#include <sstream>

#include "base/json_text.hpp"
#include "recipe/shipped.hpp"
#include "train/run_folder.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

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
        const auto place = find_place(word);
        if (!fs::is_directory(place)) {
            out.push_back({.recipes = {place}, .finetune = {}});
            continue;
        }
        auto inside = recipes_in(place);
        if (inside.empty())
            throw RecipeError(
                fmt::format("{}: found no recipe, expected .toml files in this folder", place.string()));
        out.push_back({.recipes = std::move(inside), .finetune = recipes_in(place / "finetune")});
    }
    if (out.empty()) throw RecipeError("found no recipe, expected at least one recipe or folder of recipes");
    return out;
}

/// What the run folder says about the job. A folder of another recipe is refused, never overwritten.
std::string state_of(const runs::Job& job, const recipe::Recipe& recipe) {
    const auto run = base::read_json_file(job.folder / "run.json");
    if (!run.is_object() || train::never_began(job.folder)) return "new";
    const auto hash = run.value("recipe_hash", "");
    if (hash != job.hash && !train::is_described_anew(job.folder, recipe))
        throw RecipeError(
            fmt::format("{} holds a run of another recipe (hash {}, expected {}): choose another --out, "
                        "or delete that folder{}",
                        job.folder.string(), hash, job.hash, train::recipe_changes(job.folder, recipe)));
    return run.value("status", "") == "finished" && fs::exists(job.folder / "report.html") ? "finished"
                                                                                           : "unfinished";
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
        refuse_seed(words, "");
        refuse_seed(flags_.finetune, "--finetune ");
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
    /// Every run has the seed of --seeds: another word for it would be lost.
    static void refuse_seed(const std::vector<std::string>& words, const std::string& before) {
        for (const auto& word : words)
            if (word.starts_with("train.seed="))
                throw RecipeError(fmt::format("found {}{}, expected --seeds {}{} (a list, or how many)", before,
                                              word, word.substr(11),
                                              word.find(',') == std::string::npos ? "," : ""));
    }
    recipe::Recipe load(runs::Job& job) const {
        auto recipe = RecipeArguments{job.file.string(), overrides_of(job), flags_.with}.load(
            globals_, recipe::table_sections);
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
            job.from = evaluated(*trained).name;
            job.into = first_trained(recipe).name;
            job.start = folder;
            job.start += "-start.safetensors";
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

}  // namespace

fs::path find_place(const std::string& word) {
    if (fs::exists(word)) return word;
    for (const auto& shipped : {recipe::find_shipped_folder(word), recipe::find_shipped(word)})
        if (!shipped.empty()) return shipped;
    auto names = recipe::shipped_folders();
    for (auto& name : recipe::shipped_names()) names.push_back(std::move(name));
    throw RecipeError(
        fmt::format("{}: found no such recipe or folder{}, expected a recipe (.toml), a folder of recipes, the "
                    "name of a shipped "
                    "one (`hearth recipes list`), or key=value",
                    word, did_you_mean(word, names)));
}

std::vector<std::string> overrides_of(const runs::Job& job) {
    auto out = job.overrides;
    if (!job.start.empty())
        out.push_back(fmt::format("networks.{}.init_from=\"{}\"", job.into, job.start.string()));
    out.push_back(fmt::format("train.seed={}", job.seed));
    return out;
}

std::vector<runs::Job> plan_sweep(const SweepFlags& flags, const std::vector<std::string>& words,
                                  const fs::path& out, const Globals& globals) {
    return Planner(flags, out, globals).plan(words);
}

}  // namespace hearth::cli
