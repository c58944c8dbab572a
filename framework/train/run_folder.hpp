// A run's folder: everything needed to look at it, resume it and repeat it. docs/run-folder.md lists the files.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/registry.hpp"
#include "recipe/recipe.hpp"
#include "train/files.hpp"

namespace hearth::train {

/// What --resume asks for: nothing, to go on, to go on or else to start, to go on with more epochs than before.
enum class Resume { no, yes, automatic, longer };

class RunFolder {
  public:
    /// What to do with a folder that holds a run already.
    enum class Existing { refuse, resume, overwrite };
    /// Makes or reopens the folder. `out` may be empty: runs/<name>/<time>, or with `resume` the newest run of
    /// that name.
    /// The folder is locked while this object lives: throws RecipeError where another process writes this run.
    /// `world`: the number of processes of the run.
    static RunFolder open(const recipe::Recipe& recipe, const std::filesystem::path& out, Existing existing,
                          int world = 1);
    /// The folder that another process of the same run opened: to read from; what is written is dropped.
    static RunFolder of_other_process(const std::filesystem::path& path, bool resumes);

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path checkpoint(const std::string& name) const {
        return path_ / "checkpoints" / (name + ".safetensors");
    }
    bool resumes() const { return resumes_; }

    /// Writes recipe.toml, resolved.toml, env.json and the first run.json.
    void describe(const recipe::Recipe& recipe, const host::Registry& registry, const std::string& plan_text,
                  const std::string& plan_mermaid, const std::vector<std::string>& command);
    /// Merges `values` into run.json, with a fresh heartbeat.
    void update(const nlohmann::json& values);
    /// Appends one line to metrics.jsonl.
    void metrics(const nlohmann::json& line);
    /// Removes metrics of steps after `step`: a resumed run writes them again.
    void rewind(std::int64_t step);

  private:
    /// Takes the lock, then empties the folder if it is to be.
    void lock(bool empty);
    std::filesystem::path path_;
    bool resumes_ = false, writes_ = true;
    int world_ = 1;
    std::shared_ptr<const FileLock> lock_;
    nlohmann::json run_;
    std::ofstream metrics_;
};

/// Short identity of a resolved recipe: FNV-1a of its TOML, as 16 hex digits. What only says how to run it
/// (workers, threads, device, how often to log and to keep checkpoints) does not count.
/// train.batch counts times the number of processes: a run may go on in more or fewer of them.
std::string recipe_hash(const recipe::Recipe& recipe, int world = 1);

/// "2026-11-24T20:01:30Z".
std::string utc_now();

}  // namespace hearth::train
