// The stepper makes one optimiser step, which the training loop repeats, `hearth check` tries and
// `hearth bench` measures.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "dist/gradients.hpp"
#include "plan/plan.hpp"
#include "train/follower.hpp"
#include "train/optimizer.hpp"
#include "train/step_clock.hpp"

namespace hearth::train {

/// "cpu" or "cuda" for a recipe's device. Throws RecipeError when the device is not there.
c10::Device pick_device(const std::string& wanted);
/// Whether "auto" precision means bf16 on this device.
bool use_bf16(const std::string& precision, c10::Device device);

class Stepper {
  public:
    /// Fills a batch; false when there is none left.
    using Source = std::function<bool(Tensors& batch)>;
    /// What a micro-step computed, after its backward pass; `finite` false: its loss is not a finite number,
    /// and there will be no update.
    using Watch = std::function<void(const plan::StepOutput& out, std::int64_t images, bool finite)>;
    struct Result {
        bool complete = true;      ///< false: the source ran dry, nothing was updated
        bool updated = true;       ///< false: a loss or a gradient was not finite
        double gradient_norm = 0;  ///< before clipping
    };

    /// All have to outlive it. The plan's tensors stay where they are from now on. `group`: the other processes
    /// of the run, null where there is one alone.
    Stepper(const recipe::Recipe& recipe, const plan::Plan& plan, c10::Device device,
            const dist::ProcessGroup* group = nullptr);

    /// Micro-steps, clipping, update, followers, and the hooks of all components.
    Result step(const Context& now, const Source& next, const Watch& watch = {});

    Optimizer& optimizer() { return optimizer_; }
    const Optimizer& optimizer() const { return optimizer_; }
    const std::vector<Follower>& followers() const { return followers_; }
    bool bf16() const { return bf16_; }
    StepClock& clock() { return clock_; }
    /// Called as Plan::step says, in every micro-step.
    void observe(plan::NodeObserver observer) { observer_ = std::move(observer); }

  private:
    bool micro_step(const Context& now, const Tensors& batch, std::int64_t micro, const Watch& watch);
    void follow_before(const Progress& progress);
    /// One update of the optimiser and of those that follow after it.
    void update(const Progress& progress);
    template <class Hook>
    void call(const char* name, Hook hook) const;

    const recipe::Recipe& recipe_;
    const plan::Plan& plan_;
    c10::Device device_;
    const dist::ProcessGroup* group_;
    bool bf16_;
    Optimizer optimizer_;
    std::vector<Follower> followers_;
    std::unique_ptr<dist::GradientAverage> average_;
    StepClock clock_;
    plan::NodeObserver observer_;
};

}  // namespace hearth::train
