// [[phase]]: several updates in a step, and whose loss is whose.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>
#include <map>

#include "recipe/components.hpp"
#include "recipe/section_keys.hpp"

namespace hearth::recipe {
namespace {

const std::vector<std::string> phase_words = {"name", "trains", "repeat", "every", "optimizer"};

/// What of `table` the typed keys are, without the rest.
Table part_of(const Table& table, const Schema& schema) {
    Table out;
    for (const auto& key : table.keys())
        if (schema.find(key) != nullptr) out.set(key, *table.find(key));
    return out;
}

/// Where entry `number` of the phase's `trains` stands.
const Origin& place_of(const Table& phase, std::size_t number) {
    const Value* trains = phase.find("trains");
    const bool listed = trains != nullptr && trains->is_array() && number < trains->array().size();
    return listed ? trains->array()[number].origin : trains->origin;
}

/// Checks the names in `trains`. `taken` has the phase that trains a name, of those before this one.
struct Trains {
    const Recipe& recipe;
    std::map<std::string, const PhaseSpec*> taken;
    Diagnostics& problems;

    std::vector<std::string> trainable() const {
        std::vector<std::string> out;
        for (const auto& network : recipe.networks)
            if (network.follows.empty() && !network.frozen) out.push_back(network.name);
        for (const auto& head : recipe.heads) out.push_back(head.name);
        return out;
    }

    /// What is wrong with one name; "" for nothing.
    std::string complaint(const std::string& name, const PhaseSpec& phase) const {
        const auto* network = recipe.network(name);
        const bool head = std::ranges::any_of(recipe.heads, [&](const auto& h) { return h.name == name; });
        if (network == nullptr && !head)
            return fmt::format("there is no network or [[head]] '{}', expected one of {}{}", name,
                               join(trainable()), did_you_mean(name, trainable()));
        if (network != nullptr && !network->follows.empty())
            return fmt::format("'{}' is a follower, which moves with its leader: name '{}' instead", name,
                               network->follows);
        if (network != nullptr && network->frozen)
            return fmt::format(
                "'{}' is frozen (networks.{}.frozen), which no phase updates: remove one of the "
                "two",
                name, name);
        const auto other = taken.find(name);
        if (other == taken.end()) return "";
        if (other->second == &phase) return fmt::format("found '{}' twice, expected each once", name);
        return fmt::format(
            "'{}' is trained by the phase '{}' ({}) already, expected one phase for each: phases "
            "of different stages may train the same",
            name, other->second->name, other->second->origin.text());
    }

    void check(const PhaseSpec& phase, const Table& table) {
        const auto path = "phase." + phase.name + ".trains";
        const Value* given = table.find("trains");
        if (phase.trains.empty() && given != nullptr && given->is_array() && given->array().empty())
            problems.add(given->origin, fmt::format("{}: found an empty list, expected one or more of {}", path,
                                                    join(trainable())));
        for (std::size_t i = 0; i < phase.trains.size(); ++i) {
            const auto& name = phase.trains[i];
            const auto wrong = complaint(name, phase);
            if (!wrong.empty()) problems.add(place_of(table, i), path + ": " + wrong);
            taken.emplace(name, &phase);
        }
    }
};

/// The tables of [[phase]]; none where there is no such list, or it is none.
std::vector<const Table*> phase_tables(const Table& tree) {
    std::vector<const Table*> out;
    const Value* list = tree.find("phase");
    if (list == nullptr || !list->is_array()) return out;
    for (const auto& entry : list->array())
        if (entry.is_table()) out.push_back(&entry.table());
    return out;
}

Value* optimizer_of(Value& phase) {
    Value* own = phase.is_table() ? phase.table().find("optimizer") : nullptr;
    return own != nullptr && own->is_table() ? own : nullptr;
}

}  // namespace

Keys<PhaseSpec> phase_keys() {
    using S = PhaseSpec;
    return {
        key("name", &S::name).required().doc("what losses, stages and the log call it"),
        key("trains", &S::trains)
            .required()
            .doc("networks and [[head]]s that it updates; one phase of a stage at most trains each"),
        key("repeat", &S::repeat).range(1, 1e6).doc("updates in a step, each on a batch of its own"),
        key("every", &S::every)
            .range(1, 1e9)
            .doc("steps between two turns: it takes part in step 0, n, 2n, .."),
    };
}

Schema phase_schema() {
    return to_schema(phase_keys());
}

std::vector<std::string> phase_names(const Table& tree) {
    std::vector<std::string> out;
    for (const auto* phase : phase_tables(tree))
        if (const Value* name = phase->find("name"); name != nullptr && name->is_text())
            out.push_back(name->text());
    return out;
}

Table with_phase_optimizers(Table tree) {
    Value* phases = tree.find("phase");
    if (phases == nullptr || !phases->is_array()) return tree;
    for (auto& phase : phases->array()) {
        Value* own = optimizer_of(phase);
        const Value* general = tree.find("optimizer");
        if (own == nullptr || general == nullptr || !general->is_table()) continue;
        Table whole, over;
        whole.set("optimizer", *general);
        over.set("optimizer", *own);
        merge_into(whole, over);
        own->data = std::move(whole.find("optimizer")->data);
    }
    return tree;
}

Table without_general_keys(Table tree, const Table& written) {
    Value* phases = tree.find("phase");
    const auto tables = phase_tables(written);
    if (phases == nullptr || !phases->is_array() || phases->array().size() != tables.size()) return tree;
    for (std::size_t i = 0; i < tables.size(); ++i) {
        Value* merged = optimizer_of(phases->array()[i]);
        const Value* own = tables[i]->find("optimizer");
        if (merged == nullptr || own == nullptr || !own->is_table()) continue;
        for (const auto& key : std::vector(merged->table().keys()))
            if (own->table().find(key) == nullptr) merged->table().erase(key);
    }
    return tree;
}

std::vector<PhaseSpec> read_phases(const Table& tree, Diagnostics& problems) {
    std::vector<PhaseSpec> out;
    const Value* list = tree.find("phase");
    if (list == nullptr) return out;
    if (!list->is_array()) {
        problems.add(list->origin, fmt::format("phase: found {}, expected a list of tables: write [[phase]]",
                                               list->is_table() ? "one table" : found(*list)));
        return out;
    }
    const auto keys = phase_keys();
    for (std::size_t i = 0; i < list->array().size(); ++i) {
        const Value& entry = list->array()[i];
        const auto id = identity("phase", entry);
        const auto path = "phase." + (id.empty() ? std::to_string(i) : id);
        if (!entry.is_table()) {
            problems.add(entry.origin, fmt::format("{}: found {}, expected a table", path, found(entry)));
            continue;
        }
        const Table& table = entry.table();
        check_keys(table, path, phase_words, problems);
        const auto schema = to_schema(keys);
        PhaseSpec phase;
        fill(phase, keys, bind_options(part_of(table, schema), schema, path, entry.origin, problems));
        phase.origin = entry.origin;
        if (const Value* name = table.find("name"); name != nullptr && name->is_text())
            check_name(phase.name, path + ".name", name->origin, problems);
        const auto twin = std::ranges::find(out, phase.name, &PhaseSpec::name);
        if (twin != out.end() && !phase.name.empty())
            problems.add(entry.origin,
                         fmt::format("{}: a second phase of this name, the first is at {}: give one "
                                     "of them another `name`",
                                     path, twin->origin.text()));
        if (const Value* optimizer = table.find("optimizer"); optimizer != nullptr && !optimizer->is_table())
            problems.add(
                optimizer->origin,
                fmt::format("{}.optimizer: found {}, expected a table that lies over [optimizer]: {{ lr "
                            "= 1e-4 }}",
                            path, found(*optimizer)));
        out.push_back(std::move(phase));
    }
    return out;
}

void read_phase_optimizers(const Table& tree, Recipe& recipe, Diagnostics& problems) {
    for (auto& phase : recipe.phases) phase.optimizer = recipe.optimizer;
    for (const auto* table : phase_tables(tree)) {
        const Value* section = table->find("optimizer");
        const Value* name = table->find("name");
        if (section == nullptr || !section->is_table() || name == nullptr || !name->is_text()) continue;
        const auto phase = std::ranges::find(recipe.phases, name->text(), &PhaseSpec::name);
        if (phase == recipe.phases.end()) continue;
        Diagnostics found;
        phase->optimizer =
            read_optimizer(section, "phase." + phase->name + ".optimizer", section->origin, found);
        // What stands in [optimizer] has been reported there.
        for (const auto& mistake : found.mistakes())
            if (std::ranges::none_of(problems.mistakes(), [&](const auto& other) {
                    return other.where.text() == mistake.where.text() && other.what.starts_with("optimizer.");
                }))
                problems.add(mistake.where, mistake.what);
    }
}

void check_loss_phases(const Table& tree, Diagnostics& problems) {
    const Value* losses = tree.find("loss");
    if (losses == nullptr || !losses->is_array()) return;
    const auto names = phase_names(tree);
    if (names.empty() && tree.find("phase") != nullptr) return;  // which is wrong itself
    for (std::size_t i = 0; i < losses->array().size(); ++i) {
        const Value& entry = losses->array()[i];
        if (!entry.is_table()) continue;
        const auto id = identity("loss", entry);
        const auto path = fmt::format("loss.{}.phase", id.empty() ? std::to_string(i) : id);
        const Value* phase = entry.table().find("phase");
        if (phase == nullptr || (phase->is_text() && phase->text().empty())) {
            if (names.size() > 1)
                problems.add(phase == nullptr ? entry.origin : phase->origin,
                             fmt::format("{}: missing, expected one of {}: of several phases a loss says whose "
                                         "update it is for",
                                         path, join(names)));
        } else if (phase->is_text() && names.empty()) {
            problems.add(
                phase->origin,
                fmt::format("{}: found \"{}\", but the recipe has no [[phase]]: write one of this name, "
                            "or remove this",
                            path, phase->text()));
        } else if (phase->is_text() && !contains(names, phase->text())) {
            problems.add(phase->origin,
                         fmt::format("{}: there is no phase '{}', expected one of {}{}", path, phase->text(),
                                     join(names), did_you_mean(phase->text(), names)));
        }
    }
}

void check_phases(const Table& tree, const Recipe& recipe, Diagnostics& problems) {
    Trains trains{recipe, {}, problems};
    const auto tables = phase_tables(tree);
    for (std::size_t i = 0; i < recipe.phases.size() && recipe.phases.size() == tables.size(); ++i)
        trains.check(recipe.phases[i], *tables[i]);
    for (const auto& phase : recipe.phases)
        if (!phase.name.empty() &&
            std::ranges::none_of(recipe.losses, [&](const auto& loss) { return loss.phase == phase.name; }))
            problems.add(phase.origin,
                         fmt::format("phase.{0}: no loss is for it, expected one at least: give a "
                                     "[[loss]] phase = \"{0}\", or remove the phase",
                                     phase.name));
}

void note_untrained(const std::vector<Recipe>& parts, std::vector<std::string>& notes) {
    if (std::ranges::all_of(parts, [](const auto& part) { return part.phases.empty(); })) return;
    std::map<std::string, const NetworkSpec*> free;  // not frozen everywhere
    std::vector<std::string> trained;
    for (const auto& part : parts) {
        for (const auto& network : part.networks)
            if (network.follows.empty() && !network.frozen) free.emplace(network.name, &network);
        for (const auto& phase : part.phases)
            trained.insert(trained.end(), phase.trains.begin(), phase.trains.end());
    }
    for (const auto& [name, network] : free)
        if (!contains(trained, name))
            notes.push_back(
                fmt::format("{}: networks.{}: no phase trains it: add it to the `trains` of a phase, "
                            "or set frozen = true",
                            network->origin.text(), name));
}

}  // namespace hearth::recipe
