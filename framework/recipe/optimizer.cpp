// [optimizer]: some keys are of every rule, others of one or a few; and what stays where the rule changes.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "recipe/section_keys.hpp"
#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

struct Rule {
    std::string name;
    std::vector<std::string> own;  ///< keys that not every rule has
};

/// The first is the default.
const std::vector<Rule>& rules() {
    static const std::vector<Rule> all = {{"adamw", {"betas", "eps"}},
                                          {"adam", {"betas", "eps"}},
                                          {"sgd", {"momentum", "nesterov"}},
                                          {"lars", {"momentum", "trust"}},
                                          {"rmsprop", {"alpha", "eps", "momentum", "centered"}}};
    return all;
}

std::vector<std::string> rule_names() {
    std::vector<std::string> out;
    for (const auto& rule : rules()) out.push_back(rule.name);
    return out;
}

/// The rules that have a key of their own; none for a key of all.
std::vector<std::string> owners(const std::string& key) {
    std::vector<std::string> out;
    for (const auto& rule : rules())
        if (contains(rule.own, key)) out.push_back(rule.name);
    return out;
}

/// Where a recipe is silent: the defaults of torch.optim, and of the papers for what is not there. AdamW has
/// those of the members.
OptimizerSpec defaults_of(const std::string& rule) {
    OptimizerSpec spec;
    spec.use = rule;
    if (rule == "adam" || rule == "sgd" || rule == "rmsprop") {
        spec.lr = rule == "rmsprop" ? 1e-2 : 1e-3;
        spec.weight_decay = 0.0;
    } else if (rule == "lars") {
        spec.lr = 0.2;
        spec.weight_decay = 1e-6;
        spec.momentum = 0.9;
    }
    return spec;
}

/// The keys that `rule` has, with its defaults.
Keys<OptimizerSpec> keys_of(const std::string& rule) {
    auto keys = optimizer_keys();
    std::erase_if(keys, [&](const auto& key) {
        const auto have = owners(key.option.name);
        return !have.empty() && !contains(have, rule);
    });
    for (auto& key : keys) key.option.fallback = key.get(defaults_of(rule));
    return keys;
}

/// "sgd, lars and rmsprop do".
std::string these_do(std::vector<std::string> names) {
    if (names.size() == 1) return names.front() + " does";
    const auto last = names.back();
    names.pop_back();
    return fmt::format("{} and {} do", join(names), last);
}

}  // namespace

Keys<OptimizerSpec> optimizer_keys() {
    using S = OptimizerSpec;
    Keys<S> keys = {
        key("use", &S::use).choices(rule_names()).doc("the rule by which parameters are updated"),
        key("lr", &S::lr).range(0, 1e3).doc("learning rate, before the scaling by lr_batch"),
        key("lr_batch", &S::lr_batch)
            .range(0, any_count)
            .doc("lr is multiplied by global batch / lr_batch; 0 = lr as written"),
        key("layer_decay", &S::layer_decay)
            .range(0.01, 1)
            .doc("factor on lr from one layer of a backbone to the one below it; 1 = the same for all"),
        key("weight_decay", &S::weight_decay)
            .range(0, 1e3)
            .doc("decoupled in adamw, added to the gradient in the others; never on biases and one-dimensional "
                 "parameters"),
        pair_key("betas", &S::beta1, &S::beta2).range(0, 1).doc("decay of the two moments"),
        key("alpha", &S::alpha).range(0, 1).doc("decay of the second moment"),
        key("eps", &S::eps).range(0, 1).doc("added to the root of the second moment"),
        key("centered", &S::centered).doc("the second moment is taken about the mean"),
        key("momentum", &S::momentum).range(0, 1).doc("share of the last step that goes into the next"),
        key("nesterov", &S::nesterov).doc("the gradient counts as if the momentum had been followed already"),
        key("trust", &S::trust)
            .range(0, 1e3)
            .doc("norm of a gradient as a share of its parameter's, before momentum and lr; not for "
                 "parameters without weight decay"),
        key("clip", &S::clip).range(0, 1e9).doc("largest norm of a gradient; 0 = no clipping"),
        key("clip_mode", &S::clip_mode)
            .choices({"tensor", "global"})
            .doc("the norm of each parameter by itself, or of all together"),
        key("clip_slices", &S::clip_slices)
            .doc("patterns of parameters that are many of one kind in one tensor, each slice along the first "
                 "dimension clipped by its own norm (clip_mode \"tensor\")"),
        key("freeze", &S::freeze).doc("patterns of parameter names that get no update at first"),
        key("freeze_epochs", &S::freeze_epochs).range(0, 1e6).doc("for so many epochs"),
        key("no_decay", &S::no_decay).doc("patterns of further parameter names without weight decay"),
    };
    for (auto& key : keys)
        if (const auto have = owners(key.option.name); !have.empty())
            key.option.help = join(have) + ": " + key.option.help;
    return keys;
}

Schema optimizer_schema() {
    return to_schema(optimizer_keys());
}

std::string optimizer_rules_table() {
    std::string out = "| `use` | `lr` | `weight_decay` | keys of its own |\n| --- | --- | --- | --- |\n";
    for (const auto& rule : rules()) {
        const auto schema = to_schema(keys_of(rule.name));
        const auto fallback = [&](const std::string& key) { return to_string(schema.find(key)->fallback); };
        std::vector<std::string> own;
        for (const auto& key : rule.own) own.push_back(fmt::format("`{} = {}`", key, fallback(key)));
        out += fmt::format("| `\"{}\"` | `{}` | `{}` | {} |\n", rule.name, fallback("lr"),
                           fallback("weight_decay"), join(own));
    }
    return out;
}

std::string default_rule() {
    return rules().front().name;
}

std::string optimizer_rule(const Table& section, const std::string& inherited) {
    const Value* use = section.find("use");
    return use != nullptr && use->is_text() ? use->text() : inherited;
}

std::string general_rule(const Table& tree) {
    const Value* section = tree.find("optimizer");
    return section != nullptr && section->is_table() ? optimizer_rule(section->table(), default_rule())
                                                     : default_rule();
}

std::vector<std::string> change_rule(Table& section, const std::string& use, const std::string& inherited) {
    std::vector<std::string> gone;
    if (optimizer_rule(section, inherited) == use || !contains(rule_names(), use)) return gone;
    for (const auto& key : section.keys())
        if (!owners(key).empty()) gone.push_back(key);
    for (const auto& key : gone) section.erase(key);
    return gone;
}

OptimizerSpec read_optimizer(const Value* section, const std::string& path, const Origin& recipe,
                             Diagnostics& problems) {
    const Origin origin = section != nullptr ? section->origin : recipe;
    Table table;
    if (section != nullptr && section->is_table())
        table = section->table();
    else if (section != nullptr)
        problems.add(origin,
                     fmt::format("{0}: found {1}, expected a table: write [{0}]", path, found(*section)));
    const auto rule = optimizer_rule(table, default_rule());
    const bool known = contains(rule_names(), rule);
    for (const auto& key : std::vector(table.keys())) {
        const auto have = owners(key);
        if (!known || have.empty() || contains(have, rule)) continue;
        problems.add(table.find(key)->origin,
                     fmt::format("{0}.{1}: '{2}' has no {1}; {3}", path, key, rule, these_do(have)));
        table.erase(key);
    }
    const auto keys = known ? keys_of(rule) : optimizer_keys();
    auto spec = known ? defaults_of(rule) : OptimizerSpec();
    fill(spec, keys, bind_options(table, to_schema(keys), path, origin, problems));
    spec.origin = origin;
    if (spec.nesterov && spec.momentum == 0)
        problems.add(
            table.find("nesterov")->origin,
            fmt::format("{0}.nesterov: found true without a momentum, expected {0}.momentum above 0", path));
    return spec;
}

}  // namespace hearth::recipe
