#include "train/trainer.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <new>

#include "train/autocast.hpp"
#include "train/initial_weights.hpp"
#include "train/safetensors.hpp"
#include "train/signals.hpp"

namespace hearth::train {

c10::Device pick_device(const std::string& wanted) {
    const bool cuda = torch::cuda::is_available();
    if (wanted == "auto") return cuda ? c10::Device(c10::kCUDA) : c10::Device(c10::kCPU);
    if (wanted.starts_with("cuda") && !cuda)
        throw RecipeError(fmt::format(
            "train.device is \"{}\", but no CUDA device is usable here; set train.device = \"auto\", or "
            "see `hearth doctor`",
            wanted));
    const c10::Device device(wanted);
    if (device.is_cuda() && device.index() >= static_cast<int>(torch::cuda::device_count()))
        throw RecipeError(
            fmt::format("train.device is \"{}\", but there are {} CUDA devices here, numbered from 0", wanted,
                        torch::cuda::device_count()));
    return device;
}

bool use_bf16(const std::string& precision, c10::Device device) {
    if (precision != "auto") return precision == "bf16";
    if (device.is_cuda()) return true;
#if defined(__x86_64__)
    // oneDNN gains from AMX, and from avx512bf16 on AMD; on an Intel machine without AMX bf16 took 1.7 times as
    // long as fp32 (docs/benchmarks.md).
    return __builtin_cpu_supports("amx-bf16") != 0 ||
           (__builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_is("amd") != 0);
#else
    return false;
#endif
}

std::vector<std::string> term_names(const plan::StepOutput& out) {
    std::vector<std::string> names{"loss"};
    for (const auto& [name, value] : out.terms) names.push_back(name);
    return names;
}

Trainer::Trainer(const recipe::Recipe& recipe, const host::Registry& registry, TrainRequest request)
    : recipe_(recipe),
      registry_(registry),
      request_(std::move(request)),
      device_(pick_device(recipe.train.device)),
      bf16_(use_bf16(recipe.train.precision, device_)),
      plan_([&] {
          torch::manual_seed(static_cast<std::uint64_t>(recipe.train.seed));  // initial weights
          return plan::Plan::build(recipe, registry);
      }()),
      data_(open_training_data(recipe.data)),
      folder_(RunFolder::open(recipe, request_.out, request_.existing)),
      monitor_(recipe.monitor) {
    if (recipe.train.threads > 0) at::set_num_threads(static_cast<int>(recipe.train.threads));
    plan_.to(device_);
    folder_.describe(recipe, registry, plan::to_text(plan_), plan::to_mermaid(plan_), request_.command);

    auto delivered = plan_.delivered();
    loader_ = std::make_unique<data::Loader>(
        data_.images, loader_options(recipe, plan_, data_.labels),
        [this](Tensors& views, const RandomKey& key) { plan_.augment(views, key); }, std::move(delivered));

    progress_.steps_per_epoch = loader_->batches_per_epoch() / recipe.train.accumulate;
    if (progress_.steps_per_epoch < 1)
        throw DataError(fmt::format(
            "found {} batches an epoch, expected at least train.accumulate = {}; lower train.batch or "
            "train.accumulate",
            loader_->batches_per_epoch(), recipe.train.accumulate));
    progress_.total_steps = progress_.steps_per_epoch * recipe.train.epochs;
    optimizer_ = std::make_unique<Optimizer>(recipe.optimizer, plan_.trained_parameters(),
                                             recipe.train.batch * recipe.train.accumulate);
    for (const auto& network : plan_.networks())
        if (!network.follows.empty()) followers_.emplace_back(network, *plan_.network(network.follows));
    if (folder_.resumes())
        restore();
    else
        folder_.rewind(0);  // a run that was killed before its first checkpoint starts again
    events_ = std::make_unique<EventWriter>(folder_.path());
    view_ = std::make_unique<ProgressView>(folder_.path() / "train.log", request_.quiet, progress_.step);
    if (!folder_.resumes())
        for (const auto& warning : load_initial_weights(recipe, plan_)) view_->say("warning: " + warning);
}

Context Trainer::context() const {
    Context context;
    context.progress = progress_;
    context.device = device_;
    context.seed = static_cast<std::uint64_t>(recipe_.train.seed);
    return context;
}

TrainSummary Trainer::run() {
    const auto fail = [&](const char* status, int code, const std::string& message) {
        folder_.update({{"status", status}, {"exit_code", code}, {"error", message}});
    };
    try {
        return train();
    } catch (const c10::OutOfMemoryError& error) {
        fail("failed", 6, "out of memory");
        throw OutOfMemory(
            fmt::format("out of device memory at step {}: {}; lower train.batch and raise train.accumulate",
                        progress_.step, error.what_without_backtrace()));
    } catch (const std::bad_alloc&) {
        fail("failed", 6, "out of memory");
        throw OutOfMemory(fmt::format(
            "out of memory at step {}; lower train.batch and raise train.accumulate, or set data.cache = "
            "false",
            progress_.step));
    } catch (const Error& error) {
        fail("failed", static_cast<int>(error.code()), error.what());
        throw;
    } catch (const std::exception& error) {
        fail("failed", static_cast<int>(ExitCode::internal), error.what());
        throw;
    }
}

TrainSummary Trainer::train() {
    const StopSignals signals;
    const auto start = std::chrono::steady_clock::now();
    const auto first = progress_.step;
    view_->say(fmt::format(
        "{} in {}: {} images, {} epochs of {} steps, batch {}{}, {} on {}, {} loader workers",
        folder_.resumes() ? fmt::format("resuming at step {}", first) : "training", folder_.path().string(),
        data_.images->size(), recipe_.train.epochs, progress_.steps_per_epoch, recipe_.train.batch,
        recipe_.train.accumulate > 1 ? fmt::format(" x {}", recipe_.train.accumulate) : "",
        bf16_ ? "bf16" : "fp32", device_.str(), loader_->workers()));
    for (const auto& warning : plan_.warnings()) view_->say("warning: " + warning);
    plan_.train(true);
    window_ = {};
    bool stopped = false;
    while (progress_.step < progress_.total_steps && !stopped) stopped = !epoch();
    TrainSummary summary;
    summary.run = folder_.path();
    summary.steps = progress_.step;
    summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    summary.stopped = stopped;
    if (stopped) {
        save("last");
        view_->say(fmt::format("stopped by signal {} at step {}; go on with --resume", StopSignals::received(),
                               progress_.step));
    }
    const auto status = stopped ? "stopped" : "finished";
    folder_.update({{"status", status}, {"exit_code", stopped ? 75 : 0}, {"step", progress_.step}});
    events_->flush();
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
        if (StopSignals::received() != 0 && i + 1 < progress_.steps_per_epoch) return false;
    }
    end_of_epoch();
    return StopSignals::received() == 0;
}

double Trainer::micro_step(const Tensors& batch, std::int64_t micro) {
    // Dropout and its like are keyed by the step too, so that a resumed run draws what an uninterrupted one
    // would have.
    torch::manual_seed(static_cast<std::uint64_t>(recipe_.train.seed) * 1000003u +
                       static_cast<std::uint64_t>(progress_.step * recipe_.train.accumulate + micro));
    Tensors moved;
    for (const auto& [name, tensor] : batch) moved.set(name, tensor.to(device_, /*non_blocking=*/true));
    plan::StepOutput out;
    {
        const Autocast autocast(device_.type(), bf16_);
        out = plan_.step(moved, context());
    }
    const double loss = out.total.item<double>();
    if (!std::isfinite(loss)) {
        on_nan(out);
        return loss;
    }
    (recipe_.train.accumulate > 1 ? out.total / static_cast<double>(recipe_.train.accumulate) : out.total)
        .backward();
    window_.loss += loss;
    for (const auto& [name, value] : out.terms) {
        if (window_.sums.count(name) == 0) window_.order.push_back(name);
        window_.sums[name] += value.item<double>();
    }
    if (progress_.step == 0 && micro == 0) monitor_.require(term_names(out));
    ++window_.micro_steps;
    window_.images += moved["index"].size(0);
    const auto& watch = recipe_.monitor;
    const auto features = plan_.watched_features(watch);
    if (out.tensors.has(features)) last_features_ = out.tensors[features].detach();
    if (!watch.assignments.empty()) last_assignments_ = out.tensors[watch.assignments].detach();
    return loss;
}

bool Trainer::step() {
    const auto now = context();
    for (auto& follower : followers_)
        if (!follower.after_step()) follower.update(progress_);
    for (const auto& [name, component] : plan_.components())
        host::guarded(name + ": before_step", [&, &c = component] { c->before_step(now); });
    optimizer_->zero_grad();
    bool finite = true;
    for (std::int64_t micro = 0; micro < recipe_.train.accumulate; ++micro) {
        Tensors batch;
        if (!loader_->next(batch)) return false;
        finite = std::isfinite(micro_step(batch, micro)) && finite;
    }
    for (const auto& [name, component] : plan_.components())
        host::guarded(name + ": after_backward", [&, &c = component] { c->after_backward(now); });
    const double norm = optimizer_->clip();
    if (finite && std::isfinite(norm)) {
        window_.gradient_norm += norm;
        ++window_.steps;
        optimizer_->step(progress_);
        for (auto& follower : followers_)
            if (follower.after_step()) follower.update(progress_);
    } else if (finite) {
        on_nan({});
    }
    for (const auto& [name, component] : plan_.components())
        host::guarded(name + ": after_step", [&, &c = component] { c->after_step(now); });
    ++progress_.step;
    if (progress_.step % recipe_.train.log_every == 0 || progress_.step == progress_.total_steps) report();
    return true;
}

// Names the first tensor of the dataflow that is not finite: that is where the trouble starts.
void Trainer::on_nan(const plan::StepOutput& out) {
    std::string first = out.total.defined() ? "the loss" : "a gradient";
    for (const auto& node : plan_.nodes()) {
        for (const auto& wire : node.writes) {
            if (first != "the loss" || !out.tensors.has(wire.name)) continue;
            const auto& tensor = out.tensors[wire.name];
            if (tensor.is_floating_point() && !at::isfinite(tensor).all().item<bool>())
                first = fmt::format("'{}', written by {} ({})", wire.name, node.id, node.where);
        }
    }
    const auto message =
        fmt::format("not-a-number at step {}: the first that is not finite is {}", progress_.step, first);
    folder_.metrics({{"step", progress_.step}, {"event", "nan"}, {"first", first}});
    if (recipe_.monitor.on_nan == "stop")
        throw NumericError(message +
                           "; lower optimizer.lr, or set train.precision = \"fp32\"; checkpoints/last, if "
                           "there is one, is from before");
    view_->say("warning: " + message + "; the step is skipped");
}

void Trainer::report() {
    const auto seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - window_.start).count();
    const auto micro = static_cast<double>(std::max<std::int64_t>(1, window_.micro_steps));
    Report report;
    report.step = progress_.step;
    report.total_steps = progress_.total_steps;
    report.epoch = (progress_.step - 1) / progress_.steps_per_epoch;
    report.total_epochs = recipe_.train.epochs;
    report.images_per_second = static_cast<double>(window_.images) / seconds;
    report.stall = loader_->take_stall() / seconds;
    report.values.emplace_back("loss", window_.loss / micro);
    for (const auto& name : window_.order) report.values.emplace_back(name, window_.sums[name] / micro);

    nlohmann::json line = {
        {"step", progress_.step},
        {"epoch", static_cast<double>(progress_.step) / static_cast<double>(progress_.steps_per_epoch)},
        {"time", utc_now()},
        {"images_per_second", report.images_per_second},
        {"loader_stall", report.stall},
        {"memory_mib", peak_memory_mib()},
        {"lr", optimizer_->lr(progress_)},
        {"weight_decay", optimizer_->weight_decay(progress_)},
        {"gradient_norm",
         window_.gradient_norm / static_cast<double>(std::max<std::int64_t>(1, window_.steps))}};
    for (const auto& follower : followers_) line["momentum"] = follower.momentum(progress_);
    const auto terms = report.values;
    std::optional<Health> health;
    if (last_features_.defined()) {
        health = measure_health(last_features_, last_assignments_);
        report.values.emplace_back("std", health->std);
        report.values.emplace_back("rank", health->rank);
        if (health->entropy) report.values.emplace_back("entropy", *health->entropy);
    }
    const auto alarm = monitor_.check(health, terms);
    for (const auto& [name, value] : report.values) {
        line[name] = value;
        events_->scalar("train/" + name, progress_.step, value);
    }
    events_->scalar("train/lr", progress_.step, optimizer_->lr(progress_));
    events_->scalar("speed/images_per_second", progress_.step, report.images_per_second);
    events_->scalar("speed/loader_stall", progress_.step, report.stall);
    folder_.metrics(line);
    view_->show(report);
    window_ = {};
    if (alarm.empty()) return;
    folder_.metrics({{"step", progress_.step}, {"event", "collapse"}, {"reason", alarm}});
    if (recipe_.monitor.on_collapse == "stop") {
        save("last");
        throw NumericError(fmt::format("step {}: {}; see docs/collapse.md", progress_.step, alarm));
    }
    view_->say(fmt::format("warning: step {}: {}", progress_.step, alarm));
}

void Trainer::end_of_epoch() {
    const auto epoch = progress_.step / progress_.steps_per_epoch;  // epochs finished
    const bool last = progress_.step >= progress_.total_steps;
    if (request_.probe && recipe_.probe && recipe_.probe->every > 0 &&
        (epoch % recipe_.probe->every == 0 || last)) {
        plan_.train(false);
        auto now = context();
        now.training = false;
        const auto values = request_.probe(plan_, now);
        plan_.train(true);
        nlohmann::json line = {
            {"step", progress_.step}, {"epoch", static_cast<double>(epoch)}, {"event", "probe"}};
        std::string text;
        for (const auto& [name, value] : values) {
            line[name] = value;
            events_->scalar("probe/" + name, progress_.step, value);
            text += fmt::format("  {} {:.4f}", name, value);
        }
        folder_.metrics(line);
        view_->say(fmt::format("probe after epoch {}:{}", epoch, text));
        if (!values.empty() && std::isfinite(values.front().second) &&
            (!best_ || values.front().second > *best_)) {
            best_ = values.front().second;
            save("best");
            folder_.update({{"best", {{"metric", values.front().first}, {"value", *best_}, {"epoch", epoch}}}});
        }
    }
    for (const auto& [name, component] : plan_.components())
        if (const auto* augment = dynamic_cast<const Augment*>(component.get()))
            for (const auto& [what, count] : augment->counts())
                if (count > 0)
                    folder_.metrics({{"step", progress_.step}, {"event", name + "." + what}, {"count", count}});
    const auto bad = loader_->quarantine();
    nlohmann::json list = nlohmann::json::array();
    for (const auto& entry : bad) list.push_back({{"file", entry.name}, {"reason", entry.reason}});
    if (!bad.empty()) {
        write_atomically(folder_.path() / "quarantine.json", list.dump(2) + "\n");
        if (epoch == 1)
            view_->say(fmt::format("warning: {} unreadable images were left out; quarantine.json names them",
                                   bad.size()));
    }
    save("last");
    if (recipe_.train.checkpoint_every > 0 && epoch % recipe_.train.checkpoint_every == 0)
        save(fmt::format("step_{}", progress_.step));
    folder_.update({{"step", progress_.step}, {"epoch", epoch}, {"quarantined", bad.size()}});
    events_->flush();
}

void Trainer::save(const std::string& name) {
    auto tensors = plan_.state();
    for (auto& item : optimizer_->state()) tensors.push_back(std::move(item));
    std::map<std::string, std::string> metadata = {
        {"format", "pt"},
        {"hearth.step", std::to_string(progress_.step)},
        {"hearth.total_steps", std::to_string(progress_.total_steps)},
        {"hearth.steps_per_epoch", std::to_string(progress_.steps_per_epoch)},
        {"hearth.recipe", recipe_.name},
        {"hearth.recipe_hash", recipe_hash(recipe_)}};
    if (best_) metadata["hearth.best"] = fmt::format("{}", *best_);
    write_safetensors(folder_.checkpoint(name), tensors, metadata);
}

void Trainer::restore() {
    const auto file = folder_.checkpoint("last");
    const auto saved = read_safetensors(file);
    const auto number = [&](const char* key) {
        const auto found = saved.metadata.find(key);
        if (found == saved.metadata.end())
            throw DataError(fmt::format("{}: found no {}, not a checkpoint", file.string(), key));
        return std::stoll(found->second);
    };
    if (number("hearth.steps_per_epoch") != progress_.steps_per_epoch ||
        number("hearth.total_steps") != progress_.total_steps)
        throw DataError(fmt::format(
            "{} was made with {} steps an epoch and {} in all, this run has {} and {}: the data or the batch "
            "changed; choose another --out",
            file.string(), number("hearth.steps_per_epoch"), number("hearth.total_steps"),
            progress_.steps_per_epoch, progress_.total_steps));
    torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : plan_.state()) {
        const auto source = saved.find(name);
        if (!source.defined()) throw DataError(fmt::format("{}: found no tensor '{}'", file.string(), name));
        tensor.copy_(source);
    }
    optimizer_->load(saved.tensors);
    progress_.step = number("hearth.step");
    if (saved.metadata.count("hearth.best") != 0) best_ = std::stod(saved.metadata.at("hearth.best"));
    folder_.rewind(progress_.step);
}

}  // namespace hearth::train
