// Finds what a plan must refuse besides missing names: views nobody reads, networks no loss reaches,
// losses that train nothing.
#include <fmt/format.h>

#include <algorithm>

#include "plan/builder.hpp"

namespace hearth::plan {

void Builder::check_reach() {
    // Backwards from the losses and monitored tensors: which nodes are needed.
    std::vector<bool> needed(drafts_.size(), false);
    std::vector<bool> reaches_loss(drafts_.size(), false);
    const auto detached = [](const Draft& draft) { return !draft.node.network.empty() && !draft.node.trained; };
    const auto mark = [&](const std::string& name) {
        const auto found = writer_.find(name);
        if (found != writer_.end()) needed[found->second] = true;
        return found;
    };
    for (const auto* name : {&recipe_.monitor.features, &recipe_.monitor.assignments}) {
        if (name->empty()) continue;
        if (mark(*name) == writer_.end()) {
            const auto names = names_in_flow();
            problem(recipe_.monitor.origin,
                    fmt::format("monitor watches '{}', which nothing writes{}; there are: {}", *name,
                                did_you_mean(*name, names), join(names)));
        }
    }
    for (std::size_t i = drafts_.size(); i-- > 0;) {
        if (drafts_[i].node.kind == Kind::loss) needed[i] = reaches_loss[i] = true;
        if (!needed[i]) continue;
        for (const auto& wire : drafts_[i].node.reads) {
            const auto found = mark(wire.name);
            // A frozen network or a follower passes no gradient on.
            if (found != writer_.end() && reaches_loss[i] && !detached(drafts_[i]))
                reaches_loss[found->second] = true;
        }
    }

    // Forwards from the trained networks: which nodes carry gradient.
    std::vector<bool> carries(drafts_.size(), false);
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
        auto& draft = drafts_[i];
        const bool from_input =
            std::any_of(draft.node.reads.begin(), draft.node.reads.end(), [&](const Wire& wire) {
                const auto found = writer_.find(wire.name);
                return found != writer_.end() && carries[found->second];
            });
        carries[i] = !detached(draft) && (draft.node.trained || from_input);
        if (draft.node.kind == Kind::loss && !carries[i])
            problem(
                draft.origin,
                fmt::format("{} reads nothing that a trained network writes, so it trains nothing; drop it, "
                            "or point one of its reads at a trained network",
                            draft.node.id));
    }

    for (const auto& network : recipe_.networks) {
        bool passed = false, reached = false;
        for (std::size_t i = 0; i < drafts_.size(); ++i) {
            if (drafts_[i].node.network != network.name) continue;
            passed = true;
            reached = reached || reaches_loss[i];
        }
        if (!passed)
            problem(network.origin,
                    fmt::format("network '{}' is in no [[pass]]; add one or drop the network", network.name));
        else if (!reached && network_is_trained(network.name))
            problem(network.origin,
                    fmt::format("no loss reaches network '{}': nothing would train it; add a loss that reads "
                                "its outputs, or set frozen = true",
                                network.name));
    }

    // A view read only by nodes that do not run counts as unread.
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
        auto& node = drafts_[i].node;
        node.runs = needed[i] || node.kind == Kind::augment;
        if (!node.runs && node.kind == Kind::head)
            warnings_.push_back(fmt::format("{} is not run: no loss reads what it writes", node.id));
        if (!node.runs && node.kind == Kind::backbone)
            warnings_.push_back(fmt::format("pass '{}' is not run: no loss reads what it writes", node.pass));
    }
    for (const auto& draft : drafts_) {
        if (draft.node.kind != Kind::augment) continue;
        for (const auto& wire : draft.node.writes) {
            const bool read = std::any_of(drafts_.begin(), drafts_.end(), [&](const Draft& other) {
                return other.node.runs && std::any_of(other.node.reads.begin(), other.node.reads.end(),
                                                      [&](const Wire& r) { return r.name == wire.name; });
            });
            if (!read && !wire.optional)
                problem(draft.origin,
                        fmt::format("nobody reads the view '{}' that {} writes; add a [[pass]] with view = "
                                    "\"{}\", or drop the augment",
                                    wire.name, draft.node.id, wire.name));
        }
    }
}

}  // namespace hearth::plan
