#include "train/journal.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/time_text.hpp"
#include "train/memory.hpp"

namespace hearth::train {

Journal::Journal(const recipe::Recipe& recipe, const plan::Plan& plan, Stepper& stepper, RunFolder& folder,
                 const Comm& comm, c10::Device device)
    : recipe_(recipe),
      plan_(plan),
      stepper_(stepper),
      folder_(folder),
      comm_(comm),
      device_(device),
      monitor_(recipe.monitor) {
    if (comm.rank() == 0) events_ = std::make_unique<EventWriter>(folder.path());
}

void Journal::begin() {
    window_ = {};
    stepper_.clock().take();
}

void Journal::add(const plan::StepOutput& out, std::int64_t images, const Progress& progress) {
    if (progress.step == 0) monitor_.require(term_names(out));
    const auto sum_up = [](at::Tensor& sum, const at::Tensor& value) {
        const auto exact = value.detach().to(at::kDouble).reshape({});
        sum = sum.defined() ? sum + exact : exact;
    };
    sum_up(window_.loss, out.total);
    for (const auto& [name, value] : out.terms) {
        auto& sum = window_.sums[name];
        if (!sum.defined()) window_.order.push_back(name);
        sum_up(sum, value);
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

void Journal::add_update(double gradient_norm) {
    window_.gradient_norm += gradient_norm;
    ++window_.steps;
}

Journal::Sums Journal::global_sums() const {
    std::vector<at::Tensor> sums = {window_.loss.defined() ? window_.loss : at::zeros({}, at::kDouble)};
    for (const auto& name : window_.order) sums.push_back(window_.sums.at(name));
    for (auto& sum : sums) sum = sum.to(device_);
    const auto counts = at::tensor(
        {static_cast<double>(window_.images), static_cast<double>(window_.micro_steps)}, at::kDouble);
    auto all = at::cat({counts, at::stack(sums).cpu()});
    comm_.all_reduce_sum(all);
    const auto* value = all.const_data_ptr<double>();
    return {.loss = value[2],
            .images = value[0],
            .micro_steps = value[1],
            .terms = {value + 3, value + all.numel()}};
}

Report Journal::report_of(const Sums& sums, const Progress& progress, double stalled) const {
    const auto seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - window_.start).count();
    const auto micro = std::max(1.0, sums.micro_steps);
    Report report;
    report.step = progress.step;
    report.total_steps = progress.total_steps;
    report.epoch = (progress.step - 1) / progress.steps_per_epoch;
    report.total_epochs = recipe_.train.epochs;
    report.images_per_second = sums.images / seconds;
    report.stall = stalled / seconds;
    report.values.emplace_back("loss", sums.loss / micro);
    for (std::size_t i = 0; i < sums.terms.size(); ++i)
        report.values.emplace_back(window_.order[i], sums.terms[i] / micro);
    return report;
}

nlohmann::json Journal::metrics_line(const Report& report, const Progress& progress) {
    nlohmann::json line = {
        {"step", progress.step},
        {"epoch", static_cast<double>(progress.step) / static_cast<double>(progress.steps_per_epoch)},
        {"time", base::utc_now()},
        {"images_per_second", report.images_per_second},
        {"loader_stall", report.stall},
        {"memory_mib", peak_memory_mib()},
        {"lr", stepper_.optimizer().lr(progress)},
        {"weight_decay", stepper_.optimizer().weight_decay(progress)},
        {"gradient_norm",
         window_.gradient_norm / static_cast<double>(std::max<std::int64_t>(1, window_.steps))}};
    const auto parts = stepper_.clock().take();
    for (std::size_t i = 0; i < parts.size(); ++i)
        if (parts[i] > 0) line["phases"][part_names[i]] = parts[i];
    for (const auto& follower : stepper_.followers()) line["momentum"] = follower.momentum(progress);
    return line;
}

std::optional<Health> Journal::global_health() const {
    if (!last_features_.defined()) return std::nullopt;
    const auto all = [&](const at::Tensor& x) {
        return x.defined() ? comm_.all_gather(x, /*with_grad=*/false) : x;
    };
    return measure_health(all(last_features_), all(last_assignments_));
}

Journal::Entry Journal::close(const Progress& progress, double stalled) {
    Entry entry;
    auto& report = entry.report;
    report = report_of(global_sums(), progress, stalled);
    auto line = metrics_line(report, progress);
    const auto terms = report.values;
    const auto health = global_health();
    if (health) {
        report.values.emplace_back("std", health->std);
        report.values.emplace_back("rank", health->rank);
        if (health->entropy) report.values.emplace_back("entropy", *health->entropy);
    }
    entry.alarm = monitor_.check(health, terms);
    for (const auto& [name, value] : report.values) {
        line[name] = value;
        scalar("train/" + name, progress, value);
    }
    scalar("train/lr", progress, stepper_.optimizer().lr(progress));
    scalar("speed/images_per_second", progress, report.images_per_second);
    scalar("speed/loader_stall", progress, report.stall);
    folder_.metrics(line);
    window_ = {};
    return entry;
}

void Journal::event(const Progress& progress, const std::string& name, nlohmann::json values) {
    values["step"] = progress.step;
    values["event"] = name;
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

void Journal::scalar(const std::string& name, const Progress& progress, double value) {
    if (events_) events_->scalar(name, progress.step, value);
}

void Journal::flush() {
    if (events_) events_->flush();
}

}  // namespace hearth::train
