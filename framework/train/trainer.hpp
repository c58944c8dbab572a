// The trainer is the loop: it makes epochs of steps, keeps a journal (journal.hpp) and checkpoints
// (checkpoints.hpp), and goes on exactly where a run stopped.
//
//     train::Trainer trainer(recipe, registry, {.out = "runs/x"});
//     const auto summary = trainer.run();
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/process_keeper.hpp"
#include "plan/plan.hpp"
#include "train/checkpoints.hpp"
#include "train/device_batches.hpp"
#include "train/fitting.hpp"
#include "train/journal.hpp"
#include "train/progress.hpp"
#include "train/run_folder.hpp"
#include "train/stage_start.hpp"
#include "train/stepper.hpp"
#include "train/training_data.hpp"
#include "train/validation.hpp"

namespace hearth::train {

using Values = std::vector<std::pair<std::string, double>>;

struct TrainRequest {
    std::filesystem::path out;  ///< run folder; empty: runs/<name>/<time>
    Resume resume = Resume::no;
    bool overwrite = false;  ///< a run that is there is deleted
    bool strict = false;     ///< a run that goes on with other plugins than it had is refused
    bool quiet = false;
    std::vector<std::string> command;  ///< as typed, for env.json
    /// The other processes of the run; null where there is one alone. Process 0 keeps the run folder, logs and
    /// probes.
    const dist::ProcessGroup* group = nullptr;
    std::string opening;  ///< what was shown so far, such as notes on the tables: the first lines of the log
    /// What is opened already; what is missing the trainer opens. The plan is Plan::initial() of this recipe,
    /// the data were opened with data.cache = "none".
    std::optional<plan::Plan> plan;
    std::vector<plan::Plan> plans;  ///< the same of several stages, of all or none (train_stages())
    std::optional<TrainingData> data;
    std::optional<StageStart> stage;
    /// Called every `probe.every` epochs and after the last, by all processes: named metrics of the features so far,
    /// of which those of the first process count; the first one decides what is "best". Context::comm: all of them.
    std::function<Values(const plan::Plan&, const Context&)> probe;
    /// What [validate] watches where that is a section's metric: with the weights so far, and what fits fitted
    /// to them.
    std::function<double(const plan::Plan&, const Context&)> validate;
    /// Whether what a step tells is read while the next one runs, where that can be (Stepper::read_late()); unset: on
    /// a GPU.
    std::optional<bool> reads_late;
    /// The rows of [validate], where it watches a loss and they are open already (open_validation()).
    std::optional<TrainingData> validation;
    WriteTensors write_checkpoint;  ///< where a test wants another
};

struct TrainSummary {
    std::filesystem::path run;
    std::int64_t steps = 0;       ///< of the whole run
    std::int64_t steps_here = 0;  ///< of this session, in `seconds`
    double seconds = 0;
    /// "103 steps in 6 s, 240 in all", without the second where they are all.
    std::string text() const;
    bool stopped = false;  ///< by a signal, after a checkpoint
    bool first = true;     ///< this process keeps the run folder
};

class Trainer {
  public:
    Trainer(const recipe::Recipe& recipe, const host::Registry& registry, TrainRequest request);
    /// Trains to the end or to a signal. Throws NumericError on not-a-number or collapse when the recipe asks
    /// for that.
    TrainSummary run();
    const plan::Plan& plan() const { return plan_; }
    const RunFolder& folder() const { return folder_; }
    /// All that a checkpoint has of weights and buffers, earlier stages' included: with [validate] of the best,
    /// else of the last.
    NamedTensors handed_on() const;

  private:
    /// Does the work; run.json says how it failed where it does.
    template <typename Work>
    auto recorded(const Work& work) -> decltype(work());
    plan::Plan take_plan();
    TrainingData take_data();
    void prepare();  ///< loader, optimizer, log; goes on where the run was, or starts
    void restore();
    void start();  ///< weights from files and from earlier stages
    TrainSummary train();
    bool epoch();  ///< false when a signal arrived
    SetFor set_for(const Context& context);
    /// Components take in the training set, before the first step or after the last one; whether any did.
    bool fit(Fit when);
    void fit_best();  ///< what fits at the end, with the weights of "best"
    bool step();      ///< one optimiser step; false at the end of the epoch
    /// Notes what a step was that has been read late, after the wait for it where that is still to come. Whoever
    /// reads the journal, the weights or the state calls it first.
    void settle_step();
    void report();
    void end_of_epoch();
    void probe(std::int64_t epoch);
    void validate(std::int64_t epoch);
    Terms measure(const std::string& what);  ///< what [validate] watches; by the first process
    double of_first(double value) const;     ///< what the first process has, on all of them
    /// "" while the training goes on; else why it ends before its last epoch.
    std::string patience_is_over() const;
    void say_how_it_ended();
    std::vector<std::pair<std::string, std::int64_t>> counts_of_augments() const;  ///< those above 0
    std::size_t list_bad_images(std::int64_t epoch);                               ///< how many
    void on_nan(const plan::StepOutput& out, const Progress& at);
    void save_last();           ///< write_due() with it
    void write_due();           ///< begins to write the checkpoints that are due; the first process does
    void settle_checkpoints();  ///< waits for them
    void settle_after_error();
    Context context() const;
    const Comm& comm() const { return request_.group != nullptr ? *request_.group : Comm::local(); }
    std::int64_t steps_done() const { return steps_before() + progress_.step; }
    bool first() const { return comm().rank() == 0; }  ///< this process keeps the run folder
    bool resumes() const;
    std::int64_t steps_before() const { return request_.stage ? request_.stage->steps_before : 0; }
    /// By a signal; with several processes by one that any of them got before the step that is now over, so
    /// that all stop after the same one.
    bool stop_asked() const;

    const recipe::Recipe& recipe_;
    const host::Registry& registry_;
    TrainRequest request_;
    c10::Device device_;
    plan::Plan plan_;
    TrainingData data_;  ///< opened before the run folder is made
    std::optional<RunFolder> own_folder_;
    RunFolder& folder_;
    std::unique_ptr<data::Loader> loader_;
    std::unique_ptr<DeviceBatches> batches_;  ///< of loader_
    std::unique_ptr<Validation> validation_;  ///< of the first process, where [validate] watches a loss
    std::unique_ptr<Stepper> stepper_;
    std::unique_ptr<Checkpoints> checkpoints_;
    std::unique_ptr<Journal> journal_;
    std::unique_ptr<ProgressView> view_;
    /// Checkpoints that write_due() writes, and what run.json says once they are there.
    std::vector<std::string> due_;
    nlohmann::json told_ = nlohmann::json::object();
    std::optional<LateStep> late_;  ///< the step before, while it is not settled
    std::size_t told_flat_ = 0;     ///< images that were said to show next to nothing
    Progress progress_;
    const host::ProcessKeeper* keeper_ = nullptr;  ///< while it trains
    bool told_unreadable_ = false;                 ///< that validation images cannot be read
};

/// The folder of a run, opened by its first process for all of them. Says which plugins are others than those of
/// the run that goes on.
RunFolder open_folder(const recipe::Recipe& recipe, const host::Registry& registry,
                      const TrainRequest& request);

}  // namespace hearth::train
