#include "train/trainer.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <new>

#include "base/fnv.hpp"
#include "base/json_text.hpp"
#include "base/time_text.hpp"
#include "train/initial_weights.hpp"
#include "train/memory.hpp"
#include "train/signals.hpp"

namespace hearth::train {

namespace {

/// Which images these are, in their order: FNV-1a of their names, 16 hex digits.
std::string fingerprint(const data::Dataset& images) {
    auto hash = base::fnv_start;
    for (std::int64_t i = 0; i < images.size(); ++i) hash = base::fnv1a(images.name(i) + '\n', hash);
    return fmt::format("{:016x}", hash);
}

}  // namespace

std::vector<std::string> term_names(const plan::StepOutput& out) {
    std::vector<std::string> names{"loss"};
    for (const auto& [name, value] : out.terms) names.push_back(name);
    return names;
}

std::vector<NotFinite> not_finite(const plan::Plan& plan, const Tensors& tensors) {
    std::vector<NotFinite> out;
    for (const auto& node : plan.nodes())
        for (const auto& wire : node.writes)
            if (tensors.has(wire.name) && tensors[wire.name].is_floating_point() &&
                !at::isfinite(tensors[wire.name]).all().item<bool>())
                out.push_back({&node, wire.name});
    return out;
}

template <typename Work>
auto Trainer::recorded(const Work& work) -> decltype(work()) {
    const auto fail = [&](int code, const std::string& message) {
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
    try {
        return work();
    } catch (const c10::OutOfMemoryError& error) {
        throw out_of_memory(error.what_without_backtrace());
    } catch (const OutOfMemory& error) {
        throw out_of_memory(error.what());
    } catch (const std::bad_alloc&) {
        throw out_of_memory("the system gives no more");
    } catch (const Error& error) {
        fail(static_cast<int>(error.code()), error.what());
        throw;
    } catch (const std::exception& error) {
        fail(static_cast<int>(ExitCode::internal), error.what());
        throw;
    }
}

Trainer::Trainer(const recipe::Recipe& recipe, const host::Registry& registry, TrainRequest request)
    : recipe_(recipe),
      registry_(registry),
      request_(std::move(request)),
      device_(request_.group != nullptr ? request_.group->device() : pick_device(recipe.train.device)),
      plan_([&] {
          const base::Activity activity(request_.quiet || !first(), "planning");
          auto plan = plan::Plan::initial(recipe, registry);
          if (request_.inspect) request_.inspect(plan);
          plan.train(true);
          return plan;
      }()),
      data_(open_training_data(recipe.data, &comm(), request_.quiet || !first())),
      fingerprint_(fingerprint(*data_.images)),
      folder_(open_folder()),
      monitor_(recipe.monitor) {
    if (recipe.train.threads > 0) at::set_num_threads(static_cast<int>(recipe.train.threads));
    plan_.to(device_);
    folder_.describe(recipe, registry, plan::to_text(plan_), plan::to_mermaid(plan_), request_.command);
    if (!request_.opening.empty()) folder_.log(request_.opening);
    recorded([&] { prepare(); });
}

void Trainer::prepare() {
    auto options = loader_options(recipe_, plan_, data_.labels, comm(), device_);
    options.cache = data_.cache.kind == "memory";
    loader_ = step_loader(data_.images, std::move(options), plan_);
    progress_.steps_per_epoch = loader_->batches_per_epoch() / recipe_.train.accumulate;
    if (progress_.steps_per_epoch < 1)
        throw DataError(fmt::format(
            "found {} batches an epoch, expected at least train.accumulate = {}; lower train.batch or "
            "train.accumulate",
            loader_->batches_per_epoch(), recipe_.train.accumulate));
    progress_.total_steps = progress_.steps_per_epoch * recipe_.train.epochs;
    stepper_ = std::make_unique<Stepper>(recipe_, plan_, device_, request_.group);
    if (folder_.resumes())
        restore();
    else
        folder_.rewind(0);  // a run that was killed before its first checkpoint starts again
    if (first()) events_ = std::make_unique<EventWriter>(folder_.path());
    view_ = std::make_unique<ProgressView>(first() ? folder_.path() / "train.log" : "/dev/null",
                                           request_.quiet || !first(), progress_.step, progress_.total_steps,
                                           recipe_.train.epochs);
    for (const auto& note : data_.notes) view_->say("warning: " + note);
    if (!folder_.resumes())
        for (const auto& warning : load_initial_weights(recipe_, plan_)) view_->say("warning: " + warning);
}

RunFolder Trainer::open_folder() const {
    if (request_.group == nullptr)
        return RunFolder::open(recipe_, request_.out, request_.resume, request_.overwrite);
    if (first()) {
        auto folder =
            RunFolder::open(recipe_, request_.out, request_.resume, request_.overwrite, comm().world_size());
        request_.group->from_first(nlohmann::json({{"path", std::filesystem::absolute(folder.path()).string()},
                                                   {"resumes", folder.resumes()}})
                                       .dump());
        return folder;
    }
    const auto opened = nlohmann::json::parse(request_.group->from_first(""));
    return RunFolder::of_other_process(opened["path"].get<std::string>(), opened["resumes"]);
}

bool Trainer::stop_asked() const {
    const int here = StopSignals::received();
    if (request_.group == nullptr) return here != 0;
    auto everywhere = at::full({1}, here, at::kFloat);
    comm().all_reduce_sum(everywhere);
    return everywhere.item<float>() != 0;
}

Context Trainer::context() const {
    Context context;
    context.comm = &comm();
    context.progress = progress_;
    context.device = device_;
    context.seed = static_cast<std::uint64_t>(recipe_.train.seed);
    return context;
}

TrainSummary Trainer::run() {
    return recorded([&] { return train(); });
}

TrainSummary Trainer::train() {
    const StopSignals signals;
    const auto start = std::chrono::steady_clock::now();
    const auto from = progress_.step;
    view_->say(fmt::format(
        "{} in {}: {} images, {} epochs of {} steps, batch {}{}{}, {} on {}, {} loader workers",
        folder_.resumes() ? fmt::format("resuming at step {}", from) : "training", folder_.path().string(),
        data_.images->size(), recipe_.train.epochs, progress_.steps_per_epoch, recipe_.train.batch,
        recipe_.train.accumulate > 1 ? fmt::format(" x {}", recipe_.train.accumulate) : "",
        comm().world_size() > 1 ? fmt::format(" x {} processes", comm().world_size()) : "",
        stepper_->bf16() ? "bf16" : "fp32", device_.str(), loader_->workers()));
    view_->say(data_.cache.text());
    for (const auto& warning : plan_.warnings()) view_->say("warning: " + warning);
    if (const auto note = data_.images->note(); !note.empty()) view_->say("note: " + note);
    if (first() && !folder_.is_locked())
        view_->say(fmt::format(
            "warning: the file system of {} has no locks: nothing keeps another process from writing this "
            "run too",
            folder_.path().string()));
    view_->busy(fmt::format("step {} of {}", from + 1, progress_.total_steps));
    plan_.train(true);
    window_ = {};
    stepper_->clock().take();
    bool stopped = false;
    while (progress_.step < progress_.total_steps && !stopped) stopped = !epoch();
    TrainSummary summary;
    summary.run = folder_.path();
    summary.steps = progress_.step;
    summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    summary.stopped = stopped;
    summary.first = first();
    if (stopped) {
        if (first()) save("last");
        view_->say(fmt::format("stopped by signal {} at step {}; go on with --resume", StopSignals::received(),
                               progress_.step));
    } else {  // on the terminal the verb says it
        folder_.log(fmt::format("trained {} steps in {}", summary.steps, base::duration_text(summary.seconds)));
    }
    const auto status = stopped ? "stopped" : "finished";
    folder_.update({{"status", status}, {"exit_code", stopped ? 75 : 0}, {"step", progress_.step}});
    if (events_) events_->flush();
    view_->finish();
    return summary;
}

bool Trainer::epoch() {
    const auto number = progress_.epoch();
    const auto done = progress_.step % progress_.steps_per_epoch;
    loader_->begin(number, done * recipe_.train.accumulate);
    for (const auto& [name, component] : plan_.components())
        host::guarded(name + ": on_epoch_begin", [&, &c = component] { c->on_epoch_begin(context()); });
    for (auto i = done; i < progress_.steps_per_epoch; ++i) {
        if (!step()) break;
        if (stop_asked() && i + 1 < progress_.steps_per_epoch) return false;
    }
    end_of_epoch();
    return !stop_asked();
}

void Trainer::watch(const plan::StepOutput& out, std::int64_t images, bool finite) {
    if (!finite) {
        on_nan(out);
        return;
    }
    if (progress_.step == 0) monitor_.require(term_names(out));
    const auto add = [](at::Tensor& sum, const at::Tensor& value) {
        const auto exact = value.detach().to(at::kDouble).reshape({});
        sum = sum.defined() ? sum + exact : exact;
    };
    add(window_.loss, out.total);
    for (const auto& [name, value] : out.terms) {
        auto& sum = window_.sums[name];
        if (!sum.defined()) window_.order.push_back(name);
        add(sum, value);
    }
    ++window_.micro_steps;
    window_.images += images;
    const auto& watched = recipe_.monitor;
    const auto features = plan_.watched_features(watched);
    if (out.tensors.has(features.name)) {
        last_features_ = out.tensors[features.name].detach();
        if (features.average) last_features_ = last_features_.mean(-2);
    }
    if (!watched.assignments.empty()) last_assignments_ = out.tensors[watched.assignments].detach();
}

bool Trainer::step() {
    bool finite = true;
    const auto result = stepper_->step(
        context(), [&](Tensors& batch) { return loader_->next(batch); },
        [&](const plan::StepOutput& out, std::int64_t images, bool good) {
            finite = good && finite;
            watch(out, images, good);
        });
    if (!result.complete) return false;
    if (result.updated) {
        window_.gradient_norm += result.gradient_norm;
        ++window_.steps;
    } else if (finite) {
        on_nan({});
    }
    ++progress_.step;
    if (progress_.step % recipe_.train.log_every == 0 || progress_.step == progress_.total_steps)
        report();
    else
        view_->step(progress_.step);
    return true;
}

// Names the first tensor of the dataflow that is not finite: that is where the trouble starts.
void Trainer::on_nan(const plan::StepOutput& out) {
    std::string first = out.total.defined() ? "the loss" : "a gradient";
    if (const auto found = not_finite(plan_, out.tensors); out.total.defined() && !found.empty())
        first = fmt::format("'{}', written by {} ({})", found.front().name, found.front().node->id,
                            found.front().node->where);
    const auto message =
        fmt::format("not-a-number at step {}: the first that is not finite is {}", progress_.step, first);
    folder_.metrics({{"step", progress_.step}, {"event", "nan"}, {"first", first}});
    const auto bundle = save_bundle(out);
    if (recipe_.monitor.on_nan == "stop")
        throw NumericError(
            fmt::format("{}; lower optimizer.lr, or set train.precision = \"fp32\". {} has the batch and the "
                        "weights of this step; checkpoints/last, if there is one, is from before",
                        message, bundle.string()));
    view_->say("warning: " + message + "; the step is skipped");
}

void Trainer::scalar(const std::string& name, double value) {
    if (events_) events_->scalar(name, progress_.step, value);
}

Trainer::Sums Trainer::global_sums() const {
    std::vector<at::Tensor> sums = {window_.loss.defined() ? window_.loss : at::zeros({}, at::kDouble)};
    for (const auto& name : window_.order) sums.push_back(window_.sums.at(name));
    for (auto& sum : sums) sum = sum.to(device_);
    const auto counts = at::tensor(
        {static_cast<double>(window_.images), static_cast<double>(window_.micro_steps)}, at::kDouble);
    auto all = at::cat({counts, at::stack(sums).cpu()});
    if (request_.group != nullptr) comm().all_reduce_sum(all);
    const auto* value = all.const_data_ptr<double>();
    return {.loss = value[2],
            .images = value[0],
            .micro_steps = value[1],
            .terms = {value + 3, value + all.numel()}};
}

void Trainer::report() {
    const auto seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - window_.start).count();
    const auto sums = global_sums();
    const auto micro = std::max(1.0, sums.micro_steps);
    Report report;
    report.step = progress_.step;
    report.total_steps = progress_.total_steps;
    report.epoch = (progress_.step - 1) / progress_.steps_per_epoch;
    report.total_epochs = recipe_.train.epochs;
    report.images_per_second = sums.images / seconds;
    report.stall = loader_->take_stall() / seconds;
    report.values.emplace_back("loss", sums.loss / micro);
    for (std::size_t i = 0; i < sums.terms.size(); ++i)
        report.values.emplace_back(window_.order[i], sums.terms[i] / micro);

    nlohmann::json line = {
        {"step", progress_.step},
        {"epoch", static_cast<double>(progress_.step) / static_cast<double>(progress_.steps_per_epoch)},
        {"time", base::utc_now()},
        {"images_per_second", report.images_per_second},
        {"loader_stall", report.stall},
        {"memory_mib", peak_memory_mib()},
        {"lr", stepper_->optimizer().lr(progress_)},
        {"weight_decay", stepper_->optimizer().weight_decay(progress_)},
        {"gradient_norm",
         window_.gradient_norm / static_cast<double>(std::max<std::int64_t>(1, window_.steps))}};
    const auto phases = stepper_->clock().take();
    for (std::size_t i = 0; i < phases.size(); ++i)
        if (phases[i] > 0) line["phases"][phase_names[i]] = phases[i];
    for (const auto& follower : stepper_->followers()) line["momentum"] = follower.momentum(progress_);
    const auto terms = report.values;
    std::optional<Health> health;
    if (last_features_.defined()) {
        const auto all = [&](const at::Tensor& x) {
            return x.defined() ? comm().all_gather(x, /*with_grad=*/false) : x;
        };
        health = measure_health(all(last_features_), all(last_assignments_));
        report.values.emplace_back("std", health->std);
        report.values.emplace_back("rank", health->rank);
        if (health->entropy) report.values.emplace_back("entropy", *health->entropy);
    }
    const auto alarm = monitor_.check(health, terms);
    for (const auto& [name, value] : report.values) {
        line[name] = value;
        scalar("train/" + name, value);
    }
    scalar("train/lr", stepper_->optimizer().lr(progress_));
    scalar("speed/images_per_second", report.images_per_second);
    scalar("speed/loader_stall", report.stall);
    folder_.metrics(line);
    view_->show(report);
    window_ = {};
    if (alarm.empty()) return;
    folder_.metrics({{"step", progress_.step}, {"event", "collapse"}, {"reason", alarm}});
    if (recipe_.monitor.on_collapse == "stop") {
        if (first()) save("last");
        throw NumericError(fmt::format("step {}: {}; see docs/collapse.md", progress_.step, alarm));
    }
    view_->say(fmt::format("warning: step {}: {}", progress_.step, alarm));
}

void Trainer::probe(std::int64_t epoch) {
    view_->busy(fmt::format("probe after epoch {}", epoch));
    plan_.train(false);
    auto now = context();
    now.training = false;
    now.comm = &Comm::local();
    const auto values = request_.probe(plan_, now);
    plan_.train(true);
    nlohmann::json line = {{"step", progress_.step}, {"epoch", static_cast<double>(epoch)}, {"event", "probe"}};
    std::string text;
    for (const auto& [name, value] : values) {
        line[name] = value;
        if (!std::isfinite(value)) {  // no image, or none of a class: what was said when the tables were opened
            text += fmt::format("  {} undefined", name);
            continue;
        }
        scalar("probe/" + name, value);
        text += fmt::format("  {} {:.4f}", name, value);
    }
    folder_.metrics(line);
    view_->say(fmt::format("probe after epoch {}:{}", epoch, text));
    if (values.empty() || !std::isfinite(values.front().second) || (best_ && values.front().second <= *best_))
        return;
    best_ = values.front().second;
    save("best");
    folder_.update({{"best", {{"metric", values.front().first}, {"value", *best_}, {"epoch", epoch}}}});
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
    if (epoch == 1 && !flat.empty())
        view_->say(
            fmt::format("warning: {} images are blank or nearly (such as {}: {}) and are used; {} names them",
                        flat.size(), flat.front().name, flat.front().reason, name));
    return bad.size();
}

void Trainer::end_of_epoch() {
    const auto epoch = progress_.step / progress_.steps_per_epoch;  // epochs finished
    const bool last = progress_.step >= progress_.total_steps;
    const bool probes = request_.probe && recipe_.probe && recipe_.probe->every > 0 &&
                        (epoch % recipe_.probe->every == 0 || last);
    if (probes && first()) probe(epoch);
    for (const auto& [name, component] : plan_.components())
        if (const auto* augment = dynamic_cast<const Augment*>(component.get()))
            for (const auto& [what, count] : augment->counts())
                if (count > 0)
                    folder_.metrics({{"step", progress_.step}, {"event", name + "." + what}, {"count", count}});
    const auto bad = list_bad_images(epoch);
    if (first()) {
        save("last");
        if (recipe_.train.checkpoint_every > 0 && epoch % recipe_.train.checkpoint_every == 0)
            save(fmt::format("step_{}", progress_.step));
    }
    folder_.update({{"step", progress_.step}, {"epoch", epoch}, {"quarantined", bad}});
    if (events_) events_->flush();
    // A probe takes as long as it takes.
    if (request_.group != nullptr) request_.group->wait_for_all(std::chrono::hours(24));
}

}  // namespace hearth::train
