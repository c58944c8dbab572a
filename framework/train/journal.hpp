// The journal is what a run writes down of its steps: what is summed over a logging window becomes a line of
// metrics.jsonl, scalars for TensorBoard and the report that a person sees.
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.hpp"
#include "train/events.hpp"
#include "train/monitor.hpp"
#include "train/progress.hpp"
#include "train/run_folder.hpp"
#include "train/stepper.hpp"

namespace hearth::train {

///     journal.begin();
///     journal.add(out, images);                 // after each micro-step
///     journal.add_updates(updates, progress);   // after each step
///     const auto [report, alarm] = journal.close(progress, loader.take_stall());
class Journal {
  public:
    /// All have to outlive it. Each process of the run sums, the first one writes. `steps_before`: of earlier
    /// stages; what is written counts them.
    Journal(const recipe::Recipe& recipe, const plan::Plan& plan, Stepper& stepper, RunFolder& folder,
            const Comm& comm, c10::Device device, std::int64_t steps_before = 0);

    /// Starts a window.
    void begin();
    /// A micro-step whose loss is finite.
    void add(const plan::StepOutput& out, std::int64_t images);
    /// The updates of a step. Throws RecipeError after the first step of a run where a rule of
    /// monitor.collapse_if names a term that there is not.
    void add_updates(const std::vector<Stepper::Updates>& updates, const Progress& progress);

    /// What the window was, over all processes.
    struct Entry {
        Report report;
        std::string alarm;  ///< Monitor::check(): "" while all is well
    };
    /// Writes the window down and starts the next one. `stalled`: seconds that the loop waited for the loader.
    Entry close(const Progress& progress, double stalled);

    /// A line of metrics.jsonl about something that happened.
    void event(const Progress& progress, const std::string& name, nlohmann::json values);
    /// What a probe found after so many epochs.
    void probed(const Progress& progress, std::int64_t epochs, const Terms& values);
    /// What [validate] measured after so many epochs; `turns` measurements in a row were no better.
    void validated(const Progress& progress, std::int64_t epochs, const Terms& values, std::int64_t turns);
    void flush();

  private:
    struct OfPhase {
        std::int64_t updates = 0;
        double gradient_norm = 0;
    };
    /// Sums over micro-steps of one phase that tell the same terms, [1 + T], the loss first. They are where the losses
    /// are, so that a step on a GPU does not wait for them. `empty` counts micro-steps without a sample: a term that is
    /// no number, and a loss whose terms are none.
    struct OfTerms {
        std::size_t phase;
        std::vector<std::string> names;
        at::Tensor values = {}, empty = {};
        std::int64_t micro_steps = 0;
    };
    struct Window {
        std::vector<OfPhase> phases;  ///< of the plan
        std::vector<OfTerms> sums;    ///< in the order in which they came
        std::int64_t images = 0;
        std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    };
    /// Means of the window over all processes, of the micro-steps that had a sample.
    struct Means {
        double images = 0;           ///< how many there were
        std::vector<double> losses;  ///< of the phases; NaN of one that had no turn, or no sample
        Terms terms;                 ///< without those that had no sample
        /// The sum of the phases' losses; nothing where none had one, as in a recipe that only fits.
        std::optional<double> loss() const;
    };
    Window fresh_window() const;
    std::vector<std::string> term_names() const;
    Means global_means() const;
    Report report_of(const Means& means, const Progress& progress, double stalled) const;
    nlohmann::json metrics_line(const Report& report, const Means& means, const Progress& progress);
    std::optional<Health> global_health() const;  ///< nothing before the first features
    void scalar(const std::string& name, const Progress& progress, double value);

    const recipe::Recipe& recipe_;
    const plan::Plan& plan_;
    Stepper& stepper_;
    RunFolder& folder_;
    const Comm& comm_;
    c10::Device device_;
    std::int64_t steps_before_;
    Monitor monitor_;
    std::unique_ptr<EventWriter> events_;  ///< null where another process writes
    Window window_;
    at::Tensor last_features_, last_assignments_;
};

}  // namespace hearth::train
