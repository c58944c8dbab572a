// A resolved recipe: extends, drops and overrides applied, every section checked against its schema and typed.
// Component options stay raw tables here: only the plan, which knows the plugins, can check them
// (bind_options).
#pragma once

#include <filesystem>
#include <hearth/option.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "recipe/value.hpp"

namespace hearth::recipe {

/// By key, where it was written.
using Written = std::map<std::string, Origin>;
/// The same as texts for messages.
std::map<std::string, std::string> texts_of(const Written& written);

/// `{ use = "vit", size = "tiny", reads = { image = "x" } }`
struct ComponentSpec {
    std::string use;                                   ///< component id
    std::string name;                                  ///< unique within its list; `use` unless given
    Table options;                                     ///< what is left for the plugin's schema
    std::map<std::string, std::string> reads, writes;  ///< port -> name in the dataflow
    Schedule weight = 1.0;                             ///< losses only
    std::string phase;  ///< losses only: the [[phase]] whose update this is for; "" = the only one
    Origin origin;
};

/// [optimizer]. What a rule has besides the keys of all, and its own defaults, are in optimizer.cpp.
struct OptimizerSpec {
    std::string use = "adamw";  ///< the rule: "adamw", "adam", "sgd", "lars" or "rmsprop"
    Schedule lr = 5e-4, weight_decay = 0.05;
    double layer_decay = 1;  ///< factor on lr from one layer of a backbone to the one below it
    double lr_batch = 256;   ///< lr is multiplied by global batch / lr_batch; 0 = lr as written
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, clip = 3.0;
    double momentum = 0, alpha = 0.99, trust = 0.001;
    bool nesterov = false, centered = false;
    std::string clip_mode = "tensor";      ///< "tensor": each parameter's gradient by its own norm; "global"
    std::vector<std::string> clip_slices;  ///< patterns: each slice along the first dimension by its own norm
    /// Patterns of parameter names (substring or glob) that get no update ...
    std::vector<std::string> freeze;
    std::int64_t freeze_epochs = 0;     ///< ... for this many epochs
    std::vector<std::string> no_decay;  ///< patterns besides biases and one-dimensional parameters
    Origin origin;
};

/// [networks.NAME]
struct NetworkSpec {
    std::string name;
    /// Absent for a follower (it has the leader's) and for pure-head networks.
    std::optional<ComponentSpec> backbone;
    std::vector<ComponentSpec> heads;  ///< own heads; for a follower: extra_heads
    std::string follows;               ///< the network whose moving average this is, or ""
    /// Follower: `heads = [..]`, names of the leader's heads it has too; all unless given.
    std::vector<std::string> shared_heads;
    Schedule momentum = 0.996;
    std::string update = "after_step";  ///< or "before_forward"
    std::string init_from;              ///< safetensors file, resolved against the recipe, or ""
    std::string init_network;  ///< which network of that file; "" = the one of this name, or the only one
    Origin init_network_origin;
    bool frozen = false;  ///< all of it: no update, and evaluation mode
    /// `frozen = [..]`: patterns of parameter names (substring or glob, below the network's name) that get no
    /// update in the whole run.
    std::vector<std::string> frozen_parts;
    bool eval_mode = false;    ///< `mode = "eval"`: batch statistics and dropout as in evaluation
    bool own_buffers = false;  ///< follower: `buffers = "own"`, its batch statistics are not its leader's
    Origin origin;
};

/// [[phase]]: an update of its own within a step.
struct PhaseSpec {
    std::string name;
    std::vector<std::string> trains;  ///< networks and [[head]]s that it updates
    std::int64_t repeat = 1;          ///< updates in a step
    std::int64_t every = 1;           ///< steps between two of its turns
    OptimizerSpec optimizer;          ///< [optimizer] with the phase's own keys over it
    Origin origin;
};

/// [[pass]]
struct PassSpec {
    std::string network;
    std::string view;                               ///< "": only a network without a backbone has none
    std::string as;                                 ///< prefix of its outputs; the network's name unless given
    std::optional<std::vector<std::string>> heads;  ///< only these
    /// Port -> name in the dataflow, for all components of this pass; "" disconnects.
    std::map<std::string, std::string> reads;
    Origin origin;
};

/// [data]. The keys of this and the next sections, which fill these members, are in section_keys.cpp; the
/// defaults are the ones here.
struct DataSpec {
    std::string source;  ///< "phantom", or an absolute path of a manifest or folder
    std::string where;
    std::int64_t phantom_count = 1000, phantom_seed = 0;
    double phantom_lesions = 0;
    std::int64_t size = 224, channels = 1, workers = 0, prefetch = 4, max_pixels = 0;
    std::string fit = "stretch";
    std::string label, positive, negative;  ///< as in LabelledSpec, for the tensor `label`; "" = there is none
    /// Several labels: what "-1" and an empty cell count as.
    std::string uncertain = "ignore", blank = "ignore";
    std::string mask;  ///< column of segmentation masks, for the tensor `segmentation`; "" = there is none
    std::string patient = "patient";   ///< column; patients are never divided between parts
    double fraction = 1;               ///< of the patients of each class
    std::int64_t folds = 0, fold = 0;  ///< cross-validation: train on all folds but this one
    std::int64_t split_seed = 0;       ///< of fraction and folds
    double max_bad = 0.01;
    std::string cache = "auto";  ///< "auto", "none", "memory" or "packed"
    std::string cache_folder;    ///< of packed files; "" = data::default_cache_folder()
    /// Samples that are made of each image, one after the other in a batch.
    std::int64_t samples_per_image = 1;
    /// "workers" or "device": where augments that can work on batches make their views.
    std::string augment_on = "workers";
    Written written;  ///< where keys of the section were written
    Origin origin;
};

/// [train]
struct TrainSpec {
    static constexpr std::int64_t auto_batch = 0;  ///< `batch` that is yet to be chosen
    std::int64_t epochs = 100, batch = 64, accumulate = 1, seed = 0, threads = 0, log_every = 10,
                 checkpoint_every = 0;
    std::string precision = "auto", device = "auto";
    std::int64_t timeout = 600;  ///< seconds until a process that does not answer counts as lost
    bool deterministic = false;  ///< on a GPU: the same bits in every run, at some speed
    Origin origin;
};

/// A loss term on the wrong side of a bound: "teacher_kl < 0.01".
struct TermRule {
    std::string term;   ///< as in the log; "loss" is the total
    bool below = true;  ///< collapsed where the term is below (else above) the bound
    double bound = 0;
    Origin origin;
};

/// [monitor]
struct MonitorSpec {
    std::string features;     ///< tensor [B, D] or [B, L, D] whose spread and rank are tracked; "" = of the
                              ///< first trained network, see Plan::watched_features
    std::string assignments;  ///< tensor [.., K] of distributions whose entropy is tracked; "" = none
    std::vector<TermRule> collapse_if;                  ///< what collapse looks like in the terms of the losses
    std::string on_collapse = "warn", on_nan = "stop";  ///< "warn" or "stop"
    double min_rank = 2, min_std = 1e-4, min_entropy = 0.05;  ///< entropy of the mean assignment / ln K
    std::int64_t patience = 3;  ///< consecutive log lines below a threshold before it counts
    Origin origin;
};

/// [probe] while training, and [eval] at the end: a labelled data set and its splits.
struct LabelledSpec {
    std::string source;  ///< as in [data]
    std::string train_where, test_where;
    std::string label = "label";  ///< column
    std::string positive;         ///< value(s, comma separated) that count as 1; "" = every class (multi-class)
    std::string negative;         ///< value that counts as 0; "" = all others
    std::string uncertain = "ignore", blank = "ignore";  ///< as in DataSpec
    std::string patient = "patient";  ///< column for the bootstrap; missing column = every image its own
    std::string head;     ///< the logits of a pass that are evaluated instead of frozen features; "" = none
    std::string mask;     ///< column of masks: `head` writes a segmentation, measured by Dice
    double fraction = 1;  ///< of the training patients of each class
    std::string validation_where;     ///< rows that thresholds are chosen on; "" = the training rows
    std::int64_t every = 10, k = 20;  ///< probe: every n epochs; neighbours
    std::int64_t phantom_count = 400, phantom_seed = 1000;
    std::int64_t limit = 0;  ///< at most this many training and test images (0 = all)
    std::int64_t size = 0;   ///< images become size x size pixels (0 = data.size)
    std::string features;    ///< "cls", "mean" or "cls+mean"; "" = as the backbone says
    std::string network;     ///< whose backbone is read; "" = the first that is trained
    std::string region;      ///< column of masks: features of what is marked, not of the image; ""
    std::int64_t folds = 0;  ///< cross-validation of probes over the rows of train_where; 0 = none
    std::vector<std::string> probes = {"linear", "knn"};  ///< classifiers on frozen features
    bool overlap = false;                                 ///< test rows may have been fitted on
    Written written;                                      ///< where keys of the section were written
    Origin origin;

    /// Where `key` was written, or the section where it was not.
    const Origin& place(const std::string& key) const;
    bool has_probe(const std::string& probe) const;
};

/// [detect.scores.NAME]: one way to give every pixel, or every image, a value that is high where it is abnormal.
/// Its options are documented in score_schema().
struct ScoreSpec {
    std::string name, use;  ///< "error", "distance" or "output"
    double weight = 1;      ///< in the sum that `detect.score` writes down
    Options options;
    Origin origin;
};

/// [detect]: anomaly detection by what a network has learned from normal images.
struct DetectSpec {
    LabelledSpec labelled;  ///< source, columns, test_where; train_where holds the normal images
    std::string validation_where, mask, kind;
    double quantile = 0.95, smooth = 0.02, top = 0.05;
    std::string normalise = "position";
    std::int64_t batch = 32, heatmaps = 24;
    std::int64_t neighbours = 5, components = 16;  ///< of the baselines from pixels
    std::vector<ScoreSpec> scores;
    std::string score;  ///< the sum as written
};

/// [validate]: what is measured on rows that are neither trained nor tested on, to choose the weights that are
/// kept and to end a training that gets no better.
struct ValidateSpec {
    std::string where;            ///< rows of [data]'s table, or of that of section()
    std::int64_t every = 1;       ///< epochs
    std::string watch = "total";  ///< "total", "LOSS.term", "detect.auroc" or "probe.auc"
    std::string best = "lowest";  ///< or "highest"
    std::int64_t patience = 0;    ///< turns without a better one after which training ends; 0 = never
    bool overlap = false;         ///< the rows may have been trained or tested on
    Written written;
    Origin origin;

    /// The section that measures what is watched: "detect", "probe", or "data" where it is a loss.
    std::string section() const;
    /// Where `key` was written, or the section where it was not.
    const Origin& place(const std::string& key) const;
};

/// [[stage]]: which of several trainings, one after the other, a recipe describes (stages()).
struct StageSpec {
    std::string name;
    std::vector<std::string> fresh;  ///< patterns of buffers that do not go on from the stage before
    std::size_t number = 0, count = 1;
    std::vector<std::string> trained;  ///< networks and [[head]]s that some stage updates
    Origin origin;
};

struct Recipe {
    std::filesystem::path file;
    std::string name;  ///< the file's stem unless given; never inherited
    std::string description;
    std::vector<std::filesystem::path> plugin_paths;  ///< absolute
    std::vector<ComponentSpec> augments, losses;
    std::vector<ComponentSpec> heads;  ///< [[head]]: heads outside a network, reading names of several passes
    std::vector<NetworkSpec> networks;
    std::vector<PassSpec> passes;
    std::vector<PhaseSpec> phases;  ///< empty: one update that trains everything
    /// What of a training in several stages this is; nothing: the recipe has no [[stage]], or is the whole of
    /// it, of which stages() makes the parts.
    std::optional<StageSpec> stage;
    DataSpec data;
    TrainSpec train;
    OptimizerSpec optimizer;
    MonitorSpec monitor;
    std::optional<LabelledSpec> probe, eval;
    std::optional<DetectSpec> detect;
    std::optional<ValidateSpec> validate;
    std::vector<std::string> notes;  ///< what overrides took away, and keys by old names; the plan warns of it
    Table tree;                      ///< the merged tree everything above was read from

    const NetworkSpec* network(const std::string& name) const;
};

/// The sections that name tables of images.
inline const std::vector<std::string> table_sections = {"data", "probe", "eval", "detect"};

/// What a verb reads of a recipe, and what the command line puts on top of it.
struct Reading {
    std::vector<std::filesystem::path> with;  ///< fragments (--with), merged after the recipe in this order
    std::vector<std::string> overrides;       ///< "train.epochs=3", after the fragments
    /// The sections of `table_sections` whose images are opened: in the others a source may be missing, or
    /// stand on an environment variable that is not set.
    std::vector<std::string> opens = table_sections;
    /// Of a finished run, what fragments and overrides may change: sections ("eval") and keys ("train.device").
    /// The rest of a fragment does not count; an override of anything else is a mistake. Nothing: no limit.
    std::optional<std::vector<std::string>> only = std::nullopt;
};

/// A recipe as far as it could be read.
struct Loaded {
    Recipe recipe;
    Diagnostics problems;
    bool whole = true;  ///< components, networks and passes are without a mistake: a plan can be made of them
    /// "a.toml: 2 mistakes in the recipe".
    std::string title() const;
};
Loaded try_load(const std::filesystem::path& file, const Reading& reading);

/// Reads a recipe with its `extends`, applies drops, fragments and overrides. Throws RecipeError with all
/// problems at once.
Recipe load(const std::filesystem::path& file, const Reading& reading);
Recipe load(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

/// The trainings that a recipe describes, one after the other: each the recipe with the differences of its
/// [[stage]], and without what belongs to the phases of others. Without [[stage]] the recipe itself, alone.
std::vector<Recipe> stages(const Recipe& whole);

/// The merged tree alone, without checking sections (what `recipes show` and `resolved.toml` print).
Table load_tree(const std::filesystem::path& file, const Reading& reading);
Table load_tree(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

/// "auto", "cpu", "cuda" or "cuda:N".
bool is_device(const std::string& text);

/// The tree as TOML; with `origins` each line ends in a comment that says which file, line or argument set it.
std::string to_toml(const Table& tree, bool origins);

/// Checks a component's raw options against its schema and fills defaults. `path` ("loss.restoration") is put
/// into messages.
Options bind_options(const Table& raw, const Schema& schema, const std::string& path, const Origin& where,
                     Diagnostics& problems);

/// The option that a component's own message is about, as the recipe has it: that whose name alone of all its
/// schema's is quoted in the message or begins it. Null where there is none, or it has its default.
const Value* named_option(const Table& options, const Schema& schema, const std::string& message);

/// A path option (OptionSpec::path) as it is bound: absolute.
struct OptionFile {
    std::string key;            ///< of the component: "file"
    std::string written, path;  ///< as the recipe has it, and absolute
    Origin origin;              ///< of the text in the recipe
};
std::vector<OptionFile> option_files(const Table& options, const Schema& schema);
/// A copy of the tree in which each such text, known by its origin, is the absolute path.
Table with_absolute_files(const Table& tree, const std::vector<OptionFile>& files);

/// The schemas of the fixed sections, for checking and for the reference page.
Schema data_schema();
Schema train_schema();
Schema optimizer_schema();  ///< the keys of every rule, with the defaults of the first
Schema monitor_schema();
Schema labelled_schema();
Schema detect_schema();
Schema validate_schema();
/// Of a [[phase]], besides `optimizer`.
Schema phase_schema();
/// Options of a score, "error", "distance" or "output".
Schema score_schema(const std::string& use);

/// The table of docs/recipes.md: a heading and a line for each option.
std::string markdown_table(const Schema& schema);
/// Another of its tables: the rules of [optimizer] with their own keys and defaults.
std::string optimizer_rules_table();

}  // namespace hearth::recipe
