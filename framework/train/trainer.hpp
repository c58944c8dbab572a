// The training loop: recipe -> plan -> steps, with followers, monitoring, checkpoints and exact resume.
//
//   train::Trainer trainer(recipe, registry, {.out = "runs/x"});
//   const auto summary = trainer.run();
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/atomic_file.hpp"
#include "base/safetensors.hpp"
#include "plan/plan.hpp"
#include "train/events.hpp"
#include "train/monitor.hpp"
#include "train/progress.hpp"
#include "train/run_folder.hpp"
#include "train/stepper.hpp"
#include "train/training_data.hpp"

namespace hearth::train {

using Values = std::vector<std::pair<std::string, double>>;

struct TrainRequest {
    std::filesystem::path out;  ///< run folder; empty: runs/<name>/<time>
    Resume resume = Resume::no;
    bool overwrite = false;  ///< a run that is there is deleted
    bool quiet = false;
    std::vector<std::string> command;  ///< as typed, for env.json
    /// The other processes of the run; null where there is one alone. Process 0 keeps the run folder, logs and
    /// probes.
    const dist::ProcessGroup* group = nullptr;
    std::string opening;  ///< what was shown so far, such as notes on the tables: the first lines of the log
    /// Called with the plan, in evaluation mode and on the CPU, before a run folder is made: to refuse what
    /// would fail after the training.
    std::function<void(const plan::Plan&)> inspect;
    /// Called every `probe.every` epochs and after the last: named metrics of the features so far; the first
    /// one decides what is "best".
    std::function<Values(const plan::Plan&, const Context&)> probe;
};

struct TrainSummary {
    std::filesystem::path run;
    std::int64_t steps = 0;
    double seconds = 0;
    bool stopped = false;  ///< by a signal, after a checkpoint
    bool first = true;     ///< this process keeps the run folder
};

/// The names of a step's loss terms as the log has them, "loss" (the total) first.
std::vector<std::string> term_names(const plan::StepOutput& out);

/// A tensor with a value that is not finite, and who wrote it.
struct NotFinite {
    const plan::Node* node;
    std::string name;
};
/// All of them, in the order of the dataflow.
std::vector<NotFinite> not_finite(const plan::Plan& plan, const Tensors& tensors);

class Trainer {
  public:
    Trainer(const recipe::Recipe& recipe, const host::Registry& registry, TrainRequest request);
    /// Trains to the end or to a signal. Throws NumericError on not-a-number or collapse when the recipe asks
    /// for that.
    TrainSummary run();
    const plan::Plan& plan() const { return plan_; }
    const RunFolder& folder() const { return folder_; }

  private:
    /// Does the work; run.json says how it failed where it does.
    template <typename Work>
    auto recorded(const Work& work) -> decltype(work());
    void prepare();  ///< loader, optimizer, log; goes on where the run was, or loads init_from
    TrainSummary train();
    void restore();
    std::pair<std::filesystem::path, base::SafeTensors> read_checkpoint();
    std::filesystem::path save_bundle(const plan::StepOutput& out);
    void save(const std::string& name);
    bool epoch();  ///< false when a signal arrived
    bool step();   ///< one optimiser step; false at the end of the epoch
    void watch(const plan::StepOutput& out, std::int64_t images, bool finite);
    void report();
    void end_of_epoch();
    void scalar(const std::string& name, double value);  ///< to the event file
    /// Of the window, over all processes.
    struct Sums {
        double loss, images, micro_steps;
        std::vector<double> terms;  ///< in the window's order
    };
    Sums global_sums() const;
    void on_nan(const plan::StepOutput& out);
    Context context() const;
    const Comm& comm() const { return request_.group != nullptr ? *request_.group : Comm::local(); }
    bool first() const { return comm().rank() == 0; }  ///< this process keeps the run folder
    RunFolder open_folder() const;
    bool stop_asked() const;  ///< by a signal that any process got
    void probe(std::int64_t epoch);
    std::size_t list_bad_images(std::int64_t epoch);  ///< how many

    const recipe::Recipe& recipe_;
    const host::Registry& registry_;
    TrainRequest request_;
    c10::Device device_;
    plan::Plan plan_;
    TrainingData data_;        ///< opened before the run folder is made
    std::string fingerprint_;  ///< of its images, in their order
    RunFolder folder_;
    std::unique_ptr<data::Loader> loader_;
    std::unique_ptr<Stepper> stepper_;
    Monitor monitor_;
    std::unique_ptr<EventWriter> events_;
    std::unique_ptr<ProgressView> view_;
    Progress progress_;
    std::optional<double> best_;

    struct Window {  ///< since the last report
        /// Scalars in fp64 where the losses are, so that a step on a GPU does not wait for them.
        at::Tensor loss;
        std::map<std::string, at::Tensor> sums;
        std::vector<std::string> order;
        double gradient_norm = 0;
        std::int64_t micro_steps = 0, steps = 0, images = 0;
        std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    } window_;
    at::Tensor last_features_, last_assignments_;
};

}  // namespace hearth::train
