#include "plan/builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "plan/trace.hpp"
#include "recipe/word_list.hpp"

namespace hearth::plan {

std::map<std::string, Shape> sources(const recipe::DataSpec& data) {
    std::map<std::string, Shape> out = {{"image", {"B", Dim(data.channels), Dim(data.size), Dim(data.size)}},
                                        {"index", {"B"}}};
    if (!data.mask.empty()) out.emplace("segmentation", Shape{"B", 1, Dim(data.size), Dim(data.size)});
    const auto labels = static_cast<std::int64_t>(recipe::word_list(data.label).size());
    if (labels > 0) out.emplace("label", labels == 1 ? Shape{"B"} : Shape{"B", Dim(labels)});
    return out;
}

void Builder::stop_if_any(const char* title) {
    if (!problems_.empty())
        for (const auto& note : recipe_.notes) problems_.add({"note", 0, 0}, note);
    problems_.throw_if_any(title);
}

Plan Builder::build() {
    warnings_ = recipe_.notes;
    shapes_ = sources(recipe_.data);
    list_phases();
    draft_augments();
    draft_passes();
    draft_heads();
    draft_losses();
    stop_if_any("the recipe's components do not resolve");
    index_writers();
    connect();
    check_pass_reads();
    stop_if_any("the recipe's wiring is not complete");
    order();
    stop_if_any("the recipe's wiring has a cycle");
    check_reach();
    stop_if_any("the recipe's wiring does not make sense");
    unify_and_create();
    const bool all_refused = problems_.messages().size() == refusals_;
    stop_if_any(all_refused ? "components refuse their options" : "shapes do not fit");
    mark_fits();
    check_second_derivatives();
    stop_if_any("the recipe's wiring does not make sense");
    Plan plan;
    collect(plan);
    if (auto* trace = trace_of_environment()) plan.watches_.push_back(trace);
    return plan;
}

bool Phase::updates(const std::string& owner) const {
    return std::ranges::find(trains, owner) != trains.end();
}

void Builder::list_phases() {
    for (const auto& spec : recipe_.phases) {
        Phase phase;
        phase.name = spec.name;
        phase.repeat = spec.repeat;
        phase.every = spec.every;
        phase.trains = spec.trains;
        phases_.push_back(std::move(phase));
    }
    if (phases_.empty()) {
        Phase all;
        for (const auto& network : recipe_.networks)
            if (network.follows.empty() && !network.frozen) all.trains.push_back(network.name);
        for (const auto& head : recipe_.heads) all.trains.push_back(head.name);
        phases_.push_back(std::move(all));
    }
    for (std::size_t i = 0; i < recipe_.losses.size(); ++i)
        for (auto& phase : phases_)
            if (phases_.size() == 1 || recipe_.losses[i].phase == phase.name) phase.losses.push_back(i);
}

bool Builder::is_trained(const std::string& owner) const {
    return std::ranges::any_of(phases_, [&](const Phase& phase) { return phase.updates(owner); });
}

void Builder::draft_augments() {
    for (const auto& spec : recipe_.augments)
        draft(Kind::augment, spec, "augment." + spec.name, "", "augment." + spec.name, nullptr);
}

// A follower has its leader's backbone and the shared heads as components of its own, and its extra heads.
void Builder::draft_passes() {
    for (const auto& pass : recipe_.passes) {
        const auto* network = recipe_.network(pass.network);
        if (network == nullptr) continue;  // reported by the recipe
        const auto* leader = network->follows.empty() ? network : recipe_.network(network->follows);
        const auto prefix = pass.as + ".";
        const auto instance = network->name + ".";
        if (leader->backbone)
            draft(Kind::backbone, *leader->backbone, prefix + "backbone", prefix, instance + "backbone", &pass);
        std::vector<const recipe::ComponentSpec*> heads;
        for (const auto& head : leader->heads) {
            const auto& shared = network->shared_heads;
            if (leader == network || std::find(shared.begin(), shared.end(), head.name) != shared.end())
                heads.push_back(&head);
        }
        if (leader != network)
            for (const auto& head : network->heads) heads.push_back(&head);
        for (const auto* head : heads) {
            if (pass.heads &&
                std::find(pass.heads->begin(), pass.heads->end(), head->name) == pass.heads->end())
                continue;
            draft(Kind::head, *head, prefix + head->name, prefix, instance + "heads." + head->name, &pass);
        }
    }
}

void Builder::draft_heads() {
    for (const auto& spec : recipe_.heads) {
        for (const auto& pass : recipe_.passes)
            if (pass.as == spec.name)
                problem(spec.origin,
                        fmt::format("head.{0}: found the name of the pass at {1} too, expected "
                                    "another: both would write '{0}.PORT'; give one of them another "
                                    "`name` or `as`",
                                    spec.name, pass.origin.text()));
        draft(Kind::head, spec, "head." + spec.name, spec.name + ".", "head." + spec.name, nullptr);
    }
}

void Builder::draft_losses() {
    for (std::size_t i = 0; i < recipe_.losses.size(); ++i) {
        const auto& spec = recipe_.losses[i];
        const auto before = drafts_.size();
        draft(Kind::loss, spec, "loss." + spec.name, "loss." + spec.name + ".", "loss." + spec.name, nullptr);
        if (drafts_.size() > before) drafts_.back().node.loss_index = i;
    }
    if (recipe_.losses.empty() && recipe_.heads.empty())
        problem({recipe_.file.string(), 0, 0}, "found no [[loss]], expected at least one");
}

namespace {

/// Whether a key is a pattern, and a port of it: "a.*" and "a.tokens".
bool is_of_pattern(const std::string& port, const std::string& key) {
    return key.ends_with('*') && port.starts_with(key.substr(0, key.size() - 1));
}

/// What a table of ports says about one: its own entry, else that of a pattern ("a.*" = "student.*").
std::optional<std::string> named(const std::map<std::string, std::string>& table, const std::string& port) {
    if (const auto found = table.find(port); found != table.end()) return found->second;
    for (const auto& [key, name] : table) {
        if (!is_of_pattern(port, key)) continue;
        const auto rest = port.substr(key.size() - 1);
        return name.ends_with('*') ? name.substr(0, name.size() - 1) + rest : name;
    }
    return std::nullopt;
}

/// Whether an entry of such a table is about one of these ports.
bool is_about(const std::string& key, const std::vector<std::string>& ports) {
    return std::ranges::any_of(
        ports, [&](const std::string& port) { return key == port || is_of_pattern(port, key); });
}

Wire wire_of(const Port& port, std::string name) {
    Wire wire;
    wire.port = port.name;
    wire.name = std::move(name);
    wire.shape = port.shape;
    wire.optional = port.optional;
    wire.help = port.help;
    wire.dtype = port.dtype;
    wire.with_gradient = port.with_gradient;
    wire.detached = port.is_detached;
    wire.only_for_fit = port.only_for_fit;
    return wire;
}

/// "restored.std" -> "restored" and ".std"; all of a name without a dot, and nothing.
std::pair<std::string, std::string> owner_and_part(const std::string& name) {
    const auto dot = std::min(name.rfind('.'), name.size());
    return {name.substr(0, dot), name.substr(dot)};
}

}  // namespace

void Builder::draft(Kind kind, const recipe::ComponentSpec& spec, const std::string& id,
                    const std::string& prefix, const std::string& instance, const recipe::PassSpec* pass) {
    Draft made;
    try {
        made.type = &registry_.find(kind, spec.use);
    } catch (const RecipeError& error) {
        problem(spec.origin, error.what());
        return;
    }
    made.spec = &spec;
    made.instance = instance;
    made.origin = spec.origin;
    made.options = recipe::bind_options(spec.options, made.type->schema(), id, spec.origin, problems_);
    made.node.id = id;
    made.node.kind = kind;
    made.node.use = spec.use;
    made.node.where = spec.origin.text();
    made.node.place = made.node.where + ": " + id + ": " + made.type->place();
    if (pass != nullptr) {
        made.node.network = pass->network;
        made.node.pass = pass->as;
        made.pass = pass;
        made.node.trained = is_trained(pass->network);
        made.node.follows = !recipe_.network(pass->network)->follows.empty();
    } else if (kind == Kind::head) {
        made.node.trained = is_trained(spec.name);
    }
    // Names do not depend on shapes, so ports can be listed before anything is known about them.
    Ports reads, writes;
    try {
        reads = made.type->reads(made.options);
        writes = made.type->writes(made.options, Symbols{});
    } catch (const Error& error) {
        refused(made, error);
        return;
    }
    for (const auto& port : reads) made.node.reads.push_back(wire_of(port, ""));
    for (const auto& port : writes) {
        const auto [owner, part] = owner_and_part(port.name);
        auto word = port.name;
        if (const auto renamed = named(spec.writes, port.name))
            word = *renamed;
        else if (const auto of_owner = spec.writes.find(owner); of_owner != spec.writes.end())
            word = of_owner->second + part;
        made.node.writes.push_back(wire_of(port, prefix + word));
    }
    const auto known = [&](const std::vector<Wire>& wires, const std::map<std::string, std::string>& map,
                           const char* table) {
        std::vector<std::string> ports;
        for (const auto& wire : wires) ports.push_back(wire.port);
        for (const auto& [port, name] : map)
            if (!is_about(port, ports))
                problem(spec.origin, fmt::format("{}: {} names port '{}', expected one of: {}{}", id, table,
                                                 port, join(ports), did_you_mean(port, ports)));
    };
    known(made.node.reads, spec.reads, "reads");
    known(made.node.writes, spec.writes, "writes");
    drafts_.push_back(std::move(made));
}

void Builder::index_writers() {
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
        for (const auto& wire : drafts_[i].node.writes) {
            const bool source = shapes_.count(wire.name) != 0;
            const auto [at, fresh] = writer_.emplace(wire.name, i);
            if (source)
                problem(drafts_[i].origin,
                        fmt::format("{} writes '{}', which the data already provides; give it another "
                                    "name with writes = {{ {} = \"...\" }}",
                                    drafts_[i].node.id, wire.name, wire.port));
            else if (!fresh)
                problem(
                    drafts_[i].origin,
                    fmt::format(
                        "'{}' is written twice, by {} and by {}; give one pass a prefix with `as`, or rename a "
                        "port with writes = {{ {} = \"...\" }}",
                        wire.name, drafts_[at->second].node.id, drafts_[i].node.id, wire.port));
        }
    }
}

std::vector<std::string> Builder::names_in_flow() const {
    std::vector<std::string> names;
    for (const auto& [name, shape] : shapes_) names.push_back(name);
    for (const auto& [name, index] : writer_) names.push_back(name);
    return names;
}

// `reads` of the component, then of its pass, may say what a port's name is in the dataflow, "" for nothing.
// The name is looked for in the component's own pass, where `image` is the pass's view, then among the sources
// and views, then among the outputs of all passes, where a trained network's output is preferred to that of a
// follower. A port `restored.std` of a component that also reads `restored` is what goes with that tensor: it
// comes from where that comes from, or is unconnected.
std::string Builder::resolve(const Draft& reader, const Port& port) const {
    const auto exists = [&](const std::string& name) {
        return shapes_.count(name) != 0 || writer_.count(name) != 0;
    };
    bool explicit_name = false;
    std::string word = port.name;
    if (const auto own = named(reader.spec->reads, port.name)) {
        explicit_name = true;
        word = *own;
    } else if (reader.pass != nullptr) {
        const auto of_pass = named(reader.pass->reads, port.name);
        explicit_name = of_pass.has_value();
        if (explicit_name) word = *of_pass;
        if (!explicit_name && port.name == "image" && !reader.pass->view.empty()) return reader.pass->view;
    }
    if (word.empty())
        return port.optional ? ""
                             : "\n" + fmt::format(
                                          "{}: reads = {{ {} = \"\" }} leaves a port unconnected that it "
                                          "cannot do without ({})",
                                          reader.node.id, port.name, port.help);
    if (const auto [owner, part] = owner_and_part(port.name); !part.empty() && !explicit_name) {
        const auto read = std::ranges::find(reader.node.reads, owner, &Wire::port);
        if (read != reader.node.reads.end()) {
            const auto whole = resolve(reader, Port(owner, read->shape, read->help));
            const auto name = whole.starts_with("\n") ? "" : whole + part;
            if (exists(name)) return name;
            return port.optional ? ""
                                 : "\n" + fmt::format("{} reads '{}', which nothing writes beside '{}' ({})",
                                                      reader.node.id, word, whole, port.help);
        }
    }
    if (!reader.node.pass.empty()) {
        const auto local = reader.node.pass + "." + word;
        const auto own = writer_.find(local);
        if (own != writer_.end() && &drafts_[own->second] != &reader) return local;
    }
    if (exists(word)) return word;
    std::vector<std::string> trained, others;
    for (const auto& [name, index] : writer_) {
        const auto kind = drafts_[index].node.kind;
        if (kind == Kind::augment || kind == Kind::loss || !name.ends_with("." + word)) continue;
        (is_preferred(drafts_[index]) ? trained : others).push_back(name);
    }
    const auto& candidates = trained.empty() ? others : trained;
    if (candidates.size() == 1) return candidates.front();
    if (candidates.size() > 1)
        return "\n" +
               fmt::format(
                   "{} reads '{}', which is ambiguous: found {}; say which with reads = {{ {} = \"{}\" }}",
                   reader.node.id, word, join(candidates), port.name, candidates.front());
    if (port.optional && !explicit_name) return "";
    const auto names = names_in_flow();
    return "\n" + fmt::format("{} reads '{}' ({}), which nothing writes{}; there are: {}{}", reader.node.id,
                              word, port.help, did_you_mean(word, names), join(names),
                              explicit_name ? ""
                                            : fmt::format("; name the one that is meant with reads = {{ {} = "
                                                          "\"...\" }}, or add what writes it",
                                                          port.name));
}

// Over all stages, so that freezing a network in one of them connects nothing otherwise.
bool Builder::is_preferred(const Draft& draft) const {
    if (!recipe_.stage) return draft.node.trained;
    const auto& owner = draft.node.network.empty() ? draft.spec->name : draft.node.network;
    return std::ranges::find(recipe_.stage->trained, owner) != recipe_.stage->trained.end();
}

void Builder::connect() {
    for (auto& draft : drafts_) {
        for (auto& wire : draft.node.reads) {
            Port port(wire.port, wire.shape, wire.help);
            port.optional = wire.optional;
            if (const auto names = names_in_flow();
                draft.node.kind == Kind::backbone && wire.port == "image" && !draft.pass->view.empty() &&
                std::find(names.begin(), names.end(), draft.pass->view) == names.end()) {
                problem(draft.pass->origin,
                        fmt::format("pass '{}' runs on view '{}', which nothing writes{}; there are: {}",
                                    draft.pass->as, draft.pass->view, did_you_mean(draft.pass->view, names),
                                    join(names)));
                continue;
            }
            const auto found = resolve(draft, port);
            if (found.starts_with("\n"))
                problem(draft.origin, found.substr(1));
            else
                wire.name = found;
            if (!wire.name.empty()) check_dtype(draft, wire);
        }
    }
}

void Builder::check_dtype(const Draft& reader, const Wire& wire) {
    std::string written = "float", who = "the data";
    if (const auto found = writer_.find(wire.name); found != writer_.end()) {
        const auto& node = drafts_[found->second].node;
        written = std::ranges::find(node.writes, wire.name, &Wire::name)->dtype;
        who = node.id;
    } else if (wire.name == "index" || wire.name == "label") {
        written = "int64";
    }
    if (written != wire.dtype)
        problem(
            reader.origin,
            fmt::format("{} reads {} as {}, which {} writes as {}; connect '{}' to a tensor of that type with "
                        "reads = {{ {} = \"...\" }}",
                        reader.node.id, wire.name, wire.dtype, who, written, wire.port, wire.port));
}

void Builder::check_pass_reads() {
    for (const auto& pass : recipe_.passes) {
        std::vector<std::string> ports;
        for (const auto& draft : drafts_)
            if (draft.pass == &pass)
                for (const auto& wire : draft.node.reads) ports.push_back(wire.port);
        for (const auto& [port, name] : pass.reads)
            if (!is_about(port, ports))
                problem(pass.origin, fmt::format("pass '{}': reads names port '{}', expected one of: {}{}",
                                                 pass.as, port, join(ports), did_you_mean(port, ports)));
    }
}

void Builder::order() {
    std::vector<Draft> sorted;
    std::vector<bool> placed(drafts_.size(), false);
    const auto ready = [&](const Draft& draft) {
        return std::all_of(draft.node.reads.begin(), draft.node.reads.end(), [&](const Wire& wire) {
            const auto found = writer_.find(wire.name);
            return found == writer_.end() || placed[found->second];
        });
    };
    std::vector<std::size_t> sequence;
    for (bool progress = true; progress;) {
        progress = false;
        for (std::size_t i = 0; i < drafts_.size(); ++i) {
            if (placed[i] || !ready(drafts_[i])) continue;
            placed[i] = progress = true;
            sequence.push_back(i);
        }
    }
    for (std::size_t i = 0; i < drafts_.size(); ++i)
        if (!placed[i]) problem(drafts_[i].origin, drafts_[i].node.id + " waits for its own output");
    for (const auto i : sequence) sorted.push_back(std::move(drafts_[i]));
    std::map<std::size_t, std::size_t> moved;
    for (std::size_t i = 0; i < sequence.size(); ++i) moved[sequence[i]] = i;
    for (auto& [name, index] : writer_) index = moved[index];
    drafts_ = std::move(sorted);
}

}  // namespace hearth::plan
