// The checkpoints of a run hold its weights, the state of its optimisers and how far it is.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/safetensors.hpp"
#include "plan/plan.hpp"
#include "train/checkpoint_writer.hpp"
#include "train/run_folder.hpp"
#include "train/stepper.hpp"

namespace hearth::train {

/// What earlier stages of a training left.
struct Before {
    std::int64_t steps = 0;
    NamedTensors state;  ///< by checkpoint name; what this stage does not have is carried on
};

/// The best score so far, of a probe or a validation.
struct Best {
    double score = 0;
    std::int64_t step = 0;  ///< that it is of
};

/// What the best checkpoint of a recipe or a stage is called: "best"; of a stage that hands its best weights on
/// "best_STAGE", which later stages leave alone.
std::string best_name(const recipe::Recipe& recipe);

/// How many checkpoints a run of these stages has at the most: last, previous, the best ones, and all that
/// train.checkpoint_every keeps.
std::int64_t most_checkpoints(const std::vector<recipe::Recipe>& stages);

/// What writes a checkpoint's file: base::write_safetensors.
using WriteTensors = std::function<decltype(base::write_safetensors)>;

class Checkpoints {
  public:
    using Warn = std::function<void(const std::string& warning)>;

    /// All that it is given by reference has to outlive it. `images` says which images the run has, in their
    /// order: a run does not go on with others. `write`: where a test wants another than base::write_safetensors().
    Checkpoints(const recipe::Recipe& recipe, const RunFolder& folder, plan::Plan& plan, Stepper& stepper,
                const Comm& comm, std::string images, Before before = {}, WriteTensors write = {});

    /// The weights and buffers that a checkpoint holds.
    NamedTensors state() const;

    /// Copies what a checkpoint holds; a thread then writes checkpoints/<name>.safetensors, one after the other,
    /// while training goes on. The "last" that was there stays as "previous". Waits first for those that are being
    /// written. `written` is called by poll() or settle() when all are there. Where there is no memory for copies
    /// they are written before this returns. Throws what settle() throws.
    void save(const std::vector<std::string>& names, const Progress& progress,
              CheckpointWriter::Work written = {});
    /// Which are being written: "last, best"; "" where none is.
    const std::string& writing() const { return writer_.what(); }
    /// Throws DataError where the ones before could not be written. Does not wait.
    void poll() { writer_.poll(); }
    /// The same after waiting for them.
    void settle() { writer_.settle(); }
    /// Whether this score is better than all before, which one that is not finite never is; then best_name()
    /// has to be saved.
    bool is_best(double score, std::int64_t step, bool lowest = false);
    const std::optional<Best>& best() const { return best_; }
    /// How many scores in a row, up to now, were no better.
    std::int64_t turns_without_better() const { return turns_; }
    std::string best_name() const { return train::best_name(recipe_); }
    /// These three are asked after settle().
    /// The weights and buffers that it holds. Throws DataError where it cannot be read.
    NamedTensors best_state() const;
    /// Fills the plan with them.
    void load_best();
    /// Writes it anew with the weights and buffers that the plan has now; all else in it stays.
    void rewrite_best() const;
    /// The name under which the checkpoint after so many epochs is kept; "" where it is not.
    std::string kept_as(std::int64_t epochs, const Progress& progress) const;

    /// Fills the plan and the optimisers from "last", and returns the step that it was made at. Where "last" is
    /// broken it is "previous" that is taken, and `warn` is told. Throws DataError where neither can be read or
    /// the data are not those of the run.
    std::int64_t load(const Progress& progress, const Warn& warn);

    /// Writes not-a-number.safetensors, unless it is there: the weights as they were, for the step was not
    /// made, and the views of the batch that led to it.
    std::filesystem::path save_failed_step(const plan::StepOutput& out, const Progress& progress) const;

  private:
    std::pair<std::filesystem::path, base::SafeTensors> read(const Warn& warn) const;

    const recipe::Recipe& recipe_;
    const RunFolder& folder_;
    plan::Plan& plan_;
    Stepper& stepper_;
    const Comm& comm_;
    std::string images_;
    Before before_;
    WriteTensors write_;
    std::optional<Best> best_;
    std::int64_t turns_ = 0;  ///< since then
    CheckpointWriter writer_;
};

}  // namespace hearth::train
