#include "train/trainer.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "base/atomic_file.hpp"
#include "base/counted.hpp"
#include "base/fnv.hpp"
#include "base/json_text.hpp"
#include "base/terminal_text.hpp"
#include "base/time_text.hpp"
#include "host/last_words.hpp"
#include "host/memory_error.hpp"
#include "host/place.hpp"
#include "train/dry_run.hpp"
#include "train/initial_weights.hpp"
#include "train/signals.hpp"
#include "train/training_set.hpp"

namespace hearth::train {

namespace {

/// Which images these are, in their order: FNV-1a of their names, 16 hex digits.
std::string fingerprint(const data::Dataset& images) {
    auto hash = base::fnv_start;
    for (std::int64_t i = 0; i < images.size(); ++i) hash = base::fnv1a(images.name(i) + '\n', hash);
    return fmt::format("{:016x}", hash);
}

/// All processes have the buffers of the first one from here on, as after a resume. Running statistics are of
/// each process's own batches, but those of the checkpoint are what fits, scores and later stages see.
void share_buffers(const plan::Plan& plan, const Comm& comm) {
    const at::NoGradGuard no_grad;
    for (const auto& [name, component] : plan.components())
        for (auto& item : component->named_buffers()) {
            auto& buffer = item.value();
            if (buffer.numel() == 0) continue;
            auto of_first = comm.rank() == 0 ? buffer.clone() : at::zeros_like(buffer);
            if (buffer.scalar_type() == at::kBool) of_first = of_first.to(at::kByte);
            comm.all_reduce_sum(of_first);
            buffer.copy_(of_first);
        }
}

}  // namespace

template <typename Work>
auto Trainer::recorded(const Work& work) -> decltype(work()) {
    const auto fail = [&](int code, const std::string& message) {
        settle_after_error();
        folder_.log("error: " + message);
        folder_.update({{"status", "failed"}, {"exit_code", code}, {"error", message}});
    };
    const auto out_of_memory = [&](const std::string& reason) {
        OutOfMemory error(fmt::format(
            "out of memory at step {}: {}; lower train.batch (it is {}; \"auto\" finds what fits) and raise "
            "train.accumulate, or set data.cache = \"packed\"",
            progress_.step, reason, recipe_.train.batch));
        fail(static_cast<int>(error.code()), error.what());
        return error;
    };
    // Where others are lost, what the device returns means nothing, and an error that comes of it neither.
    const auto reached = [&] {
        try {
            return work();
        } catch (const std::exception&) {
            if (request_.group != nullptr) request_.group->check("training");
            throw;
        }
    };
    try {
        return reached();
    } catch (const std::exception& error) {
        if (host::is_out_of_memory(error)) throw out_of_memory(host::reason_of(error));
        fail(static_cast<int>(host::code_of(error)), error.what());
        throw;
    }
}

std::string TrainSummary::text() const {
    const auto here = base::counted(steps_here, "step") + " in " + base::duration_text(seconds);
    return steps_here == steps ? here : fmt::format("{}, {} in all", here, steps);
}

Trainer::Trainer(const recipe::Recipe& recipe, const host::Registry& registry, TrainRequest request)
    : recipe_(recipe),
      registry_(registry),
      request_(std::move(request)),
      device_(request_.group != nullptr ? request_.group->device() : pick_device(recipe.train.device)),
      plan_(take_plan()),
      data_(take_data()),
      own_folder_(request_.stage ? std::nullopt : std::optional(open_folder(recipe, registry, request_))),
      folder_(request_.stage ? *request_.stage->folder : *own_folder_) {
    make_ready(plan_, recipe, device_, comm());
    if (!request_.stage)
        folder_.describe(recipe, registry, plan::to_text(plan_), plan::to_mermaid(plan_), request_.command);
    if (!request_.opening.empty()) folder_.log(request_.opening);
    recorded([&] { prepare(); });
}

plan::Plan Trainer::take_plan() {
    if (auto opened = std::exchange(request_.plan, std::nullopt)) return std::move(*opened);
    return base::during(request_.quiet || !first(), "planning",
                        [&] { return plan::Plan::initial(recipe_, registry_); });
}

TrainingData Trainer::take_data() {
    const bool quiet = request_.quiet || !first();
    if (auto opened = std::exchange(request_.data, std::nullopt))
        return with_cache(std::move(*opened), recipe_.data, &comm(), quiet);
    return open_training_data(recipe_.data, &comm(), quiet);
}

void Trainer::prepare() {
    auto options = loader_options(recipe_, plan_, data_.labels, comm(), device_);
    options.cache = data_.cache.kind == "memory";
    loader_ = step_loader(data_.images, std::move(options), plan_);
    if (first() && recipe_.validate && recipe_.validate->section() == "data") {
        auto rows = request_.validation ? *request_.validation : open_validation(recipe_, data_.labels);
        rows = with_cache(std::move(rows), recipe_.data, &Comm::local(), request_.quiet);
        validation_ = std::make_unique<Validation>(recipe_, plan_, std::move(rows), device_);
    }
    stepper_ = std::make_unique<Stepper>(recipe_, plan_, device_, request_.group);
    batches_ = std::make_unique<DeviceBatches>(*loader_, device_);
    stepper_->read_late(request_.reads_late.value_or(device_.is_cuda()));
    stepper_->meanwhile([this] {
        batches_->look_ahead();
        settle_step();
    });
    progress_.steps_per_epoch = loader_->batches_per_epoch() / stepper_->batches_per_step();
    if (progress_.steps_per_epoch < 1)
        throw DataError(fmt::format(
            "found {} batches an epoch, expected at least the {} of a step (train.accumulate = {}{}); lower "
            "train.batch or train.accumulate",
            loader_->batches_per_epoch(), stepper_->batches_per_step(), recipe_.train.accumulate,
            plan_.batches_per_step() > 1 ? fmt::format(", repeat = {}", plan_.batches_per_step()) : ""));
    progress_.total_steps = progress_.steps_per_epoch * recipe_.train.epochs;
    checkpoints_ = std::make_unique<Checkpoints>(
        recipe_, folder_, plan_, *stepper_, comm(), fingerprint(*data_.images),
        request_.stage ? Before{request_.stage->steps_before, request_.stage->carried} : Before{},
        request_.write_checkpoint);
    if (resumes())
        restore();
    else
        folder_.rewind(steps_before());  // a run that was killed before its first checkpoint starts again
    journal_ = std::make_unique<Journal>(recipe_, plan_, *stepper_, folder_, comm(), device_, steps_before());
    view_ = std::make_unique<ProgressView>(first() ? folder_.path() / "train.log" : "/dev/null",
                                           request_.quiet || !first(), progress_.step, progress_.total_steps,
                                           recipe_.train.epochs);
    for (const auto& note : data_.notes) view_->say("warning: " + note);
    if (!resumes()) start();
}

bool Trainer::resumes() const {
    return request_.stage ? request_.stage->resumes : folder_.resumes();
}

void Trainer::start() {
    const auto warnings =
        request_.stage ? go_on_from(*request_.stage, recipe_, plan_) : load_initial_weights(recipe_, plan_);
    for (const auto& warning : warnings) view_->say("warning: " + warning);
}

void Trainer::restore() {
    progress_.step = checkpoints_->load(progress_, [&](const std::string& warning) {
        folder_.log("warning: " + warning);
        if (!request_.quiet && first()) base::print_text("warning: " + warning);
    });
    folder_.rewind(steps_before() + progress_.step);
}

RunFolder open_folder(const recipe::Recipe& recipe, const host::Registry& registry,
                      const TrainRequest& request) {
    if (request.group == nullptr || request.group->rank() == 0) {
        auto folder = RunFolder::open(recipe, request.out, request.resume, request.overwrite,
                                      request.group == nullptr ? 1 : request.group->world_size());
        const auto others = folder.check_plugins(recipe, registry, request.strict);
        if (!others.empty() && !request.quiet) base::print_text("warning: " + others);
        if (folder.begun_anew()) {
            const auto note = fmt::format("note: the run in {} failed before its first step: it is begun anew",
                                          folder.path().string());
            folder.log(note);
            if (!request.quiet) base::print_text(note);
        }
        if (request.group == nullptr) return folder;
        request.group->from_first(nlohmann::json({{"path", std::filesystem::absolute(folder.path()).string()},
                                                  {"resumes", folder.resumes()}})
                                      .dump());
        return folder;
    }
    const auto opened = nlohmann::json::parse(request.group->from_first(""));
    return RunFolder::of_other_process(opened["path"].get<std::string>(), opened["resumes"]);
}

bool Trainer::stop_asked() const {
    const int here = StopSignals::received();
    if (request_.group == nullptr) return here != 0;
    return request_.group->any_before(here != 0);
}

Context Trainer::context() const {
    Context context;
    context.comm = &comm();
    context.progress = progress_;
    context.device = device_;
    context.seed = seed_of(recipe_);
    return context;
}

TrainSummary Trainer::run() {
    return recorded([&] { return train(); });
}

TrainSummary Trainer::train() {
    const StopSignals signals(first());
    const host::ProcessKeeper keeper("a plugin");
    keeper_ = &keeper;
    const auto start = std::chrono::steady_clock::now();
    const auto from = progress_.step;
    view_->say(fmt::format(
        "{}{} in {}: {} images, {} of {}, batch {}{}{}, {} on {}, {}",
        recipe_.stage ? fmt::format("stage {} ({} of {}): ", recipe_.stage->name, recipe_.stage->number + 1,
                                    recipe_.stage->count)
                      : "",
        resumes() ? fmt::format("resuming at step {}", from) : "training", folder_.path().string(),
        data_.images->size(), base::counted(recipe_.train.epochs, "epoch"),
        base::counted(progress_.steps_per_epoch, "step"), recipe_.train.batch,
        recipe_.train.accumulate > 1 ? fmt::format(" x {}", recipe_.train.accumulate) : "",
        comm().world_size() > 1 ? fmt::format(" x {} processes", comm().world_size()) : "",
        stepper_->bf16() ? "bf16" : "fp32", device_.str(), base::counted(loader_->workers(), "loader worker")));
    view_->say(data_.cache.text());
    if (recipe_.losses.empty()) view_->say("there is no [[loss]]: nothing is trained, components only fit");
    for (const auto& warning : plan_.warnings()) view_->say("warning: " + warning);
    if (const auto note = data_.images->note(); !note.empty()) view_->say("note: " + note);
    if (first() && !folder_.is_locked())
        view_->say(fmt::format(
            "warning: the file system of {} has no locks: nothing keeps another process from writing this "
            "run too",
            folder_.path().string()));
    if (from == 0) fit(Fit::before);
    view_->busy(fmt::format("step {} of {}", from + 1, progress_.total_steps));
    plan_.train(true);
    journal_->begin();
    bool stopped = false;
    while (progress_.step < progress_.total_steps && patience_is_over().empty() && !stopped) stopped = !epoch();
    settle_step();
    settle_checkpoints();
    // The others may read the best one.
    if (!stopped && request_.group != nullptr) request_.group->wait_for_all(std::chrono::hours(24));
    TrainSummary summary;
    summary.run = folder_.path();
    summary.steps = progress_.step;
    summary.steps_here = progress_.step - from;
    summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    summary.stopped = stopped;
    summary.first = first();
    const bool last_stage = !request_.stage || request_.stage->last;
    if (!stopped && last_stage) {
        fit_best();
        if (fit(Fit::after)) save_last();
    }
    if (!stopped) say_how_it_ended();
    if (stopped) save_last();
    settle_checkpoints();
    if (stopped) {
        const auto by = StopSignals::received() != 0 ? "by " + signal_name(StopSignals::received())
                                                     : "by a signal to another process";
        view_->say(fmt::format("stopped {} at step {}; go on with --resume", by, progress_.step));
    } else {  // on the terminal the verb says it
        folder_.log("trained " + summary.text());
    }
    if (stopped || last_stage)
        folder_.update({{"status", stopped ? "stopped" : "finished"}, {"exit_code", stopped ? 75 : 0}});
    folder_.update({{"step", steps_before() + progress_.step}});
    journal_->flush();
    view_->finish();
    host::set_step(-1);
    return summary;
}

SetFor Trainer::set_for(const Context& context) {
    return [this, context](const Component& component, const std::string& what) {
        const WholeSet whole{recipe_, plan_, data_.images, data_.labels, context};
        return std::make_unique<PlanTrainingSet>(
            whole, component, [this, what](std::int64_t done, std::int64_t all) {
                view_->busy(fmt::format("{}: {} of {} images", what, done, all));
            });
    };
}

bool Trainer::fit(Fit when) {
    std::set<const Component*> fitted;  // by an earlier stage
    for (const auto& [name, component] : plan_.components())
        if (when == Fit::before && request_.stage &&
            std::ranges::any_of(request_.stage->carried, [&, &own = name](const auto& item) {
                return item.first.starts_with(own + ".");
            }))
            fitted.insert(component.get());
    const auto done = fit_components(
        plan_, when, context(), set_for(context()), [this](const std::string& what) { view_->busy(what); },
        fitted);
    plan_.train(true);
    for (const auto& id : done) folder_.log("fitted " + id);
    return !done.empty();
}

bool Trainer::epoch() {
    const auto number = progress_.epoch();
    const auto done = progress_.step % progress_.steps_per_epoch;
    host::set_step(steps_done());
    begin_epoch(plan_, context(), done == 0 ? set_for(context()) : SetFor());
    keeper_->put_back();
    batches_->begin(number, done * stepper_->batches_per_step(),
                    /*another_follows=*/number + 1 < recipe_.train.epochs);
    for (auto i = done; i < progress_.steps_per_epoch; ++i) {
        checkpoints_->poll();
        if (!step()) break;
        if (stop_asked() && i + 1 < progress_.steps_per_epoch) return false;
    }
    end_of_epoch();
    return !stop_asked();
}

bool Trainer::step() {
    bool finite = true;
    host::set_step(steps_done());
    auto result = stepper_->step(
        context(), [&](Tensors& batch) { return batches_->next(batch); },
        [&](const plan::StepOutput& out, std::int64_t images, bool good) {
            finite = good && finite;
            if (good)
                journal_->add(out, images);
            else
                on_nan(out, progress_);
        });
    keeper_->put_back_folder();
    if (!result.complete) return false;
    if (result.late)
        late_.emplace(std::move(*result.late));
    else if (result.updated)
        journal_->add_updates(result.updates, progress_);
    else if (finite)
        on_nan({}, progress_);
    ++progress_.step;
    if (progress_.step % recipe_.train.log_every == 0 || progress_.step == progress_.total_steps)
        report();
    else
        view_->step(progress_.step);
    return true;
}

void Trainer::settle_step() {
    if (!late_) return;
    const auto step = std::move(*late_);
    late_.reset();
    const auto outcome = step.outcome();
    const bool finite = std::isfinite(outcome.loss);
    if (finite) journal_->add(step.out(), step.images());
    if (outcome.updated)
        journal_->add_updates({{.phase = step.out().phase, .count = 1, .gradient_norm = outcome.gradient_norm}},
                              step.progress());
    else
        on_nan(finite ? plan::StepOutput() : step.out(), step.progress());
}

// Names the first tensor of the dataflow that is not finite: that is where the trouble starts.
void Trainer::on_nan(const plan::StepOutput& out, const Progress& at) {
    std::string first = out.total.defined() ? "the loss" : "a gradient";
    if (const auto found = not_finite(plan_, out.tensors); out.total.defined() && !found.empty())
        first = fmt::format("'{}', written by {} ({})", found.front().name, found.front().node->id,
                            found.front().node->where);
    const auto message =
        fmt::format("not-a-number at step {}: the first that is not finite is {}", at.step, first);
    journal_->event(at, "nan", {{"first", first}});
    const auto bundle = checkpoints_->save_failed_step(out, at);
    if (recipe_.monitor.on_nan == "stop")
        throw NumericError(
            fmt::format("{}; lower optimizer.lr, or set train.precision = \"fp32\". {} has the batch and the "
                        "weights of this step; checkpoints/last, if there is one, is from before",
                        message, bundle.string()));
    view_->say("warning: " + message + "; the step is skipped");
}

void Trainer::report() {
    settle_step();
    const auto [report, alarm] = journal_->close(progress_, loader_->take_stall());
    view_->show(report);
    if (alarm.empty()) return;
    journal_->event(progress_, "collapse", {{"reason", alarm}});
    if (recipe_.monitor.on_collapse == "stop") {
        save_last();
        settle_checkpoints();
        throw NumericError(fmt::format("step {}: {}; see docs/collapse.md", progress_.step, alarm));
    }
    view_->say(fmt::format("warning: step {}: {}", progress_.step, alarm));
}

void Trainer::probe(std::int64_t epoch) {
    view_->busy(fmt::format("probe after epoch {}", epoch));
    plan_.train(false);
    auto now = context();
    now.training = now.learns = false;
    const auto values = request_.probe(plan_, now);
    plan_.train(true);
    if (!first()) return;
    std::string text;
    for (const auto& [name, value] : values)  // undefined: no image, or none of a class, as said at the start
        text += std::isfinite(value) ? fmt::format("  {} {:.4f}", name, value)
                                     : fmt::format("  {} undefined", name);
    journal_->probed(progress_, epoch, values);
    view_->say(fmt::format("probe after epoch {}:{}", epoch, text));
    if (recipe_.validate || values.empty() || !std::isfinite(values.front().second)) return;
    const auto& [metric, value] = values.front();
    if (!checkpoints_->is_best(value, progress_.step)) return;
    due_.push_back("best");
    told_["best"] = {{"metric", metric}, {"value", value}, {"epoch", epoch}};
}

std::size_t Trainer::list_bad_images(std::int64_t epoch) {
    const auto bad = loader_->quarantine(), flat = loader_->flat();
    if (bad.empty() && flat.empty()) return 0;
    nlohmann::json list = nlohmann::json::array();
    for (const auto& entry : bad) list.push_back({{"file", entry.name}, {"reason", entry.reason}});
    for (const auto& entry : flat)
        list.push_back({{"file", entry.name}, {"reason", entry.reason}, {"used", true}});
    const auto name = first() ? "quarantine.json" : fmt::format("quarantine-{}.json", comm().rank());
    base::write_atomically(folder_.path() / name, base::json_text(list, 2) + "\n");
    if (epoch == 1 && !bad.empty())
        view_->say(fmt::format("warning: {} unreadable images were left out; {} names them", bad.size(), name));
    // An epoch leaves out what fills no batch, so later ones may meet more.
    const bool last = progress_.step >= progress_.total_steps;
    if ((epoch == 1 || last) && flat.size() > told_flat_) {
        view_->say(fmt::format(
            "warning: {} of the images met so far {} blank or nearly (such as {}: {}) and {} used; {} names {}",
            flat.size(), flat.size() == 1 ? "is" : "are", flat.front().name, flat.front().reason,
            flat.size() == 1 ? "is" : "are", name, flat.size() == 1 ? "it" : "them"));
        told_flat_ = flat.size();
    }
    return bad.size();
}

std::vector<std::pair<std::string, std::int64_t>> Trainer::counts_of_augments() const {
    std::vector<std::pair<std::string, std::int64_t>> out;
    for (const auto& [name, component] : plan_.components()) {
        const auto* augment = dynamic_cast<const Augment*>(component.get());
        if (augment == nullptr) continue;
        for (const auto& [what, count] :
             host::guarded_call(*augment, name, "counts", [&] { return augment->counts(); }))
            if (count > 0) out.emplace_back(name + "." + what, count);
    }
    return out;
}

void Trainer::end_of_epoch() {
    settle_step();
    const auto epoch = progress_.step / progress_.steps_per_epoch;  // epochs finished
    const auto counts = counts_of_augments();
    if (request_.group != nullptr) share_buffers(plan_, comm());
    const bool ends = progress_.step >= progress_.total_steps;
    if (recipe_.validate && (epoch % recipe_.validate->every == 0 || ends)) {
        validate(epoch);
        static_cast<void>(counts_of_augments());  // they are of no epoch
    }
    const bool last = ends || !patience_is_over().empty();
    const bool probes = request_.probe && recipe_.probe && recipe_.probe->every > 0 &&
                        (epoch % recipe_.probe->every == 0 || last);
    if (probes) probe(epoch);
    for (const auto& [name, count] : counts) journal_->event(progress_, name, {{"count", count}});
    const auto bad = list_bad_images(epoch);
    told_.update({{"step", steps_before() + progress_.step}, {"epoch", epoch}, {"quarantined", bad}});
    if (recipe_.stage) told_["stage"] = recipe_.stage->name;
    due_.emplace_back("last");
    if (const auto name = checkpoints_->kept_as(epoch, progress_); !name.empty()) due_.push_back(name);
    write_due();
    journal_->flush();
    // A probe takes as long as it takes.
    if (request_.group != nullptr) request_.group->wait_for_all(std::chrono::hours(24));
}

}  // namespace hearth::train
