// Takes shapes through the plan, from the data to the losses, and creates the components that have them.
#include <fmt/format.h>

#include <algorithm>

#include "host/place.hpp"
#include "plan/builder.hpp"

namespace hearth::plan {
namespace {

/// The tensor has an axis of views in front that the port does not name: "G B .." read as "B ..".
bool has_group(const Shape& produced, const Shape& read) {
    return produced.size() == read.size() + 1 && produced[1] == Dim("B") && produced[0].known();
}

}  // namespace

std::int64_t Builder::common_group(const Draft& draft) const {
    std::int64_t group = 0;
    for (const auto& wire : draft.node.reads) {
        const auto produced = shapes_.find(wire.name);
        if (wire.name.empty() || produced == shapes_.end()) continue;
        if (!has_group(produced->second, wire.shape)) return 0;
        const auto size = produced->second[0].value();
        if (group != 0 && group != size) return 0;
        group = size;
    }
    return group;
}

Shape Builder::as_read(Draft& draft, Wire& wire, const Shape& produced) {
    const auto& read = wire.shape;
    if (read.size() == produced.size() + 1 && read.size() > 1 && !read[0].known() && read[1] == Dim("B") &&
        !produced.empty() && produced[0] == Dim("B")) {
        wire.group_of_one = true;
        Shape one = produced;
        one.insert(one.begin(), Dim(1));
        return one;
    }
    if (draft.pass == nullptr)
        return draft.node.group > 0 ? Shape(produced.begin() + 1, produced.end()) : produced;
    const bool grouped = has_group(produced, wire.shape);
    const auto group = grouped ? produced[0].value() : 0;
    const auto first = std::find_if(draft.node.reads.begin(), draft.node.reads.end(),
                                    [](const Wire& other) { return !other.name.empty(); });
    if (&*first == &wire)
        draft.node.group = group;
    else if (draft.node.group != group)
        problem(
            draft.origin,
            fmt::format("{} reads '{}' as '{}' and '{}' as '{}': expected all of them in one group of views, "
                        "or none; give the pass another view, or point its reads elsewhere",
                        draft.node.id, first->name, to_string(shapes_.at(first->name)), wire.name,
                        to_string(produced)));
    return grouped ? Shape(produced.begin() + 1, produced.end()) : produced;
}

void Builder::unify_and_create() {
    for (auto& draft : drafts_) {
        if (!draft.node.runs && draft.node.kind != Kind::head && draft.node.kind != Kind::backbone) continue;
        Symbols symbols;
        Ports reads;  // those that calls are given, as the component declares them
        bool fits = true;
        if (draft.pass == nullptr && draft.node.kind != Kind::augment) draft.node.group = common_group(draft);
        for (auto& wire : draft.node.reads) {
            if (wire.name.empty()) continue;
            const auto known = shapes_.find(wire.name);
            if (known == shapes_.end()) {  // its writer failed; reported there
                fits = false;
                continue;
            }
            const auto produced = as_read(draft, wire, known->second);
            if (!wire.only_for_fit) reads.emplace_back(wire.port, wire.shape, "");
            const auto clash = unify(wire.shape, produced, symbols);
            if (!clash.empty()) {
                const auto writer = writer_.find(wire.name);
                problem(draft.origin,
                        fmt::format("{} reads {} as '{}', which {} writes as '{}': {}", draft.node.id,
                                    wire.name, to_string(wire.shape),
                                    writer == writer_.end() ? "the data" : drafts_[writer->second].node.id,
                                    to_string(known->second), clash));
                fits = false;
            }
            wire.shape = known->second;
        }
        if (!fits) continue;
        try {
            const auto ports = draft.type->writes(draft.options, symbols);
            auto& instance = instances_[draft.instance];
            if (!instance) instance = draft.type->create(draft.options, symbols);
            host::remember_place(draft.node.where, draft.node.id, instance.get(), draft.type->library());
            // Shapes of a component that refuses its options stay unknown, so that only the cause is reported.
            for (std::size_t i = 0; i < draft.node.writes.size() && i < ports.size(); ++i) {
                auto shape = ports[i].shape;
                // What has no batch axis is one for all views.
                const bool by_image = !shape.empty() && shape.front() == Dim("B");
                if (draft.node.group > 0 && by_image) shape.insert(shape.begin(), Dim(draft.node.group));
                draft.node.writes[i].shape = std::move(shape);
                shapes_[draft.node.writes[i].name] = draft.node.writes[i].shape;
            }
            draft.node.boundary = Boundary(reads, ports, symbols);
            draft.node.sample_boundary = Boundary(reads, ports, symbols, Boundary::Of::sample);
            draft.node.component = instance;
        } catch (const Error& error) {
            refused(draft, error);
        }
    }
}

}  // namespace hearth::plan
