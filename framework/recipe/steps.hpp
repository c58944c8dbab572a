// The steps of loading a recipe, in the order load.cpp takes them; nothing outside recipe/ includes this.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "recipe/parse.hpp"
#include "recipe/recipe.hpp"

namespace hearth::recipe {

/// Every key a recipe may have at its top.
inline const std::vector<std::string> top_level_keys = {
    "schema",   "name",  "description", "extends", "drop",     "plugin_paths", "augment",
    "networks", "pass",  "head",        "loss",    "phase",    "stage",        "data",
    "train",    "probe", "optimizer",   "monitor", "validate", "eval",         "detect"};

/// What of a recipe a [[stage]] may differ in, besides the phases that it has.
inline const std::vector<std::string> stage_sections = {"train", "optimizer", "networks", "augment",
                                                        "pass",  "head",      "loss"};

inline bool contains(const std::vector<std::string>& words, const std::string& word) {
    return std::ranges::find(words, word) != words.end();
}

// merge.cpp ---------------------------------------------------------------------------------------------------

/// augment, loss, pass, head, phase, stage: lists of tables whose entries have an identity.
bool is_list_of_entries(std::string_view key);
/// What an entry of such a list is called: `as` or `network` of a pass, `name` of a phase or stage, `name` or
/// `use` of the others.
std::string identity(std::string_view list, const Value& entry);
/// Keys that say which entry is meant: repeating one sets nothing.
bool is_identity_key(const std::string& key);
std::vector<std::string> identities(std::string_view list, const Array& entries);

/// Puts `over` on top of `base`: tables merge, lists of entries merge by identity, the rest replaces.
void merge_into(Table& base, const Table& over);

/// Sections that a recipe may do without.
inline const std::vector<std::string> optional_sections = {"probe", "eval", "detect", "validate"};
/// Removes what `drop` names. `dropped` remembers it: a second file may drop the same again. The tree keeps the
/// `drop` of sections, which says why they are not there.
void apply_drops(Table& tree, const Value& drop, std::vector<std::string>& dropped, Diagnostics& problems);

// fragment.cpp ------------------------------------------------------------------------------------------------

/// Whether `only` has the key or a section above it: "eval" has "eval.size"; "data.fit" has itself alone.
bool is_among(const std::vector<std::string>& only, const std::string& key);
/// A fragment with its own parents.
struct Fragment {
    Table tree;
    std::vector<Value> drops;          ///< of its files, in their order
    std::vector<std::string> dropped;  ///< what they found within the fragment itself
};
/// Puts a fragment (--with) on top of a recipe, of which its drops take away first. It does not rename the
/// recipe. A [detect] without scores tells of data alone: it counts where the recipe has a [detect]. With `only`,
/// nothing else of the fragment counts, and a [detect] with scores is in place of the one that is there. Reports
/// what it sets and stages of the recipe set themselves.
void merge_fragment(Table& tree, Fragment whole, const std::optional<std::vector<std::string>>& only,
                    Diagnostics& problems);

// override.cpp ------------------------------------------------------------------------------------------------

/// "a.\"b.c\".d" -> a, b.c, d.
std::vector<std::string> split_path(std::string_view path);
/// Applies "key.path=value". What it takes away besides, and old words for keys, go into `notes`.
void apply_override(Table& tree, const std::string& argument, Diagnostics& problems,
                    std::vector<std::string>& notes);

// paths.cpp ---------------------------------------------------------------------------------------------------

/// Makes the paths of the tree absolute: each against the file it was written in, or against the current folder
/// for an argument. A path with an unset environment variable stays as it is, and is reported in `problems`,
/// but not where it is the source of a section that is not among `opens`.
void resolve_paths(Table& tree, const std::vector<std::string>& opens, Diagnostics& problems);

/// Makes one such text absolute, in place. What is no text, or empty, stays.
void resolve_path(Value& value, const std::string& path, Diagnostics& problems);

// option_files.cpp --------------------------------------------------------------------------------------------

/// The value of a path option made absolute; reports a file that is not there. False after a report.
bool resolve_files(Value& value, const std::string& path, Diagnostics& problems);

// bind.cpp ----------------------------------------------------------------------------------------------------

/// "text \"x\"", "number 3.0": type and value, shortened, for messages.
std::string found(const Value& value);
/// A number or a table of a schedule; reports and returns `fallback` when it is neither.
Schedule read_schedule(const Value& value, const std::string& path, const Schedule& fallback,
                       Diagnostics& problems);
/// A copy of the tree in which warm-ups that are written as a share of the run ("5 %") are epochs.
Table with_warmups_in_epochs(const Table& tree);
/// What to write on the command line to change the key at a path: "train.epochs", or in a stage that sets it
/// itself "stage.gan.train.epochs".
using Address = std::function<std::string(const std::string& path)>;
/// Reports warm-ups and edges of schedules anywhere in the tree that lie behind the last epoch.
void check_schedules(const Table& tree, const std::string& path, std::int64_t epochs, const Address& address,
                     Diagnostics& problems);

// load.cpp ----------------------------------------------------------------------------------------------------

/// Fills what `recipe.tree` says, and judges it unless it has stages, which are judged one by one. Whether
/// components, networks, passes and phases are without a mistake.
bool read_parts(Recipe& recipe, const std::vector<std::string>& opens, const Address& address,
                Diagnostics& problems);

// phases.cpp --------------------------------------------------------------------------------------------------

/// The phases of a tree as far as they have names.
std::vector<std::string> phase_names(const Table& tree);
/// A copy in which the `optimizer` of each phase has the keys of [optimizer] below its own.
Table with_phase_optimizers(Table tree);
/// A copy in which that is undone, down to the keys that are `written`.
Table without_general_keys(Table tree, const Table& written);
/// Reports a `phase` of a [[loss]] that there is not, and a loss that lacks one.
void check_loss_phases(const Table& tree, Diagnostics& problems);
std::vector<PhaseSpec> read_phases(const Table& tree, Diagnostics& problems);
/// The optimisers of phases, of a tree with_phase_optimizers(). [optimizer] has been read.
void read_phase_optimizers(const Table& tree, Recipe& recipe, Diagnostics& problems);
/// Reports what phases may not train, and phases without a loss.
void check_phases(const Table& tree, const Recipe& recipe, Diagnostics& problems);
/// Notes the networks that no phase of any stage trains. `parts`: the stages, or the recipe without any.
void note_untrained(const std::vector<Recipe>& parts, std::vector<std::string>& notes);

// stages.cpp --------------------------------------------------------------------------------------------------

bool has_stages(const Table& tree);
/// Whether the differences of a stage say anything about what stands at `keys` of the recipe.
bool sets(const Table& differences, const std::vector<std::string>& keys);
/// Stages of a recipe that set such a key themselves.
std::vector<std::string> stages_that_set(const Table& tree, const std::vector<std::string>& keys);
/// "optimizer.lr is set by the stages gan, encoder themselves".
std::string set_by_text(const std::string& key, const std::vector<std::string>& stages);
/// Reports what is wrong with each [[stage]], and with the recipe that it makes; once what is wrong with the
/// recipe itself. Whether plans can be made of them. `notes` gets what they all leave out.
bool check_stages(const Recipe& whole, const std::vector<std::string>& opens, std::vector<std::string>& notes,
                  Diagnostics& problems);

// validate.cpp ------------------------------------------------------------------------------------------------

/// Whether [validate] may watch this in a recipe with these losses, and with [detect] and [probe] or without.
bool can_watch(const std::string& watch, const std::vector<std::string>& losses, bool detects, bool probes);
/// Reports a `watch` of the recipe's [validate] that can_watch() denies.
void check_watch(const Recipe& recipe, const std::vector<std::string>& losses, Diagnostics& problems);
/// Reports other values that do not fit.
void check_validate(const ValidateSpec& spec, Diagnostics& problems);

// networks.cpp, sections.cpp ----------------------------------------------------------------------------------

/// `augment`, `loss`, `head`: components with unique names.
std::vector<ComponentSpec> read_components(const Table& tree, const std::string& list, Diagnostics& problems);
std::vector<NetworkSpec> read_networks(const Table& tree, Diagnostics& problems);
std::vector<PassSpec> read_passes(const Table& tree, const std::vector<NetworkSpec>& networks,
                                  Diagnostics& problems);
/// A section that is not among `opens` needs none of its required keys: they are "".
Table without_needs(const Table& section, const std::string& name, const Schema& schema,
                    const std::vector<std::string>& opens);
/// By key where the values of a section were written.
Written written_in(const Value& section);
/// Fills data, train, optimizer, also those of phases, monitor, validate, probe and eval.
void read_sections(const Table& tree, const std::vector<std::string>& opens, Recipe& recipe,
                   Diagnostics& problems);

// optimizer.cpp -----------------------------------------------------------------------------------------------

/// The rule that [optimizer] of a recipe names; the default where it names none.
std::string general_rule(const Table& tree);
/// The rule that an `optimizer` table names, or the one that it inherits: [optimizer] the default, that of a phase
/// or a stage the recipe's.
std::string optimizer_rule(const Table& section, const std::string& inherited);
/// Makes place for another rule in such a table, to be called before `use` is set: the keys that not every rule
/// has are taken out. Says which; none where it has this rule already, or there is no such rule.
std::vector<std::string> change_rule(Table& section, const std::string& use, const std::string& inherited);
/// The rule where nothing names one.
std::string default_rule();
/// [optimizer], or such a table under `path`. Without a section it has the defaults, and the recipe's origin.
OptimizerSpec read_optimizer(const Value* section, const std::string& path, const Origin& recipe,
                             Diagnostics& problems);

// labelled.cpp ------------------------------------------------------------------------------------------------

/// Reports what [probe] or [eval] asks for that no data can make work: probes, networks and combinations of
/// keys that there are not. The networks of `recipe` have been read.
void check_labelled(const std::string& section, const LabelledSpec& spec, const Recipe& recipe,
                    Diagnostics& problems);

// detect.cpp --------------------------------------------------------------------------------------------------

/// [detect], when it is there.
std::optional<DetectSpec> read_detect(const Table& tree, const std::vector<std::string>& opens,
                                      Diagnostics& problems);

}  // namespace hearth::recipe
