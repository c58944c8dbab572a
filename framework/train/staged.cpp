#include "train/staged.hpp"

#include <fmt/format.h>

#include <utility>

namespace hearth::train {
namespace {

/// The stage that a run is in, and how many steps those before it had.
struct Position {
    std::size_t stage = 0;
    std::int64_t steps_before = 0;
    bool resumes = false;
};

Position position_in(const RunFolder& folder, const std::vector<recipe::Recipe>& stages) {
    if (!folder.resumes()) return {};
    for (const auto* name : {"last", "previous"}) {
        try {
            const auto saved = base::read_safetensors(folder.checkpoint(name));
            const auto stage = saved.metadata.find("hearth.stage");
            for (std::size_t i = 0; i < stages.size() && stage != saved.metadata.end(); ++i)
                if (stages[i].stage->name == stage->second)
                    return {i, std::stoll(saved.metadata.at("hearth.steps_before")), true};
        } catch (const DataError&) {
            continue;  // what is wrong with it is said where it is loaded
        }
    }
    return {0, 0, true};
}

}  // namespace

TrainSummary train_stages(const recipe::Recipe& whole, const host::Registry& registry, TrainRequest request) {
    const auto stages = recipe::stages(whole);
    auto plans = std::exchange(request.plans, {});
    if (stages.size() == 1) {
        if (!plans.empty()) request.plan = std::move(plans.front());
        Trainer trainer(stages.front(), registry, std::move(request));
        return trainer.run();
    }
    auto folder = open_folder(whole, registry, request);
    auto at = position_in(folder, stages);
    std::string text, mermaid;
    for (std::size_t i = 0; i < stages.size(); ++i) {
        if (plans.size() <= i) plans.push_back(plan::Plan::initial(stages[i], registry));
        text += fmt::format("stage {}\n{}\n", stages[i].stage->name, plan::to_text(plans[i]));
        mermaid += fmt::format("%% stage {}\n{}\n", stages[i].stage->name, plan::to_mermaid(plans[i]));
    }
    folder.describe(whole, registry, text, mermaid, request.command);
    plans.erase(plans.begin(), plans.begin() + static_cast<std::ptrdiff_t>(at.stage));
    TrainSummary summary;
    NamedTensors carried;
    double seconds = 0;
    std::int64_t steps_here = 0;
    for (; at.stage < stages.size(); ++at.stage, at.resumes = false) {
        TrainRequest own = request;
        own.plan = std::move(plans.front());
        plans.erase(plans.begin());  // its weights go with it
        own.stage = StageStart{.folder = &folder,
                               .resumes = at.resumes,
                               .last = at.stage + 1 == stages.size(),
                               .steps_before = at.steps_before,
                               .carried = std::move(carried),
                               .before = at.stage > 0 ? &stages[at.stage - 1] : nullptr};
        Trainer trainer(stages[at.stage], registry, std::move(own));
        summary = trainer.run();
        seconds += summary.seconds;
        steps_here += summary.steps_here;
        at.steps_before += summary.steps;
        summary.steps = at.steps_before;
        summary.steps_here = steps_here;
        summary.seconds = seconds;
        if (summary.stopped) break;
        carried = trainer.handed_on();
        request.opening.clear();
    }
    return summary;
}

}  // namespace hearth::train
