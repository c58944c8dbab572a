// Finds what runs in each phase, what a gradient goes through there, and what a plan must refuse besides missing
// names: views nobody reads, networks no loss reaches, losses that train nothing.
#include <fmt/format.h>

#include <algorithm>

#include "plan/builder.hpp"

namespace hearth::plan {
namespace {

/// " in phase 'critic'"; "" where there is but one.
std::string in_phase(const Phase& phase) {
    return phase.name.empty() ? "" : fmt::format(" in phase '{}'", phase.name);
}

/// The names of the dataflow that the scores of [detect] are made from.
std::set<std::string> names_of_scores(const recipe::Recipe& recipe) {
    std::set<std::string> out;
    if (!recipe.detect) return out;
    for (const auto& score : recipe.detect->scores) {
        for (const auto* const option : {"output", "map", "tokens", "prototypes"})
            if (recipe::score_schema(score.use).find(option) != nullptr) out.insert(score.options.text(option));
    }
    out.erase("");
    return out;
}

}  // namespace

bool Builder::trains(const Phase& phase, const Draft& draft) const {
    if (!draft.node.network.empty()) return phase.updates(draft.node.network);
    return draft.node.kind == Kind::head && phase.updates(draft.spec->name);
}

bool Builder::is_loss_of(const Phase& phase, const Draft& draft) const {
    return draft.node.kind == Kind::loss &&
           std::ranges::find(phase.losses, draft.node.loss_index) != phase.losses.end();
}

void Builder::check_monitor() {
    for (const auto* name : {&recipe_.monitor.features, &recipe_.monitor.assignments}) {
        if (name->empty() || writer_.count(*name) != 0) continue;
        const auto names = names_in_flow();
        problem(recipe_.monitor.origin,
                fmt::format("monitor watches '{}', which nothing writes{}; there are: {}", *name,
                            did_you_mean(*name, names), join(names)));
    }
}

void Builder::reach(Phase& phase) {
    auto& uses = phase.uses;
    uses.assign(drafts_.size(), {});
    auto& reaches_loss = reaches_loss_.emplace_back(drafts_.size(), false);

    // Backwards from the losses and monitored tensors: which nodes are needed. What the monitor watches is
    // needed in the phase that trains its writer, or in the first.
    for (const auto* name : {&recipe_.monitor.features, &recipe_.monitor.assignments}) {
        const auto found = writer_.find(*name);
        if (found == writer_.end()) continue;
        const auto& writer = drafts_[found->second];
        const bool trained = std::ranges::any_of(phases_, [&](const Phase& p) { return trains(p, writer); });
        if (trained ? trains(phase, writer) : &phase == &phases_.front()) uses[found->second].runs = true;
    }
    for (std::size_t i = drafts_.size(); i-- > 0;) {
        if (is_loss_of(phase, drafts_[i])) uses[i].runs = reaches_loss[i] = true;
        if (!uses[i].runs) continue;
        for (const auto& wire : drafts_[i].node.reads) {
            if (wire.with_gradient) phase.asked.insert(wire.name);
            const auto found = writer_.find(wire.name);
            if (found == writer_.end() || wire.only_for_fit) continue;
            uses[found->second].runs = true;
            if (reaches_loss[i] && !drafts_[i].node.follows && !wire.detached)
                reaches_loss[found->second] = true;
        }
    }

    // Forwards from what is trained and from tensors whose gradient is asked for: what carries a gradient. A
    // follower never does.
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
        const auto& draft = drafts_[i];
        auto& use = uses[i];
        const bool from_input = std::ranges::any_of(draft.node.reads, [&](const Wire& wire) {
            const auto found = writer_.find(wire.name);
            const bool carried = found != writer_.end() && uses[found->second].carries;
            return !wire.detached && !wire.only_for_fit && (carried || phase.asked.count(wire.name) != 0);
        });
        use.updates = trains(phase, draft);
        use.carries = !draft.node.follows && (use.updates || from_input);
        const auto* network = draft.node.follows ? recipe_.network(draft.node.network) : nullptr;
        use.learns = use.updates || (network != nullptr && phase.updates(network->follows)) ||
                     draft.node.kind == Kind::loss;
        if (is_loss_of(phase, draft) && !use.carries)
            problem(draft.origin,
                    fmt::format(
                        "{} reads nothing that {} writes, so it trains nothing; drop it, or point one of its "
                        "reads at a trained network",
                        draft.node.id,
                        phase.name.empty() ? "a trained network"
                                           : fmt::format("a network trained in phase '{}'", phase.name)));
    }
}

void Builder::check_reach_of_networks(const Phase& phase) {
    const auto& reaches_loss = reaches_loss_[static_cast<std::size_t>(&phase - phases_.data())];
    for (const auto& network : recipe_.networks) {
        if (!phase.updates(network.name)) continue;
        bool passed = false, reached = false;
        for (std::size_t i = 0; i < drafts_.size(); ++i) {
            if (drafts_[i].node.network != network.name) continue;
            passed = true;
            reached = reached || reaches_loss[i];
        }
        if (passed && !reached)
            problem(network.origin,
                    fmt::format("no loss reaches network '{}'{}: nothing would train it; add a loss that reads "
                                "its outputs, or {}",
                                network.name, in_phase(phase),
                                phase.name.empty() ? "set frozen = true" : "take it out of `trains`"));
    }
}

void Builder::check_views_are_read() {
    if (recipe_.stage) return;  // another stage may read them
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

void Builder::check_reach() {
    check_monitor();
    for (auto& phase : phases_) reach(phase);
    for (const auto& network : recipe_.networks)
        if (std::ranges::none_of(drafts_, [&](const Draft& d) { return d.node.network == network.name; }))
            problem(network.origin,
                    fmt::format("network '{}' is in no [[pass]]; add one or drop the network", network.name));
    for (const auto& phase : phases_) check_reach_of_networks(phase);
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
        auto& node = drafts_[i].node;
        node.runs = node.kind == Kind::augment ||
                    std::ranges::any_of(phases_, [&](const Phase& phase) { return phase.uses[i].runs; });
    }
    check_views_are_read();
}

std::set<std::size_t> Builder::upstream(const std::set<std::string>& names) const {
    auto wanted = names;
    std::set<std::size_t> out;
    for (std::size_t i = drafts_.size(); i-- > 0;) {
        const auto& node = drafts_[i].node;
        if (std::ranges::none_of(node.writes, [&](const Wire& wire) { return wanted.count(wire.name) != 0; }))
            continue;
        out.insert(i);
        for (const auto& wire : node.reads)
            if (!wire.only_for_fit) wanted.insert(wire.name);
    }
    return out;
}

void Builder::mark_fits() {
    std::set<std::size_t> used;
    struct Call {
        const Draft* draft;
        const Node* view;  ///< an augment that its reads are made from; null: none
    };
    std::map<const Component*, std::vector<Call>> calls;  // of the components that fit
    for (auto& draft : drafts_) {
        auto& node = draft.node;
        // What only a fit reads has to be there for it; without such ports, what the component cannot do without.
        const bool for_fit = std::ranges::any_of(
            node.reads, [](const Wire& wire) { return wire.only_for_fit && !wire.name.empty(); });
        std::set<std::string> read;
        for (const auto& wire : node.reads)
            if (!wire.name.empty() && (for_fit ? wire.only_for_fit : !wire.optional)) read.insert(wire.name);
        node.fits = node.component && (for_fit || node.component->fits() != Fit::never);
        if (!node.fits) continue;
        const auto from = upstream(read);
        Call call{&draft, nullptr};
        for (const auto i : from)
            if (drafts_[i].node.kind == Kind::augment) call.view = &drafts_[i].node;
        if (call.view == nullptr) used.insert(from.begin(), from.end());
        if (node.kind != Kind::augment) calls[node.component.get()].push_back(call);  // that has its own sample
    }
    for (const auto& [component, list] : calls)
        if (std::ranges::all_of(list, [](const Call& call) { return call.view != nullptr; }))
            problem(
                list.front().draft->origin,
                fmt::format("{} takes in the training set and reads what is made from a view of {}: a fit sees "
                            "each film as it is, without augments; point its reads at a [[pass]] on view = "
                            "\"image\"",
                            list.front().draft->node.id, list.front().view->id));
    const auto scored = upstream(names_of_scores(recipe_));
    used.insert(scored.begin(), scored.end());
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
        auto& node = drafts_[i].node;
        node.serves = !node.runs && used.count(i) != 0;
        if (node.runs || node.fits || node.serves || recipe_.stage) continue;
        if (node.kind == Kind::head)
            warnings_.push_back(fmt::format("{} is not run: no loss reads what it writes", node.id));
        if (node.kind == Kind::backbone)
            warnings_.push_back(fmt::format("pass '{}' is not run: no loss reads what it writes", node.pass));
    }
}

void Builder::check_second_derivatives() {
    for (const auto& phase : phases_)
        for (std::size_t reader = 0; reader < drafts_.size(); ++reader) {
            if (drafts_[reader].node.kind != Kind::loss || !phase.uses[reader].runs) continue;
            std::set<std::string> asked, read;
            for (const auto& wire : drafts_[reader].node.reads)
                (wire.with_gradient ? asked : read).insert(wire.name);
            if (asked.empty()) continue;
            // Between the tensors asked for and the reader.
            auto after = asked;
            for (const auto i : upstream(read)) {
                const auto& node = drafts_[i].node;
                if (std::ranges::none_of(node.reads,
                                         [&](const Wire& wire) { return after.count(wire.name) != 0; }))
                    continue;
                for (const auto& wire : node.writes) after.insert(wire.name);
                if (node.component && !host::guarded(node.where + ": " + node.id,
                                                     [&] { return node.component->differentiates_twice(); }))
                    problem(
                        drafts_[reader].origin,
                        fmt::format("{} needs second derivatives of {} ({}), whose kernels have none; take a "
                                    "component that has them, such as a convolutional one",
                                    drafts_[reader].node.id, node.id, node.use));
            }
        }
}

}  // namespace hearth::plan
