#include "train/run_folder.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <hearth/error.hpp>
#include <thread>
#include <variant>

#include "base/atomic_file.hpp"
#include "base/fnv.hpp"
#include "base/json_text.hpp"
#include "base/lock.hpp"
#include "base/time_text.hpp"
#include "host/last_words.hpp"
#include "recipe/differences.hpp"
#include "recipe/renamed.hpp"
#include "train/run_plugins.hpp"

namespace hearth::train {
namespace {

namespace fs = std::filesystem;

// The first line a command prints, or "".
std::string first_line_of(const std::string& command) {
    const auto close = [](FILE* pipe) { ::pclose(pipe); };
    const std::unique_ptr<FILE, decltype(close)> pipe(::popen(command.c_str(), "r"), close);
    std::array<char, 256> buffer{};
    if (!pipe || std::fgets(buffer.data(), buffer.size(), pipe.get()) == nullptr) return "";
    std::string line(buffer.data());
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    return line;
}

std::string processor() {
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    return "unknown";
}

nlohmann::json environment(const recipe::Recipe& recipe, const host::Registry& registry,
                           const std::vector<std::string>& command) {
    return {{"command", command},
            {"hearth", HEARTH_VERSION},
            {"libtorch", TORCH_VERSION},
            {"build", HEARTH_BUILD_IDENTITY},
            {"processor", processor()},
            {"cores", std::thread::hardware_concurrency()},
            {"git_commit", first_line_of("git rev-parse HEAD 2>/dev/null")},
            {"git_changes", !first_line_of("git status --porcelain 2>/dev/null").empty()},
            {"plugins", plugins_json(recipe, registry)},
            {"files", files_json(recipe, registry)}};
}

/// Members of run.json that say how a run ended.
constexpr std::array of_the_end = {"exit_code", "error", "component", "plugin", "plugin_file"};

/// An object's text up to its last member, to which others are added.
std::string begun(nlohmann::json object) {
    object.erase("status");
    for (const auto* key : of_the_end) object.erase(key);
    auto text = base::json_text(object, 2);
    text.erase(text.rfind('}'));
    while (text.back() == '\n') text.pop_back();
    return text + (object.empty() ? "\n" : ",\n");
}

/// What becomes of run.json if the process dies while it trains.
host::DeathRecord death_in_training(const fs::path& run, nlohmann::json object) {
    object.erase("step");
    return {.log = fs::absolute(run / "train.log"),
            .record = fs::absolute(run / "run.json"),
            .before = begun(std::move(object)),
            .after = "\n}\n"};
}

/// The same while the run is evaluated.
host::DeathRecord death_in_evaluation(const fs::path& run, const nlohmann::json& object) {
    auto rest = object;
    rest.erase("evaluation");
    auto text = base::json_text(rest, 2);
    text.erase(text.rfind('}'));
    return {.log = fs::absolute(run / "train.log"),
            .record = fs::absolute(run / "run.json"),
            .before = text + ",\n\"evaluation\": " + begun(object["evaluation"]),
            .after = "\n}}\n",
            .with_step = false};
}

std::tm local_now() {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    ::localtime_r(&now, &local);
    return local;
}

fs::path newest_run(const fs::path& folder) {
    fs::path newest;
    if (!fs::is_directory(folder)) return newest;
    for (const auto& entry : fs::directory_iterator(folder))
        if (fs::exists(entry.path() / "run.json") && entry.path() > newest) newest = entry.path();
    return newest;
}

/// runs/<name>/<time>, made here: a folder that another process made in the same second is not taken.
fs::path make_new(const fs::path& home) {
    const auto time = fmt::format("{:%Y%m%d-%H%M%S}", local_now());
    std::error_code failed;
    fs::create_directories(home, failed);
    auto folder = home / time;
    for (int number = 2; !failed && !fs::create_directory(folder, failed) && !failed; ++number)
        folder = home / fmt::format("{}-{}", time, number);
    if (failed) throw DataError(fmt::format("cannot make {}: {}", folder.string(), failed.message()));
    return folder;
}

/// Not there, or with no more than a run leaves that was killed before it wrote anything.
bool is_bare(const fs::path& folder) {
    if (!fs::exists(folder)) return true;
    if (!fs::is_directory(folder)) return false;
    const fs::directory_iterator entries(folder);
    return std::all_of(begin(entries), end(entries), [](const auto& entry) {
        const auto name = entry.path().filename();
        return name == "lock" || name == "run.json.tmp" ||
               (name == "checkpoints" && fs::is_empty(entry.path()));
    });
}

/// What a run goes on with: without what may be another on another machine, and with the batch of all
/// processes.
recipe::Table lasting(recipe::Table tree, int world) {
    const std::pair<const char*, std::vector<const char*>> of_the_machine[] = {
        {"data", {"workers", "prefetch", "cache", "cache_folder"}},
        {"train", {"threads", "device", "timeout", "log_every", "checkpoint_every"}}};
    for (const auto& [section, keys] : of_the_machine)
        if (auto* table = tree.find(section); table != nullptr && table->is_table())
            for (const auto* key : keys) table->table().erase(key);
    if (auto* train = tree.find("train"); world > 1 && train != nullptr && train->is_table())
        if (auto* batch = train->table().find("batch"))
            if (const auto* each = std::get_if<std::int64_t>(&batch->data)) batch->data = *each * world;
    return tree;
}

/// Between the recipe of the run in `folder` and this one.
std::vector<recipe::ValueDifference> differences_from(const fs::path& folder, const recipe::Recipe& recipe,
                                                      int world) {
    try {
        std::ifstream in(folder / "run.json");
        const auto run = nlohmann::json::parse(in, nullptr, false);
        const int before = run.is_object() ? run.value("processes", world) : world;
        return recipe::differences(lasting(recipe::load_tree(folder / "resolved.toml"), before),
                                   lasting(recipe.tree, world));
    } catch (const Error&) {
        return {};
    }
}

/// "train.epochs" as the TOML of a difference has it, "" where it is not written.
std::int64_t epochs_of(const std::string& toml) {
    return toml.empty() ? recipe::TrainSpec().epochs : std::stoll(toml);
}

bool only_more_epochs(const std::vector<recipe::ValueDifference>& differences) {
    return differences.size() == 1 && differences.front().key == "train.epochs" &&
           epochs_of(differences.front().second) > epochs_of(differences.front().first);
}

}  // namespace

void record_evaluation(const fs::path& run, const nlohmann::json& values) {
    std::ifstream in(run / "run.json");
    auto json = nlohmann::json::parse(in, nullptr, false);
    if (!json.is_object()) return;  // deleted while it was evaluated
    auto& evaluation = json["evaluation"];
    if (!evaluation.is_object() || values.value("status", "") == "running")
        evaluation = nlohmann::json::object();
    evaluation.update(values);
    json["heartbeat"] = base::utc_now();
    base::write_atomically(run / "run.json", base::json_text(json, 2) + "\n");
    if (values.value("status", "") == "running")
        host::set_death_record(death_in_evaluation(run, json));
    else
        host::clear_death_record();
}

void append_to_log(const fs::path& run, const std::string& text) {
    std::ofstream(run / "train.log", std::ios::app) << text << "\n";
}

std::string recipe_hash(const recipe::Recipe& recipe, int world) {
    const auto tree = recipe::with_first_names(lasting(recipe.tree, world));  // a run outlives its keys' names
    return fmt::format("{:016x}", base::fnv1a(recipe::to_toml(tree, false)));
}

std::string recipe_changes(const fs::path& folder, const recipe::Recipe& recipe, int world) {
    const auto value = [](const std::string& toml) { return toml.empty() ? "not set" : toml; };
    std::string out;
    for (const auto& [key, before, now] : differences_from(folder, recipe, world))
        out += fmt::format("\n  {}: {} there, {} now", key, value(before), value(now));
    return out;
}

bool is_described_anew(const fs::path& folder, const recipe::Recipe& recipe, int world) {
    const auto differences = differences_from(folder, recipe, world);
    return differences.size() == 1 && differences.front().key == "description";
}

bool never_began(const fs::path& folder) {
    const auto run = base::read_json_file(folder / "run.json");
    const auto checkpoints = folder / "checkpoints";
    std::error_code absent;
    const auto told = fs::file_size(folder / "metrics.jsonl", absent);
    return run.is_object() && run.value("status", "") == "failed" && (absent || told == 0) &&
           (!fs::is_directory(checkpoints) || fs::is_empty(checkpoints));
}

RunFolder RunFolder::open(const recipe::Recipe& recipe, const fs::path& out, Resume resume, bool overwrite,
                          int world) {
    RunFolder folder;
    folder.world_ = world;
    const auto home = fs::path("runs") / recipe.name;
    folder.path_ = out;
    if (out.empty() && resume != Resume::no) folder.path_ = newest_run(home);
    const bool needed = resume == Resume::yes || resume == Resume::longer;
    if (folder.path_.empty() && needed)
        throw RecipeError(fmt::format(
            "found no run to resume in {}; name it with --out, or start one without --resume", home.string()));
    if (folder.path_.empty()) folder.path_ = make_new(home);
    const bool there = fs::exists(folder.path_ / "run.json");
    folder.anew_ = there && !overwrite && never_began(folder.path_);
    if (there && !folder.anew_ && resume == Resume::no && !overwrite)
        throw RecipeError(
            fmt::format("{} already holds a run; go on with --resume, start again with --overwrite, or choose "
                        "another --out",
                        folder.path_.string()));
    if (!there && needed)
        throw RecipeError(
            fmt::format("{} holds no run to resume; start one without --resume, or let "
                        "--resume=auto start one where there is none",
                        folder.path_.string()));
    if (!there && !is_bare(folder.path_))
        throw RecipeError(
            fmt::format("{} exists and is no run folder; choose another --out", folder.path_.string()));
    folder.resumes_ = there && resume != Resume::no &&
                      (fs::exists(folder.checkpoint("last")) || fs::exists(folder.checkpoint("previous")));
    std::error_code failed;
    fs::create_directories(folder.path_ / "checkpoints", failed);
    if (failed) throw DataError(fmt::format("cannot make {}: {}", folder.path_.string(), failed.message()));
    folder.lock((there && overwrite) || folder.anew_);
    if (folder.resumes_ || (there && needed && !folder.anew_)) folder.read_run(recipe, resume);
    if (!folder.resumes_) folder.run_ = nlohmann::json::object();  // it ended before its first checkpoint
    return folder;
}

void RunFolder::read_run(const recipe::Recipe& recipe, Resume resume) {
    std::ifstream in(path_ / "run.json");
    run_ = nlohmann::json::parse(in, nullptr, false);
    if (run_.is_discarded()) run_ = nlohmann::json::object();
    const auto hash = recipe_hash(recipe, world_), before = run_.value("recipe_hash", hash);
    if (before == hash || is_described_anew(path_, recipe, world_)) return;
    const bool more = only_more_epochs(differences_from(path_, recipe, world_));
    longer_ = more && resume == Resume::longer;
    if (longer_) return;
    const auto changes = recipe_changes(path_, recipe, world_);
    throw RecipeError(fmt::format(
        "{} was made by another recipe{}\n{}put the recipe back, start again with --overwrite, or choose "
        "another --out",
        path_.string(),
        changes.empty()
            ? fmt::format(" (hash {}, this one {}; its own is {}/resolved.toml)", before, hash, path_.string())
            : ":" + changes,
        more ? "go on to the new number of epochs with --resume=longer, " : ""));
}

RunFolder RunFolder::of_other_process(const fs::path& path, bool resumes) {
    RunFolder folder;
    folder.path_ = path;
    folder.resumes_ = resumes;
    folder.writes_ = false;
    return folder;
}

void RunFolder::lock(bool empty) {
    const auto file = path_ / "lock";
    lock_ = base::FileLock::take(file);
    if (!lock_)
        throw RecipeError(
            fmt::format("{}: another process writes this run; wait for it, stop it, or choose another --out",
                        path_.string()));
    if (!empty) return;
    for (const auto& entry : fs::directory_iterator(path_))
        if (entry.path() != file) fs::remove_all(entry.path());
    fs::create_directories(path_ / "checkpoints");
}

void RunFolder::describe(const recipe::Recipe& recipe, const host::Registry& registry,
                         const std::string& plan_text, const std::string& plan_mermaid,
                         const std::vector<std::string>& command) {
    if (!writes_) return;
    if (!resumes_) {
        run_["name"] = recipe.name;
        run_["recipe"] = recipe.file.string();
        run_["started"] = base::utc_now();
    }
    if (!resumes_ || longer_) {
        run_["recipe_hash"] = recipe_hash(recipe, world_);
        run_["processes"] = world_;  // whose batch resolved.toml has
    }
    run_.erase("evaluation");
    for (const auto* key : of_the_end) run_.erase(key);
    // First of all: a run that is killed from here on can be resumed.
    update({{"status", "running"}, {"pid", ::getpid()}, {"resumed", resumes_}});
    if (!resumes_ || longer_)
        base::write_atomically(path_ / "resolved.toml",
                               recipe::to_toml(tree_with_absolute_files(recipe, registry), true));
    auto now = environment(recipe, registry, command);
    if (resumes_) {  // who went on with it, after who began it
        now["at"] = base::utc_now();
        auto all = base::read_json_file(path_ / "env.json");
        if (!all.is_object()) return;
        all["resumed"].push_back(std::move(now));
        base::write_atomically(path_ / "env.json", base::json_text(all, 2) + "\n");
        return;
    }
    fs::copy_file(recipe.file, path_ / "recipe.toml", fs::copy_options::overwrite_existing);
    base::write_atomically(path_ / "plan.txt", plan_text);
    base::write_atomically(path_ / "plan.mmd", plan_mermaid);
    base::write_atomically(path_ / "env.json", base::json_text(now, 2) + "\n");
}

void RunFolder::update(const nlohmann::json& values) {
    if (!writes_) return;
    run_.update(values);
    run_["heartbeat"] = base::utc_now();
    base::write_atomically(path_ / "run.json", base::json_text(run_, 2) + "\n");
    if (run_.value("status", "") == "running")
        host::set_death_record(death_in_training(path_, run_));
    else
        host::clear_death_record();
}

std::string RunFolder::check_plugins(const recipe::Recipe& recipe, const host::Registry& registry,
                                     bool strict) const {
    if (!resumes_ || !writes_) return "";
    const auto text = train::check_plugins(base::read_json_file(path_ / "env.json"), path_.string(), recipe,
                                           registry, strict);
    if (!text.empty()) log("warning: " + text);
    return text;
}

void RunFolder::log(const std::string& text) const {
    if (writes_) append_to_log(path_, text);
}

void RunFolder::metrics(const nlohmann::json& line) {
    if (!writes_) return;
    if (!metrics_.is_open()) metrics_.open(path_ / "metrics.jsonl", std::ios::app);
    metrics_ << base::json_text(line) << std::endl;
}

void RunFolder::rewind(std::int64_t step) {
    if (!writes_) return;
    metrics_.close();  // the file is replaced
    std::string kept;
    std::ifstream in(path_ / "metrics.jsonl");
    for (std::string line; std::getline(in, line);) {
        const auto entry = nlohmann::json::parse(line, nullptr, false);
        if (!entry.is_discarded() && entry.value("step", std::int64_t{0}) <= step) kept += line + "\n";
    }
    if (in.is_open()) base::write_atomically(path_ / "metrics.jsonl", kept);
}

}  // namespace hearth::train
