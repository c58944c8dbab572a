// The stepper makes one step, the updates of all phases, which the training loop repeats, `hearth check` tries
// and `hearth bench` measures.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "dist/gradients.hpp"
#include "plan/plan.hpp"
#include "train/follower.hpp"
#include "train/late_step.hpp"
#include "train/optimizer.hpp"
#include "train/seed.hpp"
#include "train/step_clock.hpp"

namespace hearth::train {

/// "cpu" or "cuda" for a recipe's device. Throws RecipeError when the device is not there.
c10::Device pick_device(const std::string& wanted);
/// Whether "auto" precision means bf16 on this device.
bool use_bf16(const std::string& precision, c10::Device device);

/// A component with the places of its hooks: a guard wants them as texts, which a step should not make anew.
struct Hooked {
    plan::Called called;
    std::string before_step, after_backward, after_step;
    RevocableHook revocable;
};

/// What moves the parameters of a phase.
struct Updater {
    const plan::Phase* phase;
    std::unique_ptr<Optimizer> optimizer;
    std::unique_ptr<dist::GradientAverage> average;  ///< null where there is one process alone
    std::vector<Hooked> hooked;                      ///< the components that it runs
    std::string backward;                            ///< "the backward pass of loss.a, loss.b"
    std::vector<at::Tensor> kept_buffers;            ///< batch statistics that are put back
    std::int64_t first_update = 0;                   ///< of its updates within a step
};

class Stepper {
  public:
    /// Fills a batch; false when there is none left.
    using Source = std::function<bool(Tensors& batch)>;
    /// What a micro-step computed, after its backward pass; `finite` false: its loss is not a finite number,
    /// and there will be no update. `images` counts those that no phase of this step has seen before.
    using Watch = std::function<void(const plan::StepOutput& out, std::int64_t images, bool finite)>;
    /// The updates of a phase in a step.
    struct Updates {
        const plan::Phase* phase;
        std::int64_t count = 0;
        double gradient_norm = 0;  ///< before clipping, summed over the updates
    };
    struct Result {
        bool complete = true;  ///< false: the source ran dry, nothing more was updated
        bool updated = true;   ///< false: a loss or a gradient was not finite, and the rest was left out
        std::vector<Updates> updates = {};  ///< by phase, those that had a turn
        std::optional<LateStep> late =
            {};  ///< of reads_late(): what it was, `updated` and `updates` not known yet
    };

    /// All have to outlive it. The plan's tensors stay where they are from now on. `group`: the other processes
    /// of the run, null where there is one alone.
    Stepper(const recipe::Recipe& recipe, plan::Plan& plan, c10::Device device,
            const dist::ProcessGroup* group = nullptr);

    /// The phases in their order, each with its updates: micro-steps, clipping, update, followers, and the hooks
    /// of the components that it runs.
    Result step(const Context& now, const Source& next, const Watch& watch = {});

    /// From now on step() asks the device nothing where it can do without: Watch is not called, and Result::late has
    /// what it would have been told. It can where the device decides whether there is an update, with one process,
    /// one phase and one update and micro-step a step.
    void read_late(bool wanted) { late_ = wanted && can_read_late(); }
    bool reads_late() const { return late_; }

    /// How many batches a step takes.
    std::int64_t batches_per_step() const { return plan_.batches_per_step() * recipe_.train.accumulate; }

    /// By phase, in the order of plan.phases().
    const std::vector<Updater>& updaters() const { return updaters_; }
    /// The state of all optimisers by name, for exact resume.
    NamedTensors state() const;
    void load(const NamedTensors& state);
    /// Names of parameters that should have a gradient and have none.
    std::vector<std::string> without_gradient() const;
    const std::vector<Follower>& followers() const { return followers_; }
    bool bf16() const { return bf16_; }
    StepClock& clock() { return clock_; }
    /// Called as Plan::step says, in every micro-step.
    void observe(plan::NodeObserver observer) { observer_ = std::move(observer); }
    /// `work` is done in every micro-step, when the device has all of it and the host would wait.
    void meanwhile(std::function<void()> work) { meanwhile_ = std::move(work); }

  private:
    class Batches;
    /// The updates of one phase. False where the source ran dry or something was not finite; `result` says which.
    bool turn(Updater& updater, const Context& now, Batches& batches, const Watch& watch, Result& result);
    struct Micro {
        bool finite = true;
        plan::StepOutput out = {};  ///< where it is read late
        std::int64_t images = 0;
    };
    Micro micro_step(Updater& updater, Context now, Tensors& batch, bool fresh, bool last, const Watch& watch);
    void follow_before(const plan::Phase& phase, const Progress& progress);
    std::vector<Follower*> followers_after(const Updater& updater);
    static std::vector<MovingAverage> averages_of(const std::vector<Follower*>& followers,
                                                  const Progress& progress);
    /// One update of the optimiser and of those that follow after it, where losses are `finite` and the norm of the
    /// gradients is; returns that norm.
    double update(Updater& updater, const Progress& progress, bool finite);
    /// The same where the device decides, with the hooks after it.
    LateStep update_late(Updater& updater, const Context& now, const Micro& micro);
    bool can_read_late() const;
    /// The number of a micro-step within the run; no two are alike.
    std::int64_t number_of(const Updater& updater, std::int64_t step, std::int64_t repeat,
                           std::int64_t micro) const;
    using Hook = void (Component::*)(const Context&);
    static void call(const Hooked& hooked, const Context& now, std::string Hooked::*place, Hook hook);
    static void call(const Updater& updater, const Context& now, std::string Hooked::*place, Hook hook);

    const recipe::Recipe& recipe_;
    plan::Plan& plan_;
    c10::Device device_;
    const dist::ProcessGroup* group_;
    bool bf16_, late_ = false;
    std::vector<Updater> updaters_;
    std::vector<Follower> followers_;
    StepClock clock_;
    plan::NodeObserver observer_;
    std::function<void()> meanwhile_;
};

}  // namespace hearth::train
