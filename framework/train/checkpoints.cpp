#include "train/checkpoints.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <hearth/text.hpp>
#include <map>
#include <memory>
#include <set>

#include "train/host_copy.hpp"

namespace hearth::train {

std::string best_name(const recipe::Recipe& recipe) {
    const bool hands_on = recipe.validate && recipe.stage && recipe.stage->number + 1 < recipe.stage->count;
    return hands_on ? "best_" + recipe.stage->name : "best";
}

std::int64_t most_checkpoints(const std::vector<recipe::Recipe>& stages) {
    std::set<std::string> names = {"last", "previous"};
    std::int64_t kept = 0;
    for (const auto& stage : stages) {
        if (stage.validate || (stage.probe && stage.probe->every > 0)) names.insert(best_name(stage));
        if (stage.train.checkpoint_every > 0) kept += stage.train.epochs / stage.train.checkpoint_every;
    }
    return static_cast<std::int64_t>(names.size()) + kept;
}

Checkpoints::Checkpoints(const recipe::Recipe& recipe, const RunFolder& folder, plan::Plan& plan,
                         Stepper& stepper, const Comm& comm, std::string images, Before before,
                         WriteTensors write)
    : recipe_(recipe),
      folder_(folder),
      plan_(plan),
      stepper_(stepper),
      comm_(comm),
      images_(std::move(images)),
      before_(std::move(before)),
      write_(write ? std::move(write) : WriteTensors(base::write_safetensors)) {}

NamedTensors Checkpoints::state() const {
    auto tensors = plan_.state();
    std::set<std::string> here;
    for (const auto& [name, tensor] : tensors) here.insert(name);
    for (const auto& item : before_.state)
        if (here.count(item.first) == 0) tensors.push_back(item);
    return tensors;
}

void Checkpoints::save(const std::vector<std::string>& names, const Progress& progress,
                       CheckpointWriter::Work written) {
    settle();
    auto tensors = state();
    for (auto& item : stepper_.state()) tensors.push_back(std::move(item));
    std::map<std::string, std::string> metadata = {
        {"format", "pt"},
        {"hearth.step", std::to_string(progress.step)},
        {"hearth.total_steps", std::to_string(progress.total_steps)},
        {"hearth.steps_per_epoch", std::to_string(progress.steps_per_epoch)},
        {"hearth.recipe", recipe_.name},
        {"hearth.recipe_hash", recipe_hash(recipe_, comm_.world_size())}};
    if (best_) metadata["hearth.best"] = fmt::format("{}", best_->score);
    if (recipe_.validate) {
        if (best_) metadata["hearth.best_step"] = std::to_string(best_->step);
        metadata["hearth.turns_without_better"] = std::to_string(turns_);
    }
    metadata["hearth.data"] = images_;
    if (recipe_.stage) {
        metadata["hearth.stage"] = recipe_.stage->name;
        metadata["hearth.steps_before"] = std::to_string(before_.steps);
    }
    using Files = std::vector<std::pair<std::filesystem::path, std::filesystem::path>>;
    Files files;  // and what the one that was there is called then
    for (const auto& name : names)
        files.emplace_back(folder_.checkpoint(name), name == "last" ? folder_.checkpoint("previous") : "");
    const auto work = [files, metadata, write = write_](const NamedTensors& all) {
        for (const auto& [file, before] : files) write(file, all, metadata, before);
    };
    if (auto copies = snapshot(tensors)) {
        const auto kept = std::make_shared<const NamedTensors>(*std::move(copies));
        writer_.begin(
            join(names), [work, kept] { work(*kept); }, std::move(written));
        return;
    }
    work(on_host(tensors));
    if (written) written();
}

bool Checkpoints::is_best(double score, std::int64_t step, bool lowest) {
    ++turns_;
    if (!std::isfinite(score)) return false;
    if (best_ && (lowest ? score >= best_->score : score <= best_->score)) return false;
    best_ = Best{score, step};
    turns_ = 0;
    return true;
}

NamedTensors Checkpoints::best_state() const {
    NamedTensors out;
    for (auto& item : base::read_safetensors(folder_.checkpoint(best_name())).tensors)
        if (!item.first.starts_with("optimizer.")) out.push_back(std::move(item));
    return out;
}

void Checkpoints::load_best() {
    const at::NoGradGuard no_grad;
    const auto saved = base::read_safetensors(folder_.checkpoint(best_name()));
    for (auto& [name, tensor] : plan_.state()) {
        const auto source = saved.find(name);
        if (tensor.sizes() != source.sizes()) tensor.resize_(source.sizes());  // of what fits
        tensor.copy_(source);
    }
}

void Checkpoints::rewrite_best() const {
    const auto file = folder_.checkpoint(best_name());
    auto saved = base::read_safetensors(file);
    std::map<std::string, at::Tensor> now;
    for (const auto& [name, tensor] : plan_.state()) now.emplace(name, tensor);
    for (auto& [name, tensor] : saved.tensors)
        if (const auto found = now.find(name); found != now.end()) tensor = found->second;
    base::write_safetensors(file, saved.tensors, saved.metadata);
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
    const auto counted = [&, &saved = saved](const char* key) {
        return saved.metadata.count(key) != 0 ? number(key) : 0;
    };
    if (saved.metadata.count("hearth.best") != 0)
        best_ = Best{std::stod(saved.metadata.at("hearth.best")), counted("hearth.best_step")};
    turns_ = counted("hearth.turns_without_better");
    return number("hearth.step");
}

std::filesystem::path Checkpoints::save_failed_step(const plan::StepOutput& out,
                                                    const Progress& progress) const {
    const auto file = folder_.path() / "not-a-number.safetensors";
    if (comm_.rank() != 0 || std::filesystem::exists(file)) return file;
    auto tensors = plan_.state();
    for (const auto& name : plan_.delivered())
        if (out.tensors.has(name)) tensors.emplace_back("batch." + name, out.tensors[name]);
    base::write_safetensors(file, on_host(tensors),
                            {{"format", "pt"}, {"hearth.step", std::to_string(progress.step)}});
    return file;
}

}  // namespace hearth::train
