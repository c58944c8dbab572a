// A run's folder holds everything needed to look at it, resume it and repeat it. docs/run-folder.md lists the
// files.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/atomic_file.hpp"
#include "base/lock.hpp"
#include "host/registry.hpp"
#include "recipe/recipe.hpp"

namespace hearth::train {

/// What --resume asks for: a new run; one that is there goes on; the same, or a new run where there is none;
/// one that is there goes on, and may have more epochs than it had.
enum class Resume { no, yes, automatic, longer };

class RunFolder {
  public:
    /// Makes or reopens the folder. `out` may be empty: runs/<name>/<time>, or when resuming the newest run of
    /// that name. A new folder of that kind is one that nobody else has: "<time>-2" where a run began in the
    /// same second. With `overwrite` a run that is there is deleted. The folder is locked while this object
    /// lives, where its file system has locks. A run that never_began() is begun anew, whatever is asked for. Throws RecipeError where another process writes this run, where
    /// there is a run and neither is asked for, or none to resume, and where the run to resume had another
    /// recipe, naming the keys that differ. `world`: the number of processes of the run.
    static RunFolder open(const recipe::Recipe& recipe, const std::filesystem::path& out, Resume resume,
                          bool overwrite = false, int world = 1);
    /// The folder that another process of the same run opened: to read from; what is written is dropped.
    static RunFolder of_other_process(const std::filesystem::path& path, bool resumes);

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path checkpoint(const std::string& name) const {
        return path_ / "checkpoints" / (name + ".safetensors");
    }
    bool resumes() const { return resumes_; }
    /// Whether a run was here that never_began().
    bool begun_anew() const { return anew_; }
    /// Whether another process that wants to write this run is refused.
    bool is_locked() const { return lock_ != nullptr && lock_->holds(); }

    /// Of a run that goes on: which of its plugins are not those it used so far (run_plugins.hpp), which its log
    /// says too; "" where all are. Throws PluginError where some are and `strict` is.
    std::string check_plugins(const recipe::Recipe& recipe, const host::Registry& registry, bool strict) const;
    /// Writes recipe.toml, resolved.toml, env.json and the first run.json; of a run that goes on what is new in them.
    void describe(const recipe::Recipe& recipe, const host::Registry& registry, const std::string& plan_text,
                  const std::string& plan_mermaid, const std::vector<std::string>& command);
    /// Merges `values` into run.json, with a fresh heartbeat.
    void update(const nlohmann::json& values);
    /// What run.json holds; nothing in a process that does not write it.
    const nlohmann::json& status() const { return run_; }
    /// append_to_log() of this run.
    void log(const std::string& text) const;
    /// Appends one line to metrics.jsonl.
    void metrics(const nlohmann::json& line);
    /// Removes metrics of steps after `step`: a resumed run writes them again.
    void rewind(std::int64_t step);

  private:
    /// Takes the lock, then empties the folder if it is to be.
    void lock(bool empty);
    /// Reads run.json of the run that goes on. Throws RecipeError where it had another recipe.
    void read_run(const recipe::Recipe& recipe, Resume resume);
    std::filesystem::path path_;
    bool resumes_ = false, writes_ = true;
    bool anew_ = false;
    bool longer_ = false;  ///< it resumes with more epochs than it had
    int world_ = 1;
    std::shared_ptr<const base::FileLock> lock_;
    nlohmann::json run_;
    std::ofstream metrics_;
};

/// Whether the folder holds a run that failed before its first step: nothing was learned that could be lost.
bool never_began(const std::filesystem::path& folder);

/// Short identity of a resolved recipe: FNV-1a of its TOML, as 16 hex digits. What only says how to run it
/// (workers, threads, device, how often to log and to keep checkpoints) does not count. train.batch counts
/// times the number of processes: a run may go on in more or fewer of them.
std::string recipe_hash(const recipe::Recipe& recipe, int world = 1);

/// In which keys a recipe differs from that of the run in this folder, a line each, with both values; "" where
/// none does, or the folder's recipe cannot be read. Keys that recipe_hash() leaves out are left out.
std::string recipe_changes(const std::filesystem::path& folder, const recipe::Recipe& recipe, int world = 1);

/// Whether the recipe differs from that of the run in this folder by its description alone, which trains nothing.
bool is_described_anew(const std::filesystem::path& folder, const recipe::Recipe& recipe, int world = 1);

/// Merges `values` into `evaluation` of run.json, of a run whose training has ended: nobody else writes it.
void record_evaluation(const std::filesystem::path& run, const nlohmann::json& values);

/// Appends a text, of one line or several, to train.log of a run: a log has what a person was shown of the run.
void append_to_log(const std::filesystem::path& run, const std::string& text);

}  // namespace hearth::train
