// When the trainer has checkpoints written, and what run.json says of them.
#include <hearth/text.hpp>
#include <utility>

#include "train/trainer.hpp"

namespace hearth::train {

void Trainer::save_last() {
    due_.emplace_back("last");
    write_due();
}

void Trainer::write_due() {
    const auto names = std::exchange(due_, {});
    const auto told = std::exchange(told_, nlohmann::json::object());
    settle_step();
    if (!first()) return;
    settle_checkpoints();
    if (request_.group != nullptr) request_.group->settle("the step before checkpoint " + names.back());
    view_->busy("writing checkpoint " + join(names));
    checkpoints_->save(names, progress_, [this, told] {
        if (!told.empty()) folder_.update(told);
    });
    view_->step(progress_.step);
}

void Trainer::settle_checkpoints() {
    if (checkpoints_->writing().empty()) return;
    view_->busy("writing checkpoint " + checkpoints_->writing());
    checkpoints_->settle();
    view_->step(progress_.step);
}

void Trainer::settle_after_error() {
    if (!checkpoints_) return;
    try {
        checkpoints_->settle();
    } catch (const std::exception& error) {
        folder_.log(std::string("error: ") + error.what());
    }
}

}  // namespace hearth::train
