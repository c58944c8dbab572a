// What a Trainer keeps in its run folder and goes on from: checkpoints, and the step that was not finite.
#include <fmt/format.h>

#include "base/safetensors.hpp"
#include "train/trainer.hpp"

namespace hearth::train {

void Trainer::save(const std::string& name) {
    view_->busy("writing checkpoint " + name);
    auto tensors = plan_.state();
    for (auto& item : stepper_->optimizer().state()) tensors.push_back(std::move(item));
    std::map<std::string, std::string> metadata = {
        {"format", "pt"},
        {"hearth.step", std::to_string(progress_.step)},
        {"hearth.total_steps", std::to_string(progress_.total_steps)},
        {"hearth.steps_per_epoch", std::to_string(progress_.steps_per_epoch)},
        {"hearth.recipe", recipe_.name},
        {"hearth.recipe_hash", recipe_hash(recipe_, comm().world_size())}};
    if (best_) metadata["hearth.best"] = fmt::format("{}", *best_);
    metadata["hearth.data"] = fingerprint_;
    base::write_safetensors(folder_.checkpoint(name), tensors, metadata,
                            name == "last" ? folder_.checkpoint("previous") : std::filesystem::path());
    view_->step(progress_.step);
}

// The last checkpoint that can be read: a crash or a disk may have spoilt the newest.
std::pair<std::filesystem::path, base::SafeTensors> Trainer::read_checkpoint() {
    const auto last = folder_.checkpoint("last"), previous = folder_.checkpoint("previous");
    try {
        return {last, base::read_safetensors(last)};
    } catch (const DataError& error) {
        if (!std::filesystem::exists(previous)) throw;
        const auto warning = fmt::format("warning: {}; going on from the checkpoint before it, {}",
                                         error.what(), previous.string());
        folder_.log(warning);
        if (!request_.quiet && first()) fmt::print(stderr, "{}\n", warning);
        return {previous, base::read_safetensors(previous)};
    }
}

void Trainer::restore() {
    const auto [file, saved] = read_checkpoint();
    const auto number = [&, &file = file, &saved = saved](const char* key) {
        const auto found = saved.metadata.find(key);
        if (found == saved.metadata.end())
            throw DataError(fmt::format("{}: found no {}, not a checkpoint", file.string(), key));
        return std::stoll(found->second);
    };
    if (number("hearth.steps_per_epoch") != progress_.steps_per_epoch)
        throw DataError(
            fmt::format("{} was made with {} steps an epoch, this run has {}: the data or the batch "
                        "changed; choose another --out",
                        file.string(), number("hearth.steps_per_epoch"), progress_.steps_per_epoch));
    if (const auto made_with = saved.metadata.find("hearth.data");
        made_with != saved.metadata.end() && made_with->second != fingerprint_)
        throw DataError(
            fmt::format("{} was made with other images than {} selects now: the manifest, the folder or the "
                        "filter changed; "
                        "put it back, or start another run with --out",
                        file.string(), recipe_.data.source));
    plan_.load(saved, file.string());
    stepper_->optimizer().load(saved.tensors);
    progress_.step = number("hearth.step");
    if (saved.metadata.count("hearth.best") != 0) best_ = std::stod(saved.metadata.at("hearth.best"));
    folder_.rewind(progress_.step);
}

// The weights as they were, for the step was not made, and the views of the batch that led to it.
std::filesystem::path Trainer::save_bundle(const plan::StepOutput& out) {
    const auto file = folder_.path() / "not-a-number.safetensors";
    if (comm().rank() != 0 || std::filesystem::exists(file)) return file;
    auto tensors = plan_.state();
    for (const auto& name : plan_.delivered())
        if (out.tensors.has(name)) tensors.emplace_back("batch." + name, out.tensors[name]);
    base::write_safetensors(file, tensors, {{"format", "pt"}, {"hearth.step", std::to_string(progress_.step)}});
    return file;
}

}  // namespace hearth::train
