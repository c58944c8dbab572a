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

#include "data/fnv.hpp"
#include "data/json_text.hpp"
#include "train/files.hpp"

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

nlohmann::json environment(const host::Registry& registry, const std::vector<std::string>& command) {
    nlohmann::json plugins = nlohmann::json::array();
    for (const auto& library : registry.libraries())
        plugins.push_back({{"id", library->plugin->id},
                           {"version", library->plugin->version},
                           {"file", library->file.string()},
                           {"sha256", library->sha256}});
    return {{"command", command},
            {"libtorch", TORCH_VERSION},
            {"build", HEARTH_BUILD_IDENTITY},
            {"processor", processor()},
            {"cores", std::thread::hardware_concurrency()},
            {"git_commit", first_line_of("git rev-parse HEAD 2>/dev/null")},
            {"git_changes", !first_line_of("git status --porcelain 2>/dev/null").empty()},
            {"plugins", plugins}};
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

/// Not there, or with no more than a run leaves that was killed before it wrote anything.
bool is_bare(const fs::path& folder) {
    if (!fs::exists(folder)) return true;
    const fs::directory_iterator entries(folder);
    return std::all_of(begin(entries), end(entries), [](const auto& entry) {
        const auto name = entry.path().filename();
        return name == "lock" || (name == "checkpoints" && fs::is_empty(entry.path()));
    });
}

}  // namespace

std::string utc_now() {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

std::string recipe_hash(const recipe::Recipe& recipe, int world) {
    auto tree = recipe.tree;
    // A run may go on with other workers or on another machine.
    const std::pair<const char*, std::vector<const char*>> of_the_machine[] = {
        {"data", {"workers", "prefetch", "cache", "cache_folder"}},
        {"train", {"threads", "device", "timeout", "log_every", "checkpoint_every"}}};
    for (const auto& [section, keys] : of_the_machine)
        if (auto* table = tree.find(section); table != nullptr && table->is_table())
            for (const auto* key : keys) table->table().erase(key);
    if (auto* train = tree.find("train"); world > 1 && train != nullptr && train->is_table())
        if (auto* batch = train->table().find("batch")) batch->data = recipe.train.batch * world;
    return fmt::format("{:016x}", data::fnv1a(recipe::to_toml(tree, false)));
}

RunFolder RunFolder::open(const recipe::Recipe& recipe, const fs::path& out, Existing existing, int world) {
    RunFolder folder;
    folder.world_ = world;
    const auto home = fs::path("runs") / recipe.name;
    folder.path_ = out;
    if (out.empty() && existing == Existing::resume) folder.path_ = newest_run(home);
    if (folder.path_.empty() && existing == Existing::resume)
        throw RecipeError(fmt::format(
            "found no run to resume in {}; name it with --out, or start one without --resume", home.string()));
    if (out.empty() && existing != Existing::resume)
        folder.path_ = home / fmt::format("{:%Y%m%d-%H%M%S}", local_now());
    const bool there = fs::exists(folder.path_ / "run.json");
    if (there && existing == Existing::refuse)
        throw RecipeError(
            fmt::format("{} already holds a run; go on with --resume, start again with --overwrite, or choose "
                        "another --out",
                        folder.path_.string()));
    if (!there && !is_bare(folder.path_) && existing != Existing::resume)
        throw RecipeError(
            fmt::format("{} exists and is no run folder; choose another --out", folder.path_.string()));
    folder.resumes_ = there && existing == Existing::resume &&
                      (fs::exists(folder.checkpoint("last")) || fs::exists(folder.checkpoint("previous")));
    if (existing == Existing::resume && !there)
        throw RecipeError(
            fmt::format("{} holds no run to resume; start one without --resume", folder.path_.string()));
    std::error_code failed;
    fs::create_directories(folder.path_ / "checkpoints", failed);
    if (failed) throw DataError(fmt::format("cannot make {}: {}", folder.path_.string(), failed.message()));
    folder.lock(there && existing == Existing::overwrite);
    if (folder.resumes_) {
        std::ifstream in(folder.path_ / "run.json");
        folder.run_ = nlohmann::json::parse(in, nullptr, false);
        const auto hash = recipe_hash(recipe, world);
        if (folder.run_.is_discarded()) folder.run_ = nlohmann::json::object();
        if (folder.run_.contains("recipe_hash") && folder.run_["recipe_hash"] != hash)
            throw RecipeError(
                fmt::format("{} was made by another recipe (hash {}, this one {}); compare {}/resolved.toml, "
                            "or choose another --out",
                            folder.path_.string(), folder.run_["recipe_hash"].get<std::string>(), hash,
                            folder.path_.string()));
    }
    return folder;
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
    lock_ = FileLock::take(file);
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
        fs::copy_file(recipe.file, path_ / "recipe.toml", fs::copy_options::overwrite_existing);
        write_atomically(path_ / "resolved.toml", recipe::to_toml(recipe.tree, true));
        write_atomically(path_ / "plan.txt", plan_text);
        write_atomically(path_ / "plan.mmd", plan_mermaid);
        write_atomically(path_ / "env.json", data::json_text(environment(registry, command), 2) + "\n");
        run_["name"] = recipe.name;
        run_["recipe"] = recipe.file.string();
        run_["recipe_hash"] = recipe_hash(recipe, world_);
        run_["started"] = utc_now();
    }
    for (const auto* of_the_end : {"exit_code", "error"}) run_.erase(of_the_end);
    update({{"status", "running"}, {"pid", ::getpid()}, {"resumed", resumes_}});
}

void RunFolder::update(const nlohmann::json& values) {
    if (!writes_) return;
    run_.update(values);
    run_["heartbeat"] = utc_now();
    write_atomically(path_ / "run.json", data::json_text(run_, 2) + "\n");
}

void RunFolder::metrics(const nlohmann::json& line) {
    if (!writes_) return;
    if (!metrics_.is_open()) metrics_.open(path_ / "metrics.jsonl", std::ios::app);
    metrics_ << data::json_text(line) << std::endl;
}

void RunFolder::rewind(std::int64_t step) {
    if (!writes_) return;
    std::string kept;
    std::ifstream in(path_ / "metrics.jsonl");
    for (std::string line; std::getline(in, line);) {
        const auto entry = nlohmann::json::parse(line, nullptr, false);
        if (!entry.is_discarded() && entry.value("step", std::int64_t{0}) <= step) kept += line + "\n";
    }
    if (in.is_open()) write_atomically(path_ / "metrics.jsonl", kept);
}

}  // namespace hearth::train
