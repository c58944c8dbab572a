#include "train/checkpoints.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

namespace hearth::train {

Checkpoints::Checkpoints(const recipe::Recipe& recipe, const RunFolder& folder, plan::Plan& plan,
                         Stepper& stepper, const Comm& comm, std::string images, Before before)
    : recipe_(recipe),
      folder_(folder),
      plan_(plan),
      stepper_(stepper),
      comm_(comm),
      images_(std::move(images)),
      before_(std::move(before)) {}

NamedTensors Checkpoints::state() const {
    auto tensors = plan_.state();
    std::set<std::string> here;
    for (const auto& [name, tensor] : tensors) here.insert(name);
    for (const auto& item : before_.state)
        if (here.count(item.first) == 0) tensors.push_back(item);
    return tensors;
}

void Checkpoints::save(const std::string& name, const Progress& progress) const {
    auto tensors = state();
    for (auto& item : stepper_.state()) tensors.push_back(std::move(item));
    std::map<std::string, std::string> metadata = {
        {"format", "pt"},
        {"hearth.step", std::to_string(progress.step)},
        {"hearth.total_steps", std::to_string(progress.total_steps)},
        {"hearth.steps_per_epoch", std::to_string(progress.steps_per_epoch)},
        {"hearth.recipe", recipe_.name},
        {"hearth.recipe_hash", recipe_hash(recipe_, comm_.world_size())}};
    if (best_) metadata["hearth.best"] = fmt::format("{}", *best_);
    metadata["hearth.data"] = images_;
    if (recipe_.stage) {
        metadata["hearth.stage"] = recipe_.stage->name;
        metadata["hearth.steps_before"] = std::to_string(before_.steps);
    }
    base::write_safetensors(folder_.checkpoint(name), tensors, metadata,
                            name == "last" ? folder_.checkpoint("previous") : std::filesystem::path());
}

bool Checkpoints::is_best(double score) {
    if (best_ && score <= *best_) return false;
    best_ = score;
    return true;
}

std::string Checkpoints::kept_as(std::int64_t epochs, const Progress& progress) const {
    const auto every = recipe_.train.checkpoint_every;
    return every > 0 && epochs % every == 0 ? fmt::format("step_{}", before_.steps + progress.step) : "";
}

// A crash or a disk may have spoilt the newest.
std::pair<std::filesystem::path, base::SafeTensors> Checkpoints::read(const Warn& warn) const {
    const auto last = folder_.checkpoint("last"), previous = folder_.checkpoint("previous");
    try {
        return {last, base::read_safetensors(last)};
    } catch (const DataError& error) {
        if (!std::filesystem::exists(previous)) throw;
        warn(fmt::format("{}; going on from the checkpoint before it, {}", error.what(), previous.string()));
        return {previous, base::read_safetensors(previous)};
    }
}

std::int64_t Checkpoints::load(const Progress& progress, const Warn& warn) {
    const auto [file, saved] = read(warn);
    const auto number = [&, &file = file, &saved = saved](const char* key) {
        const auto found = saved.metadata.find(key);
        if (found == saved.metadata.end())
            throw DataError(fmt::format("{}: found no {}, not a checkpoint", file.string(), key));
        return std::stoll(found->second);
    };
    if (number("hearth.steps_per_epoch") != progress.steps_per_epoch)
        throw DataError(
            fmt::format("{} was made with {} steps an epoch, this run has {}: the data or the batch "
                        "changed; choose another --out",
                        file.string(), number("hearth.steps_per_epoch"), progress.steps_per_epoch));
    if (const auto made_with = saved.metadata.find("hearth.data");
        made_with != saved.metadata.end() && made_with->second != images_)
        throw DataError(
            fmt::format("{} was made with other images than {} selects now: the manifest, the folder or the "
                        "filter changed; put it back, or start another run with --out",
                        file.string(), recipe_.data.source));
    plan_.load(saved, file.string());
    // What this stage does not have goes on from the file too, without the optimisers' state.
    for (const auto& item : saved.tensors)
        if (recipe_.stage && !item.first.starts_with("optimizer.")) before_.state.push_back(item);
    stepper_.load(saved.tensors);
    if (saved.metadata.count("hearth.best") != 0) best_ = std::stod(saved.metadata.at("hearth.best"));
    return number("hearth.step");
}

std::filesystem::path Checkpoints::save_failed_step(const plan::StepOutput& out,
                                                    const Progress& progress) const {
    const auto file = folder_.path() / "not-a-number.safetensors";
    if (comm_.rank() != 0 || std::filesystem::exists(file)) return file;
    auto tensors = plan_.state();
    for (const auto& name : plan_.delivered())
        if (out.tensors.has(name)) tensors.emplace_back("batch." + name, out.tensors[name]);
    base::write_safetensors(file, tensors, {{"format", "pt"}, {"hearth.step", std::to_string(progress.step)}});
    return file;
}

}  // namespace hearth::train
