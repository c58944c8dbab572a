#include "train/journal.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/time_text.hpp"
#include "train/memory.hpp"
#include "train/terms.hpp"
#include "train/validation.hpp"

namespace hearth::train {

namespace {

/// [1 + T] in double: the loss and its terms, as few operations where they are of one type.
at::Tensor in_one(const plan::StepOutput& out, c10::Device device) {
    std::vector<at::Tensor> values = {out.total.detach().reshape({})};
    for (const auto& [name, value] : out.terms) values.push_back(value.detach().reshape({}));
    const auto options = values.front().options();
    const bool alike = std::ranges::all_of(values, [&](const at::Tensor& value) {
        return value.device() == options.device() && value.dtype() == options.dtype();
    });
    if (!alike)
        for (auto& value : values) value = value.to(device, at::kDouble);
    return at::stack(values).to(at::kDouble);
}

}  // namespace

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
    std::vector<std::string> names;
    for (const auto& [name, value] : out.terms) names.push_back(name);
    const auto number = static_cast<std::size_t>(out.phase - plan_.phases().data());
    auto sum = std::ranges::find_if(
        window_.sums, [&](const OfTerms& other) { return other.phase == number && other.names == names; });
    if (sum == window_.sums.end()) sum = window_.sums.insert(sum, {number, names});
    auto values = in_one(out, device_);
    auto none = at::zeros_like(values, at::kBool);
    if (!names.empty()) {
        const auto of_terms = values.slice(0, 1).isnan();
        none = at::cat({of_terms.all().view({1}), of_terms});
        values = values.masked_fill(none, 0);
    }
    sum->values = sum->values.defined() ? sum->values + values : values;
    sum->empty = sum->empty.defined() ? sum->empty + none : none.to(at::kDouble);
    ++sum->micro_steps;
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
    auto names = term_names();
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

std::vector<std::string> Journal::term_names() const {
    std::vector<std::string> names;
    for (const auto& sum : window_.sums)
        std::ranges::copy_if(sum.names, std::back_inserter(names),
                             [&](const std::string& name) { return std::ranges::count(names, name) == 0; });
    return names;
}

Journal::Means Journal::global_means() const {
    std::vector<double> counts = {static_cast<double>(window_.images)};
    std::vector<at::Tensor> sums;
    for (const auto& sum : window_.sums) {
        counts.push_back(static_cast<double>(sum.micro_steps));
        sums.insert(sums.end(), {sum.values.to(device_), sum.empty.to(device_)});
    }
    auto all = at::tensor(counts, at::kDouble);
    if (!sums.empty()) all = at::cat({all, at::cat(sums).cpu()});
    comm_.all_reduce_sum(all);
    const auto* value = all.const_data_ptr<double>();
    const auto* micro_steps = value + 1;
    const auto* next = value + counts.size();
    const auto names = term_names();
    struct Mean {
        double sum = 0, count = 0;
        double value() const { return sum / count; }
    };
    std::vector<Mean> losses(window_.phases.size()), terms(names.size());
    for (const auto& sum : window_.sums) {
        const auto width = sum.names.size() + 1;
        for (std::size_t i = 0; i < width; ++i) {
            auto& mean = i == 0 ? losses[sum.phase]
                                : terms[static_cast<std::size_t>(std::ranges::find(names, sum.names[i - 1]) -
                                                                 names.begin())];
            mean.sum += next[i];
            mean.count += *micro_steps - next[width + i];
        }
        next += 2 * width;
        ++micro_steps;
    }
    Means means;
    means.images = value[0];
    for (const auto& loss : losses) means.losses.push_back(loss.value());
    for (std::size_t i = 0; i < names.size(); ++i)
        if (terms[i].count > 0) means.terms.emplace_back(names[i], terms[i].value());
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
    if (!term_names().empty()) line["terms"] = nlohmann::json::object();
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
