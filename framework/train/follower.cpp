#include "train/follower.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <map>

namespace hearth::train {

Follower::Follower(const plan::Network& follower, const plan::Network& leader)
    : momentum_(follower.momentum), after_step_(follower.after_step), leader_(leader.name) {
    const auto pair = [&](const auto& theirs, const auto& ours, auto& from, auto& to) {
        std::map<std::string, at::Tensor> source;
        for (const auto& [name, tensor] : theirs) source.emplace(name.substr(leader.name.size()), tensor);
        for (const auto& [name, tensor] : ours) {
            const auto found = source.find(name.substr(follower.name.size()));
            if (found == source.end()) continue;  // an extra head of its own
            to.push_back(tensor);
            from.push_back(found->second);
        }
    };
    pair(leader.named_parameters(), follower.named_parameters(), from_, to_);
    if (!follower.own_buffers)
        pair(leader.named_buffers(), follower.named_buffers(), buffers_from_, buffers_to_);
}

void Follower::copy() {
    at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < to_.size(); ++i) to_[i].copy_(from_[i]);
    copy_buffers();
}

void Follower::copy_buffers() {
    at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < buffers_to_.size(); ++i) buffers_to_[i].copy_(buffers_from_[i]);
}

void Follower::copy_buffers_where(const at::Tensor& updated) {
    if (buffers_to_.empty()) return;
    const at::NoGradGuard no_grad;
    const auto copies = updated.to(at::kBool);
    for (std::size_t i = 0; i < buffers_to_.size(); ++i)
        buffers_to_[i].copy_(at::where(copies, buffers_from_[i], buffers_to_[i]));
}

void Follower::update(const Progress& progress) {
    at::NoGradGuard no_grad;
    update_averages_(averages(progress));
    copy_buffers();
}

std::vector<MovingAverage> Follower::averages(const Progress& progress) const {
    std::vector<MovingAverage> out;
    for (std::size_t i = 0; i < to_.size(); ++i) out.push_back({to_[i], from_[i], 1.0 - momentum_(progress)});
    return out;
}

}  // namespace hearth::train
