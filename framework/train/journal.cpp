#include "train/journal.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/time_text.hpp"
#include "train/memory.hpp"
#include "train/terms.hpp"
#include "train/validation.hpp"

namespace hearth::train {

Journal::Journal(const recipe::Recipe& recipe, const plan::Plan& plan, Stepper& stepper, RunFolder& folder,
                 const Comm& comm, c10::Device device, std::int64_t steps_before)
    : recipe_(recipe),
      plan_(plan),
      stepper_(stepper),
      folder_(folder),
      comm_(comm),
      device_(device),
      steps_before_(steps_before),
      monitor_(recipe.monitor) {
    if (comm.rank() == 0) events_ = std::make_unique<EventWriter>(folder.path());
}

Journal::Window Journal::fresh_window() const {
    Window window;
    window.phases.resize(plan_.phases().size());
    return window;
}

void Journal::begin() {
    window_ = fresh_window();
    stepper_.clock().take();
}

void Journal::add(const plan::StepOutput& out, std::int64_t images) {
    const auto sum_up = [](at::Tensor& sum, const at::Tensor& value) {
        const auto exact = value.detach().to(at::kDouble).reshape({});
        sum = sum.defined() ? sum + exact : exact;
    };
    const auto number = static_cast<std::size_t>(out.phase - plan_.phases().data());
    auto& phase = window_.phases[number];
    sum_up(phase.loss, out.total);
    ++phase.micro_steps;
    for (const auto& [name, value] : out.terms) {
        auto term = std::ranges::find(window_.terms, name, &OfTerm::name);
        if (term == window_.terms.end()) term = window_.terms.insert(term, {name, number, {}});
        sum_up(term->sum, value);
    }
    window_.images += images;
    const auto& watched = recipe_.monitor;
    const auto features = plan_.watched_features(watched);
    if (out.tensors.has(features.name)) {
        last_features_ = out.tensors[features.name].detach();
        if (features.average) last_features_ = last_features_.mean(-2);
    }
    if (!watched.assignments.empty() && out.tensors.has(watched.assignments))
        last_assignments_ = out.tensors[watched.assignments].detach();
}

void Journal::add_updates(const std::vector<Stepper::Updates>& updates, const Progress& progress) {
    for (const auto& update : updates) {
        auto& phase = window_.phases[static_cast<std::size_t>(update.phase - plan_.phases().data())];
        phase.updates += update.count;
        phase.gradient_norm += update.gradient_norm;
    }
    if (progress.step > 0) return;
    std::vector<std::string> names;
    for (const auto& term : window_.terms) names.push_back(term.name);
    require_watched_term(recipe_, names);
    if (!updates.empty()) names.insert(names.begin(), "loss");  // else nothing has a loss
    monitor_.require(names);
}

std::optional<double> Journal::Means::loss() const {
    std::optional<double> sum;
    for (const double loss : losses)
        if (!std::isnan(loss)) sum = sum.value_or(0) + loss;
    return sum;
}

Journal::Means Journal::global_means() const {
    std::vector<double> counts = {static_cast<double>(window_.images)};
    std::vector<at::Tensor> sums;
    for (const auto& phase : window_.phases) {
        counts.push_back(static_cast<double>(phase.micro_steps));
        sums.push_back(phase.loss.defined() ? phase.loss : at::zeros({}, at::kDouble));
    }
    for (const auto& term : window_.terms) sums.push_back(term.sum);
    for (auto& sum : sums) sum = sum.to(device_);
    auto all = at::cat({at::tensor(counts, at::kDouble), at::stack(sums).cpu()});
    comm_.all_reduce_sum(all);
    const auto* value = all.const_data_ptr<double>();
    const auto* micro_steps = value + 1;
    const auto* sum = value + counts.size();
    Means means;
    means.images = value[0];
    for (std::size_t i = 0; i < window_.phases.size(); ++i) means.losses.push_back(*sum++ / micro_steps[i]);
    for (const auto& term : window_.terms)
        means.terms.emplace_back(term.name, *sum++ / micro_steps[term.phase]);
    return means;
}

Report Journal::report_of(const Means& means, const Progress& progress, double stalled) const {
    const auto seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - window_.start).count();
    Report report;
    report.step = progress.step;
    report.total_steps = progress.total_steps;
    report.epoch = (progress.step - 1) / progress.steps_per_epoch;
    report.total_epochs = recipe_.train.epochs;
    report.images_per_second = means.images / seconds;
    report.stall = stalled / seconds;
    report.device_memory_mib = peak_device_memory_mib(device_);
    const bool several = means.losses.size() > 1;  // whose sum says nothing
    for (std::size_t i = 0; i < means.losses.size(); ++i)
        if (!std::isnan(means.losses[i]))
            report.values.emplace_back(several ? "loss of " + plan_.phases()[i].name : "loss", means.losses[i]);
    std::vector<std::string> names;
    for (const auto& [name, value] : means.terms) names.push_back(name);
    const auto shorts = short_names(names);
    for (std::size_t i = 0; i < names.size(); ++i) report.values.emplace_back(shorts[i], means.terms[i].second);
    return report;
}

nlohmann::json Journal::metrics_line(const Report& report, const Means& means, const Progress& progress) {
    nlohmann::json line = {
        {"step", steps_before_ + progress.step},
        {"epoch", static_cast<double>(progress.step) / static_cast<double>(progress.steps_per_epoch)},
        {"time", base::utc_now()},
        {"images_per_second", report.images_per_second},
        {"loader_stall", report.stall},
        {"memory_mib", peak_memory_mib()}};
    if (report.device_memory_mib > 0) line["device_memory_mib"] = report.device_memory_mib;
    if (const auto loss = means.loss()) line["loss"] = *loss;
    if (recipe_.stage) line["stage"] = recipe_.stage->name;
    for (std::size_t i = 0; i < window_.phases.size(); ++i) {
        const auto& updater = stepper_.updaters()[i];
        const auto& window = window_.phases[i];
        if (updater.phase->losses.empty()) continue;  // nothing is updated
        const nlohmann::json of_phase = {
            {"lr", updater.optimizer->lr(progress)},
            {"weight_decay", updater.optimizer->weight_decay(progress)},
            {"gradient_norm",
             window.gradient_norm / static_cast<double>(std::max<std::int64_t>(1, window.updates))}};
        if (updater.phase->name.empty()) {
            line.update(of_phase);
            continue;
        }
        auto& entry = line["phases"][updater.phase->name];
        entry = of_phase;
        entry["loss"] = means.losses[i];
        entry["updates"] = window.updates;
    }
    for (const auto& [name, value] : means.terms) line["terms"][name] = value;
    const auto parts = stepper_.clock().take();
    for (std::size_t i = 0; i < parts.size(); ++i)
        if (parts[i] > 0) line["parts"][part_names[i]] = parts[i];
    for (const auto& follower : stepper_.followers()) line["momentum"] = follower.momentum(progress);
    return line;
}

std::optional<Health> Journal::global_health() const {
    if (!last_features_.defined()) return std::nullopt;
    return measure_health(last_features_, last_assignments_, comm_);
}

Journal::Entry Journal::close(const Progress& progress, double stalled) {
    Entry entry;
    auto& report = entry.report;
    const auto means = global_means();
    report = report_of(means, progress, stalled);
    auto line = metrics_line(report, means, progress);
    auto terms = means.terms;
    if (const auto loss = means.loss()) terms.insert(terms.begin(), {"loss", *loss});
    for (const auto& [name, value] : terms) scalar("train/" + name, progress, value);
    const auto health = global_health();
    const auto tell = [&](const std::string& name, double value) {
        report.values.emplace_back(name, value);
        line[name] = value;
        scalar("train/" + name, progress, value);
    };
    if (health) {
        tell("std", health->std);
        tell("rank", health->rank);
        if (health->entropy) tell("entropy", *health->entropy);
    }
    entry.alarm = monitor_.check(health, terms);
    for (const auto& updater : stepper_.updaters())
        if (!updater.phase->losses.empty())
            scalar(updater.phase->name.empty() ? "train/lr" : "train/lr/" + updater.phase->name, progress,
                   updater.optimizer->lr(progress));
    scalar("speed/images_per_second", progress, report.images_per_second);
    scalar("speed/loader_stall", progress, report.stall);
    folder_.metrics(line);
    window_ = fresh_window();
    return entry;
}

void Journal::event(const Progress& progress, const std::string& name, nlohmann::json values) {
    values["step"] = steps_before_ + progress.step;
    values["event"] = name;
    if (recipe_.stage) values["stage"] = recipe_.stage->name;
    folder_.metrics(values);
}

void Journal::probed(const Progress& progress, std::int64_t epochs, const Terms& values) {
    nlohmann::json line = {{"epoch", static_cast<double>(epochs)}};
    for (const auto& [name, value] : values) {
        line[name] = value;
        if (std::isfinite(value)) scalar("probe/" + name, progress, value);
    }
    event(progress, "probe", line);
}

void Journal::validated(const Progress& progress, std::int64_t epochs, const Terms& values,
                        std::int64_t turns) {
    nlohmann::json line = {{"epoch", static_cast<double>(epochs)},
                           {"watch", recipe_.validate->watch},
                           {"turns_without_better", turns}};
    for (const auto& [name, value] : values) {
        line["validate"][name] = value;
        if (std::isfinite(value)) scalar("validate/" + name, progress, value);
    }
    event(progress, "validate", line);
}

void Journal::scalar(const std::string& name, const Progress& progress, double value) {
    if (events_) events_->scalar(name, steps_before_ + progress.step, value);
}

void Journal::flush() {
    if (events_) events_->flush();
}

}  // namespace hearth::train
