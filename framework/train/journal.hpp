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
///     journal.add(out, images, progress);   // after each micro-step
///     journal.add_update(gradient_norm);    // after each step
///     const auto [report, alarm] = journal.close(progress, loader.take_stall());
class Journal {
  public:
    /// All have to outlive it. Each process of the run sums, the first one writes.
    Journal(const recipe::Recipe& recipe, const plan::Plan& plan, Stepper& stepper, RunFolder& folder,
            const Comm& comm, c10::Device device);

    /// Starts a window.
    void begin();
    /// A micro-step whose loss is finite. Throws RecipeError in the first step of a run where a rule of
    /// monitor.collapse_if names a term that there is not.
    void add(const plan::StepOutput& out, std::int64_t images, const Progress& progress);
    /// An update of the weights, and the norm of its gradient before clipping.
    void add_update(double gradient_norm);

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
    void flush();

  private:
    struct Window {
        /// Scalars in fp64 where the losses are, so that a step on a GPU does not wait for them.
        at::Tensor loss;
        std::map<std::string, at::Tensor> sums;
        std::vector<std::string> order;
        double gradient_norm = 0;
        std::int64_t micro_steps = 0, steps = 0, images = 0;
        std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    };
    /// Of the window, over all processes.
    struct Sums {
        double loss, images, micro_steps;
        std::vector<double> terms;  ///< in the window's order
    };
    Sums global_sums() const;
    Report report_of(const Sums& sums, const Progress& progress, double stalled) const;
    nlohmann::json metrics_line(const Report& report, const Progress& progress);
    std::optional<Health> global_health() const;  ///< nothing before the first features
    void scalar(const std::string& name, const Progress& progress, double value);

    const recipe::Recipe& recipe_;
    const plan::Plan& plan_;
    Stepper& stepper_;
    RunFolder& folder_;
    const Comm& comm_;
    c10::Device device_;
    Monitor monitor_;
    std::unique_ptr<EventWriter> events_;  ///< null where another process writes
    Window window_;
    at::Tensor last_features_, last_assignments_;
};

}  // namespace hearth::train
