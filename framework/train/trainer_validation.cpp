// What the trainer does for [validate]: it measures, keeps the best weights and ends a training early.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "train/trainer.hpp"

namespace hearth::train {
namespace {

/// `ended_early` of run.json: the text, or where there are stages that of each one that ended early.
nlohmann::json with_end(const nlohmann::json& run, const recipe::Recipe& recipe, const std::string& text) {
    if (!recipe.stage) return text;
    const bool there = run.contains("ended_early") && run["ended_early"].is_object();
    auto out = there ? run["ended_early"] : nlohmann::json::object();
    out[recipe.stage->name] = text;
    return out;
}

}  // namespace

NamedTensors Trainer::handed_on() const {
    return recipe_.validate && checkpoints_->best() ? checkpoints_->best_state() : checkpoints_->state();
}

std::string Trainer::patience_is_over() const {
    if (!recipe_.validate || recipe_.validate->patience == 0) return "";
    const auto turns = checkpoints_->turns_without_better();
    if (turns < recipe_.validate->patience) return "";
    return fmt::format("{} was no better in {} (validate.patience)", recipe_.validate->watch,
                       turns == 1 ? "one measurement" : fmt::format("{} measurements in a row", turns));
}

void Trainer::say_how_it_ended() {
    const auto stage = recipe_.stage ? fmt::format("stage {}: ", recipe_.stage->name) : "";
    if (const auto why = patience_is_over(); !why.empty() && progress_.step < progress_.total_steps) {
        const auto text = fmt::format("ended at step {} of {}: {}", progress_.step, progress_.total_steps, why);
        view_->say(stage + text);
        folder_.update({{"ended_early", with_end(folder_.status(), recipe_, text)}});
    }
    if (!recipe_.validate) return;
    const bool goes_on = request_.stage && !request_.stage->last;
    if (const auto& best = checkpoints_->best())
        view_->say(fmt::format("{}checkpoint `{}` is of step {}: {} {:.4g}{}", stage, checkpoints_->best_name(),
                               steps_before() + best->step, recipe_.validate->watch, best->score,
                               goes_on ? ", from which the next stage goes on" : ""));
    else
        view_->say(fmt::format("warning: {}no measurement of {} was a number, so there is no checkpoint `{}`{}",
                               stage, recipe_.validate->watch, checkpoints_->best_name(),
                               goes_on ? ", and the next stage goes on from the last weights" : ""));
}

void Trainer::fit_best() {
    const auto components = plan_.components();
    const bool fits = std::ranges::any_of(
        components, [](const auto& component) { return component.second->fits() == Fit::after; });
    if (!fits || !recipe_.validate || !checkpoints_->best()) return;
    {
        const StateKeeper last(plan_);
        checkpoints_->load_best();
        fit(Fit::after);
        if (first()) checkpoints_->rewrite_best();
    }
    if (request_.group != nullptr) request_.group->wait_for_all(std::chrono::hours(24));
}

Terms Trainer::measure(const std::string& what) {
    const auto& spec = *recipe_.validate;
    auto now = context();
    now.training = now.learns = false;
    now.comm = &Comm::local();
    if (validation_)
        return validation_->measure(now, [&](std::int64_t done, std::int64_t all) {
            view_->busy(fmt::format("{}: {} of {} images", what, done, all));
        });
    if (!request_.validate)
        throw RecipeError(
            fmt::format("{}: validate.watch: found \"{}\", which nobody measures here, expected "
                        "total or a term of a loss; train with `hearth train`",
                        spec.place("watch").text(), spec.watch));
    // What fits after the training has to be fitted to score images, and training goes on without.
    std::optional<StateKeeper> unfitted;
    if (spec.section() == "detect") {
        unfitted.emplace(plan_);
        fit_components(plan_, Fit::after, now, set_for(now),
                       [&](const std::string& part) { view_->busy(what + ": " + part); });
        plan_.train(false);
        view_->busy(what);
    }
    return {{spec.watch, request_.validate(plan_, now)}};
}

double Trainer::of_first(double value) const {
    if (request_.group == nullptr) return value;
    request_.group->wait_for_all(std::chrono::hours(24));  // it takes as long as it takes
    auto shared = at::full({1}, first() ? value : 0.0, at::kDouble);
    comm().all_reduce_sum(shared);
    return shared.item<double>();
}

void Trainer::validate(std::int64_t epoch) {
    const auto& spec = *recipe_.validate;
    Terms values;
    double value = 0;
    if (first()) {
        const auto what = fmt::format("validating after epoch {}", epoch);
        view_->busy(what);
        plan_.train(false);
        values = measure(what);
        plan_.train(true);
        value = watched_value(values, recipe_);
    }
    value = of_first(value);
    const bool better = checkpoints_->is_best(value, progress_.step, spec.best == "lowest");
    if (!first()) return;
    const auto turns = checkpoints_->turns_without_better();
    journal_->validated(progress_, epoch, values, turns);
    const auto& best = checkpoints_->best();
    view_->say(fmt::format("validation after epoch {}: {} {}{}", epoch, spec.watch,
                           std::isfinite(value) ? fmt::format("{:.4g}", value) : "undefined",
                           better ? ", the best so far"
                           : best ? fmt::format(" (best {:.4g} at step {}, {} turn{} ago)", best->score,
                                                steps_before() + best->step, turns, turns == 1 ? "" : "s")
                                  : ""));
    if (better) {
        due_.push_back(checkpoints_->best_name());
        nlohmann::json found = {{"metric", spec.watch},
                                {"value", value},
                                {"epoch", epoch},
                                {"step", steps_before() + progress_.step}};
        if (recipe_.stage) found["stage"] = recipe_.stage->name;
        told_["best"] = found;
    }
    if (!validation_ || told_unreadable_) return;
    const auto bad = validation_->unreadable();
    if (bad.empty()) return;
    told_unreadable_ = true;
    view_->say(
        fmt::format("warning: {} validation images cannot be read, and others took their places; one of "
                    "them: {}",
                    bad.size(), bad.front().reason));
}

}  // namespace hearth::train
