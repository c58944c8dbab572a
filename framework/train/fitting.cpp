#include "train/fitting.hpp"

#include <ATen/Context.h>

#include <set>

#include "host/place.hpp"
#include "host/registry.hpp"

namespace hearth::train {
namespace {

// A component may draw from LibTorch's generator, and what it draws must depend neither on what ran before it,
// which a resumed run has not, nor on the process.
void seed_generator(const Context& context) {
    at::manual_seed((context.seed * 1000003u + static_cast<std::uint64_t>(context.progress.step)) ^
                    0x9e3779b97f4a7c15u);
}

}  // namespace

std::vector<std::string> fit_components(const plan::Plan& plan, Fit when, const Context& context,
                                        const SetFor& set_for,
                                        const std::function<void(const std::string& what)>& say,
                                        const std::set<const Component*>& fitted) {
    std::vector<std::string> out;
    auto seen = fitted;
    for (const auto& node : plan.nodes()) {
        if (!node.component || !seen.insert(node.component.get()).second) continue;
        auto& component = *node.component;
        const auto place = node.where + ": " + node.id + ": fit";
        if (host::guarded(place, [&] { return component.fits(); }) != when) continue;
        const auto what = "fitting " + node.id;
        if (say) say(what);
        const auto set = set_for(component, what);
        auto now = context;
        now.training = false;
        now.learns = true;
        now.set = set.get();
        seed_generator(now);
        host::guarded(place, [&] { component.fit(now); });
        out.push_back(node.id);
    }
    return out;
}

void begin_epoch(const plan::Plan& plan, const Context& context, const SetFor& set_for) {
    for (const auto& [name, component] : plan.components()) {
        const auto set = set_for ? set_for(*component, "fitting " + name) : nullptr;
        auto now = context;
        now.set = set.get();
        seed_generator(now);
        host::guarded_call(*component, name, "on_epoch_begin", [&, &c = *component] { c.on_epoch_begin(now); });
    }
}

}  // namespace hearth::train
